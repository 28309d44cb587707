-- Claims: exports for payers, with their claims, lines and files.

-- +goose Up
ALTER TABLE sessions ADD COLUMN exported_at timestamptz; -- set while a payer has a claim for the session

CREATE TABLE billing_exports (
    organization_id   uuid        NOT NULL,
    id                uuid        NOT NULL,
    number            integer     NOT NULL,
    payer_id          uuid        NOT NULL,
    period_starts_on  date        NOT NULL,
    period_ends_on    date        NOT NULL,
    claim_count       integer     NOT NULL,
    line_count        integer     NOT NULL,
    units             integer     NOT NULL,
    charge_cents      integer     NOT NULL,
    created_by        uuid        NOT NULL,
    created_at        timestamptz NOT NULL,
    retracted_by      uuid,
    retracted_at      timestamptz,
    retract_reason    text,
    PRIMARY KEY (organization_id, id),
    CONSTRAINT billing_exports_number_once UNIQUE (organization_id, number),
    CONSTRAINT billing_exports_payer FOREIGN KEY (organization_id, payer_id) REFERENCES payers (organization_id, id),
    CONSTRAINT billing_exports_retracted CHECK (num_nonnulls(retracted_by, retracted_at, retract_reason) IN (0, 3))
);

CREATE TABLE billing_files (
    organization_id  uuid  NOT NULL,
    export_id        uuid  NOT NULL,
    format           text  NOT NULL,
    content          text  NOT NULL,
    hash             bytea NOT NULL, -- SHA-256 of the content
    PRIMARY KEY (organization_id, export_id, format),
    CONSTRAINT billing_files_export FOREIGN KEY (organization_id, export_id)
        REFERENCES billing_exports (organization_id, id),
    CONSTRAINT billing_files_format CHECK (format IN ('CSV', 'JSON', 'X12')),
    CONSTRAINT billing_files_hash CHECK (length(hash) = 32)
);

CREATE TABLE billing_claims (
    organization_id  uuid    NOT NULL,
    id               uuid    NOT NULL,
    export_id        uuid    NOT NULL,
    position         integer NOT NULL, -- in the export
    number           text    NOT NULL,
    payer_id         uuid    NOT NULL,
    patient_id       uuid    NOT NULL,
    insurance_id     uuid    NOT NULL,
    auth_number      text    NOT NULL,
    frequency        text    NOT NULL,
    replaces_id      uuid, -- the claim that it replaces or voids
    control_number   text, -- the payer's number of this claim
    charge_cents     integer NOT NULL,
    PRIMARY KEY (organization_id, id),
    CONSTRAINT billing_claims_number_once UNIQUE (organization_id, number),
    CONSTRAINT billing_claims_export FOREIGN KEY (organization_id, export_id)
        REFERENCES billing_exports (organization_id, id),
    CONSTRAINT billing_claims_patient FOREIGN KEY (organization_id, patient_id)
        REFERENCES patients (organization_id, id),
    CONSTRAINT billing_claims_replaces FOREIGN KEY (organization_id, replaces_id)
        REFERENCES billing_claims (organization_id, id),
    CONSTRAINT billing_claims_frequency CHECK (frequency IN ('1', '7', '8') AND (frequency = '1') = (replaces_id IS NULL))
);

CREATE INDEX billing_claims_by_export ON billing_claims (organization_id, export_id, position);

CREATE TABLE billing_lines (
    organization_id   uuid    NOT NULL,
    id                uuid    NOT NULL,
    claim_id          uuid    NOT NULL,
    position          integer NOT NULL, -- in the claim
    session_id        uuid    NOT NULL,
    session_version   integer NOT NULL,
    patient_id        uuid    NOT NULL,
    authorization_id  uuid    NOT NULL,
    service_date      date    NOT NULL,
    member_number     text    NOT NULL,
    code              text    NOT NULL,
    modifiers         text    NOT NULL, -- separated by spaces
    place_of_service  text    NOT NULL,
    units             integer NOT NULL,
    minutes           integer NOT NULL,
    rendering_id      uuid    NOT NULL,
    supervising_id    uuid,
    charge_cents      integer NOT NULL,
    diagnoses         text    NOT NULL, -- separated by spaces
    PRIMARY KEY (organization_id, id),
    CONSTRAINT billing_lines_claim FOREIGN KEY (organization_id, claim_id)
        REFERENCES billing_claims (organization_id, id),
    CONSTRAINT billing_lines_units CHECK (units > 0)
);

CREATE INDEX billing_lines_by_claim ON billing_lines (organization_id, claim_id, position);
CREATE INDEX billing_lines_by_session ON billing_lines (organization_id, session_id);
CREATE INDEX billing_lines_by_date ON billing_lines (organization_id, service_date);
CREATE INDEX billing_lines_by_authorization ON billing_lines (organization_id, authorization_id);

-- +postgresql begin
-- +goose StatementBegin
CREATE FUNCTION refuse_change_of_export() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'exported files and lines are never changed or deleted' USING ERRCODE = 'restrict_violation';
END
$$;
-- +goose StatementEnd
CREATE TRIGGER billing_files_append_only BEFORE UPDATE OR DELETE ON billing_files
    FOR EACH ROW EXECUTE FUNCTION refuse_change_of_export();
CREATE TRIGGER billing_lines_append_only BEFORE UPDATE OR DELETE ON billing_lines
    FOR EACH ROW EXECUTE FUNCTION refuse_change_of_export();
-- +postgresql end

SELECT hold_to_organizations('billing_exports');
SELECT hold_to_organizations('billing_files');
SELECT hold_to_organizations('billing_claims');
SELECT hold_to_organizations('billing_lines');

-- +goose Down
DROP TABLE billing_lines;
DROP TABLE billing_claims;
DROP TABLE billing_files;
DROP TABLE billing_exports;
-- +postgresql begin
DROP FUNCTION refuse_change_of_export();
-- +postgresql end
ALTER TABLE sessions DROP COLUMN exported_at;
