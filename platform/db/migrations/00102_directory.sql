-- Organizations, patients, practitioners, payers, coverages and service codes.

-- +goose Up
-- The id of an organization is the organization_id of all its rows.
CREATE TABLE organizations (
    id                     uuid             NOT NULL,
    name                   text             NOT NULL,
    -- an IANA name; the dates of the organization begin and end in this zone
    time_zone              text             NOT NULL,
    version                integer          NOT NULL DEFAULT 1,
    created_at             timestamptz      NOT NULL,
    updated_at             timestamptz      NOT NULL,
    -- hours before the start; a later cancellation is late
    late_cancel_hours      integer          NOT NULL DEFAULT 24,
    no_show_consumes       boolean          NOT NULL DEFAULT false, -- whether units stay used after a no-show
    -- hours after the end in which a session can be changed
    session_edit_hours     integer          NOT NULL DEFAULT 72,
    -- no access for the users, keys and links of the organization
    disabled               boolean          NOT NULL DEFAULT false,
    -- minutes before the booked start from which an appointment can be started
    early_start_minutes    integer          NOT NULL DEFAULT 30,
    -- a session that is longer or shorter than booked by more than this factor needs a confirmation
    confirm_length_factor  double precision NOT NULL DEFAULT 2,
    service_pairs_version  integer          NOT NULL DEFAULT 1,
    PRIMARY KEY (id),
    CONSTRAINT organizations_late_cancel_hours_within_month CHECK (late_cancel_hours BETWEEN 0 AND 720),
    CONSTRAINT organizations_session_edit_hours_within_year CHECK (session_edit_hours BETWEEN 0 AND 8760),
    CONSTRAINT organizations_early_start_within_day CHECK (early_start_minutes BETWEEN 0 AND 1440),
    CONSTRAINT organizations_confirm_length_factor_in_range CHECK (confirm_length_factor BETWEEN 1 AND 100)
);

CREATE TABLE patients (
    organization_id        uuid        NOT NULL,
    id                     uuid        NOT NULL,
    first_name             text        NOT NULL,
    last_name              text        NOT NULL,
    date_of_birth          date        NOT NULL,
    medical_record_number  text,
    status                 text        NOT NULL DEFAULT 'ACTIVE',
    version                integer     NOT NULL DEFAULT 1,
    created_at             timestamptz NOT NULL,
    updated_at             timestamptz NOT NULL,
    PRIMARY KEY (organization_id, id),
    CONSTRAINT patients_organization FOREIGN KEY (organization_id) REFERENCES organizations (id),
    CONSTRAINT patients_medical_record_number_once UNIQUE (organization_id, medical_record_number),
    CONSTRAINT patients_status CHECK (status IN ('ACTIVE', 'INACTIVE'))
);

CREATE TABLE practitioners (
    organization_id  uuid        NOT NULL,
    id               uuid        NOT NULL,
    first_name       text        NOT NULL,
    last_name        text        NOT NULL,
    license_number   text,
    npi              text, -- National Provider Identifier
    status           text        NOT NULL DEFAULT 'ACTIVE',
    version          integer     NOT NULL DEFAULT 1,
    created_at       timestamptz NOT NULL,
    updated_at       timestamptz NOT NULL,
    PRIMARY KEY (organization_id, id),
    CONSTRAINT practitioners_organization FOREIGN KEY (organization_id) REFERENCES organizations (id),
    CONSTRAINT practitioners_npi_once UNIQUE (organization_id, npi),
    CONSTRAINT practitioners_npi_ten_digits CHECK (length(npi) = 10),
    CONSTRAINT practitioners_status CHECK (status IN ('ACTIVE', 'INACTIVE'))
);

-- Rows instead of an array, so that a booking can look up a credential that has not expired.
CREATE TABLE practitioner_credentials (
    organization_id  uuid NOT NULL,
    practitioner_id  uuid NOT NULL,
    credential       text NOT NULL, -- a short code, such as BCBA or RBT
    expires_on       date, -- the last valid day; null: no end is known
    PRIMARY KEY (organization_id, practitioner_id, credential),
    CONSTRAINT practitioner_credentials_practitioner FOREIGN KEY (organization_id, practitioner_id)
        REFERENCES practitioners (organization_id, id)
);

CREATE TABLE payers (
    organization_id  uuid        NOT NULL,
    id               uuid        NOT NULL,
    name             text        NOT NULL,
    payer_code       text, -- the payer's id in claims
    week_starts_on   text        NOT NULL DEFAULT 'SUNDAY', -- the first day of the payer's weeks
    version          integer     NOT NULL DEFAULT 1,
    created_at       timestamptz NOT NULL,
    updated_at       timestamptz NOT NULL,
    PRIMARY KEY (organization_id, id),
    CONSTRAINT payers_organization FOREIGN KEY (organization_id) REFERENCES organizations (id),
    CONSTRAINT payers_week_starts_on CHECK (
        week_starts_on IN ('MONDAY', 'TUESDAY', 'WEDNESDAY', 'THURSDAY', 'FRIDAY', 'SATURDAY', 'SUNDAY'))
);

-- The rule by which a payer converts minutes to units, from a day until the next rule. A rule that has begun
-- never changes, so that the units of old sessions can be computed again.
CREATE TABLE payer_rounding_rules (
    organization_id  uuid NOT NULL,
    payer_id         uuid NOT NULL,
    starts_on        date NOT NULL,
    method           text NOT NULL,
    PRIMARY KEY (organization_id, payer_id, starts_on),
    CONSTRAINT payer_rounding_rules_payer FOREIGN KEY (organization_id, payer_id)
        REFERENCES payers (organization_id, id),
    CONSTRAINT payer_rounding_rules_method CHECK (method IN ('CEIL', 'FLOOR', 'MIDPOINT', 'CMS_TOTAL'))
);

-- A patient's coverage by a payer.
CREATE TABLE insurances (
    organization_id  uuid        NOT NULL,
    id               uuid        NOT NULL,
    patient_id       uuid        NOT NULL,
    payer_id         uuid        NOT NULL,
    member_number    text        NOT NULL,
    starts_on        date        NOT NULL,
    ends_on          date, -- the last day; null: no end is known
    version          integer     NOT NULL DEFAULT 1,
    created_at       timestamptz NOT NULL,
    updated_at       timestamptz NOT NULL,
    PRIMARY KEY (organization_id, id),
    CONSTRAINT insurances_patient FOREIGN KEY (organization_id, patient_id) REFERENCES patients (organization_id, id),
    CONSTRAINT insurances_payer FOREIGN KEY (organization_id, payer_id) REFERENCES payers (organization_id, id),
    CONSTRAINT insurances_dates_in_order CHECK (starts_on <= ends_on)
);

CREATE INDEX insurances_by_patient ON insurances (organization_id, patient_id, id);

CREATE TABLE service_codes (
    organization_id  uuid        NOT NULL,
    id               uuid        NOT NULL,
    code             text        NOT NULL,
    description      text        NOT NULL, -- the organization's own label; the official texts are under copyright
    unit_minutes     integer     NOT NULL DEFAULT 15,
    active           boolean     NOT NULL DEFAULT true,
    version          integer     NOT NULL DEFAULT 1,
    created_at       timestamptz NOT NULL,
    updated_at       timestamptz NOT NULL,
    track            text        NOT NULL DEFAULT 'DIRECT', -- a patient has one appointment at a time in each track
    PRIMARY KEY (organization_id, id),
    CONSTRAINT service_codes_organization FOREIGN KEY (organization_id) REFERENCES organizations (id),
    CONSTRAINT service_codes_code_once UNIQUE (organization_id, code),
    CONSTRAINT service_codes_unit_minutes_within_day CHECK (unit_minutes BETWEEN 1 AND 1440),
    CONSTRAINT service_codes_track CHECK (track IN ('DIRECT', 'SUPERVISION', 'CAREGIVER', 'ASSESSMENT'))
);

-- The practitioner needs one of these credentials. Without rows, every practitioner qualifies.
CREATE TABLE service_code_credentials (
    organization_id  uuid NOT NULL,
    service_code_id  uuid NOT NULL,
    credential       text NOT NULL,
    PRIMARY KEY (organization_id, service_code_id, credential),
    CONSTRAINT service_code_credentials_service_code FOREIGN KEY (organization_id, service_code_id)
        REFERENCES service_codes (organization_id, id)
);

-- Codes of services of different tracks that may overlap for one patient. There is no foreign key, because a pair
-- may be entered before its codes. The collation is the order in which the program compares codes.
CREATE TABLE service_pairs (
    organization_id  uuid             NOT NULL,
    code             text COLLATE "C" NOT NULL,
    other_code       text COLLATE "C" NOT NULL,
    PRIMARY KEY (organization_id, code, other_code),
    CONSTRAINT service_pairs_organization FOREIGN KEY (organization_id) REFERENCES organizations (id),
    CONSTRAINT service_pairs_in_order CHECK (code < other_code)
);

SELECT hold_to_organizations('patients');
SELECT hold_to_organizations('practitioners');
SELECT hold_to_organizations('practitioner_credentials');
SELECT hold_to_organizations('payers');
SELECT hold_to_organizations('payer_rounding_rules');
SELECT hold_to_organizations('insurances');
SELECT hold_to_organizations('service_codes');
SELECT hold_to_organizations('service_code_credentials');
SELECT hold_to_organizations('service_pairs');

-- +goose Down
DROP TABLE service_pairs;
DROP TABLE service_code_credentials;
DROP TABLE service_codes;
DROP TABLE insurances;
DROP TABLE payer_rounding_rules;
DROP TABLE payers;
DROP TABLE practitioner_credentials;
DROP TABLE practitioners;
DROP TABLE patients;
DROP TABLE organizations;
