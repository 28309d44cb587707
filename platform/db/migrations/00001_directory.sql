-- What everything else refers to: organizations, patients, practitioners, payers, coverages and service codes.

-- +goose Up
-- An organization's id is the organization_id of all its rows.
CREATE TABLE organizations (
    id          uuid        NOT NULL,
    name        text        NOT NULL,
    time_zone   text        NOT NULL, -- an IANA name: the zone in which the organization's dates begin and end
    version     integer     NOT NULL DEFAULT 1,
    created_at  timestamptz NOT NULL,
    updated_at  timestamptz NOT NULL,
    PRIMARY KEY (id)
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
    npi              text, -- National Provider Identifier: it names one person, or none yet
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

-- Rows and not an array, so that a booking can ask for one that has not expired.
CREATE TABLE practitioner_credentials (
    organization_id  uuid NOT NULL,
    practitioner_id  uuid NOT NULL,
    credential       text NOT NULL, -- a short code: BCBA, BCaBA, RBT
    expires_on       date,          -- the last day on which it holds; null: no end known
    PRIMARY KEY (organization_id, practitioner_id, credential),
    CONSTRAINT practitioner_credentials_practitioner FOREIGN KEY (organization_id, practitioner_id)
        REFERENCES practitioners (organization_id, id)
);

CREATE TABLE payers (
    organization_id  uuid        NOT NULL,
    id               uuid        NOT NULL,
    name             text        NOT NULL,
    payer_code       text, -- how claims name the payer
    rounding         text        NOT NULL DEFAULT 'CEIL',   -- how minutes become units
    week_starts_on   text        NOT NULL DEFAULT 'SUNDAY', -- where the payer's weeks begin
    version          integer     NOT NULL DEFAULT 1,
    created_at       timestamptz NOT NULL,
    updated_at       timestamptz NOT NULL,
    PRIMARY KEY (organization_id, id),
    CONSTRAINT payers_organization FOREIGN KEY (organization_id) REFERENCES organizations (id),
    CONSTRAINT payers_rounding CHECK (rounding IN ('CEIL', 'FLOOR', 'MIDPOINT', 'CMS_TOTAL')),
    CONSTRAINT payers_week_starts_on CHECK (week_starts_on IN
        ('MONDAY', 'TUESDAY', 'WEDNESDAY', 'THURSDAY', 'FRIDAY', 'SATURDAY', 'SUNDAY'))
);

-- A patient's coverage by a payer.
CREATE TABLE insurances (
    organization_id  uuid        NOT NULL,
    id               uuid        NOT NULL,
    patient_id       uuid        NOT NULL,
    payer_id         uuid        NOT NULL,
    member_number    text        NOT NULL,
    starts_on        date        NOT NULL,
    ends_on          date, -- the last day; null: no end known
    version          integer     NOT NULL DEFAULT 1,
    created_at       timestamptz NOT NULL,
    updated_at       timestamptz NOT NULL,
    PRIMARY KEY (organization_id, id),
    CONSTRAINT insurances_patient FOREIGN KEY (organization_id, patient_id)
        REFERENCES patients (organization_id, id),
    CONSTRAINT insurances_payer FOREIGN KEY (organization_id, payer_id)
        REFERENCES payers (organization_id, id),
    CONSTRAINT insurances_dates_in_order CHECK (starts_on <= ends_on)
);

CREATE INDEX insurances_by_patient ON insurances (organization_id, patient_id, id);

CREATE TABLE service_codes (
    organization_id  uuid        NOT NULL,
    id               uuid        NOT NULL,
    code             text        NOT NULL,
    description      text        NOT NULL, -- our own short label: the official texts are not ours to copy
    unit_minutes     integer     NOT NULL DEFAULT 15,
    active           boolean     NOT NULL DEFAULT true,
    version          integer     NOT NULL DEFAULT 1,
    created_at       timestamptz NOT NULL,
    updated_at       timestamptz NOT NULL,
    PRIMARY KEY (organization_id, id),
    CONSTRAINT service_codes_organization FOREIGN KEY (organization_id) REFERENCES organizations (id),
    CONSTRAINT service_codes_code_once UNIQUE (organization_id, code),
    CONSTRAINT service_codes_unit_minutes_within_day CHECK (unit_minutes BETWEEN 1 AND 1440)
);

-- Whoever renders the service holds one of these; none: anybody may.
CREATE TABLE service_code_credentials (
    organization_id  uuid NOT NULL,
    service_code_id  uuid NOT NULL,
    credential       text NOT NULL,
    PRIMARY KEY (organization_id, service_code_id, credential),
    CONSTRAINT service_code_credentials_service_code FOREIGN KEY (organization_id, service_code_id)
        REFERENCES service_codes (organization_id, id)
);

-- +goose Down
DROP TABLE service_code_credentials;
DROP TABLE service_codes;
DROP TABLE insurances;
DROP TABLE payers;
DROP TABLE practitioner_credentials;
DROP TABLE practitioners;
DROP TABLE patients;
DROP TABLE organizations;
