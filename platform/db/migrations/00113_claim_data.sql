-- The data of claims: identifiers and addresses, diagnoses, and rates.

-- +goose Up
ALTER TABLE practitioners ADD COLUMN taxonomy_code text;

ALTER TABLE patients
    ADD COLUMN sex text,
    ADD CONSTRAINT patients_sex CHECK (sex IN ('FEMALE', 'MALE', 'UNKNOWN'));

ALTER TABLE payers
    ADD COLUMN claim_filing_code text,
    ADD CONSTRAINT payers_claim_filing_code CHECK (length(claim_filing_code) = 2);

-- In a table of its own, because bookings look up patients and need narrow rows.
CREATE TABLE patient_addresses (
    organization_id  uuid NOT NULL,
    patient_id       uuid NOT NULL,
    line1            text NOT NULL,
    line2            text NOT NULL,
    city             text NOT NULL,
    state            text NOT NULL,
    zip              text NOT NULL, -- five or nine digits
    PRIMARY KEY (organization_id, patient_id),
    CONSTRAINT patient_addresses_patient FOREIGN KEY (organization_id, patient_id)
        REFERENCES patients (organization_id, id)
);

-- The person who is insured: the patient, or the subscriber of whom the patient is a dependent.
ALTER TABLE insurances
    ADD COLUMN relationship text, -- of the patient to the subscriber
    ADD COLUMN subscriber_first_name text,
    ADD COLUMN subscriber_last_name text,
    ADD CONSTRAINT insurances_relationship CHECK (relationship IN ('SELF', 'SPOUSE', 'CHILD', 'OTHER'));

-- An organization as billing provider and as submitter of claims.
CREATE TABLE billing_identities (
    organization_id   uuid        NOT NULL,
    npi               text,
    tax_id            text,
    taxonomy_code     text,
    address_line1     text        NOT NULL DEFAULT '',
    address_line2     text        NOT NULL DEFAULT '',
    address_city      text        NOT NULL DEFAULT '',
    address_state     text        NOT NULL DEFAULT '',
    address_zip       text        NOT NULL DEFAULT '',
    submitter_id      text,
    contact_name      text,
    contact_phone     text,
    receiver_id       text,
    receiver_name     text,
    place_of_service  text, -- of sessions that have none
    version           integer     NOT NULL,
    updated_at        timestamptz NOT NULL,
    PRIMARY KEY (organization_id),
    CONSTRAINT billing_identities_organization FOREIGN KEY (organization_id) REFERENCES organizations (id),
    CONSTRAINT billing_identities_npi CHECK (length(npi) = 10),
    CONSTRAINT billing_identities_tax_id CHECK (length(tax_id) = 9)
);

-- ICD-10-CM diagnoses of patients.
CREATE TABLE diagnoses (
    organization_id  uuid        NOT NULL,
    id               uuid        NOT NULL,
    patient_id       uuid        NOT NULL,
    code             text        NOT NULL,
    rank             integer     NOT NULL, -- 1: the principal diagnosis
    starts_on        date        NOT NULL,
    ends_on          date, -- the last day; null: no end is known
    version          integer     NOT NULL DEFAULT 1,
    created_at       timestamptz NOT NULL,
    updated_at       timestamptz NOT NULL,
    PRIMARY KEY (organization_id, id),
    CONSTRAINT diagnoses_patient FOREIGN KEY (organization_id, patient_id) REFERENCES patients (organization_id, id),
    CONSTRAINT diagnoses_code_once UNIQUE (organization_id, patient_id, code, starts_on),
    CONSTRAINT diagnoses_rank CHECK (rank BETWEEN 1 AND 12),
    CONSTRAINT diagnoses_dates_in_order CHECK (starts_on <= ends_on)
);

-- The price of a unit of a service for a payer, from a day until the next rate.
CREATE TABLE rates (
    organization_id  uuid        NOT NULL,
    id               uuid        NOT NULL,
    payer_id         uuid        NOT NULL,
    service_code_id  uuid        NOT NULL,
    starts_on        date        NOT NULL,
    cents_per_unit   integer     NOT NULL,
    version          integer     NOT NULL DEFAULT 1,
    created_at       timestamptz NOT NULL,
    updated_at       timestamptz NOT NULL,
    PRIMARY KEY (organization_id, id),
    CONSTRAINT rates_payer FOREIGN KEY (organization_id, payer_id) REFERENCES payers (organization_id, id),
    CONSTRAINT rates_service_code FOREIGN KEY (organization_id, service_code_id)
        REFERENCES service_codes (organization_id, id),
    CONSTRAINT rates_once UNIQUE (organization_id, payer_id, service_code_id, starts_on),
    CONSTRAINT rates_cents CHECK (cents_per_unit BETWEEN 1 AND 10000000)
);

SELECT hold_to_organizations('patient_addresses');
SELECT hold_to_organizations('billing_identities');
SELECT hold_to_organizations('diagnoses');
SELECT hold_to_organizations('rates');

-- +goose Down
DROP TABLE rates;
DROP TABLE diagnoses;
DROP TABLE billing_identities;
DROP TABLE patient_addresses;
ALTER TABLE insurances
    DROP CONSTRAINT insurances_relationship,
    DROP COLUMN subscriber_last_name,
    DROP COLUMN subscriber_first_name,
    DROP COLUMN relationship;
ALTER TABLE payers DROP CONSTRAINT payers_claim_filing_code, DROP COLUMN claim_filing_code;
ALTER TABLE patients
    DROP CONSTRAINT patients_sex,
    DROP COLUMN sex;
ALTER TABLE practitioners DROP COLUMN taxonomy_code;
