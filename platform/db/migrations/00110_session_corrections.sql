-- Corrected and voided sessions, their earlier versions, and reversed consumptions in the ledger.

-- +goose Up
ALTER TABLE unit_entries ADD COLUMN corrects bigint; -- of a reversal: the sequence number of the consumption
ALTER TABLE unit_entries
    DROP CONSTRAINT unit_entries_kind,
    ADD CONSTRAINT unit_entries_kind CHECK (kind IN ('reserve', 'release', 'consume', 'reverse', 'expire', 'adjust')),
    ADD CONSTRAINT unit_entries_corrects_consumption CHECK (
        (corrects IS NOT NULL) = (kind = 'reverse') AND corrects < sequence);

-- The sequence number of the ledger entry that consumed a patient's units.
ALTER TABLE appointment_patients ADD COLUMN consumption bigint;
ALTER TABLE session_patients ADD COLUMN consumption bigint;

-- What is rounded together: each session alone, or the sessions of a day.
ALTER TABLE payer_rounding_rules ADD COLUMN basis text NOT NULL DEFAULT 'SESSION',
    ADD CONSTRAINT payer_rounding_rules_basis CHECK (
        basis IN ('SESSION', 'DAY', 'DAY_AND_PRACTITIONER', 'VISIT'));
UPDATE payer_rounding_rules SET basis = 'VISIT' WHERE method = 'CMS_TOTAL';
ALTER TABLE appointment_patients ADD COLUMN rounding_basis text NOT NULL DEFAULT 'SESSION';
ALTER TABLE session_patients ADD COLUMN rounding_basis text NOT NULL DEFAULT 'SESSION';
UPDATE appointment_patients SET rounding_basis = 'VISIT' WHERE rounding = 'CMS_TOTAL';
UPDATE session_patients SET rounding_basis = 'VISIT' WHERE rounding = 'CMS_TOTAL';

-- Consumptions from before this migration.
UPDATE appointment_patients p SET consumption = c.sequence
FROM (SELECT organization_id, authorization_id, reservation_id, max(sequence) AS sequence
    FROM unit_entries WHERE kind = 'consume' GROUP BY organization_id, authorization_id, reservation_id) c
WHERE c.organization_id = p.organization_id AND c.authorization_id = p.authorization_id
    AND c.reservation_id = p.reservation_id;
UPDATE session_patients s SET consumption = p.consumption
FROM appointments a JOIN appointment_patients p ON p.organization_id = a.organization_id AND p.appointment_id = a.id
WHERE a.organization_id = s.organization_id AND a.session_id = s.session_id AND p.patient_id = s.patient_id;

ALTER TABLE sessions
    ADD COLUMN change text NOT NULL DEFAULT 'COMPLETED', -- what made the present version
    ADD COLUMN changed_by uuid, -- null: created_by
    ADD COLUMN change_reason text,
    ADD COLUMN voided_at timestamptz,
    ADD CONSTRAINT sessions_change CHECK (change IN ('COMPLETED', 'NARRATIVE', 'CORRECTED', 'RECOUNTED', 'VOIDED')),
    ADD CONSTRAINT sessions_voided CHECK ((voided_at IS NOT NULL) = (change = 'VOIDED')),
    DROP CONSTRAINT sessions_one_for_each_appointment;
-- An appointment whose session was voided can be completed again.
CREATE UNIQUE INDEX sessions_one_for_each_appointment ON sessions (organization_id, appointment_id)
    WHERE voided_at IS NULL;
CREATE INDEX sessions_by_appointment ON sessions (organization_id, appointment_id);

-- The earlier versions of sessions, without clinical text. Rows are never changed or deleted.
CREATE TABLE session_versions (
    organization_id     uuid        NOT NULL,
    session_id          uuid        NOT NULL,
    version             integer     NOT NULL,
    change              text        NOT NULL, -- what made this version
    changed_by          uuid        NOT NULL,
    changed_at          timestamptz NOT NULL,
    change_reason       text,
    starts_at           timestamptz NOT NULL,
    ends_at             timestamptz NOT NULL,
    service_date        date        NOT NULL,
    practitioner_ids    uuid[]      NOT NULL,
    unauthorized_units  integer     NOT NULL,
    PRIMARY KEY (organization_id, session_id, version),
    CONSTRAINT session_versions_session FOREIGN KEY (organization_id, session_id)
        REFERENCES sessions (organization_id, id)
);

CREATE TABLE session_version_patients (
    organization_id     uuid    NOT NULL,
    session_id          uuid    NOT NULL,
    version             integer NOT NULL,
    patient_id          uuid    NOT NULL,
    position            integer NOT NULL,
    authorization_id    uuid    NOT NULL,
    minutes             integer NOT NULL,
    units               integer NOT NULL,
    unauthorized_units  integer NOT NULL,
    unit_minutes        integer NOT NULL,
    rounding            text    NOT NULL,
    rounding_starts_on  date    NOT NULL,
    rounding_basis      text    NOT NULL,
    consumption         bigint,
    PRIMARY KEY (organization_id, session_id, version, patient_id),
    CONSTRAINT session_version_patients_version FOREIGN KEY (organization_id, session_id, version)
        REFERENCES session_versions (organization_id, session_id, version)
);

-- For the verification of an authorization.
CREATE INDEX session_version_patients_by_authorization
    ON session_version_patients (authorization_id, organization_id);

-- +postgresql begin
-- +goose StatementBegin
CREATE FUNCTION refuse_change_of_session_versions() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'earlier versions of sessions are never changed or deleted' USING ERRCODE = 'restrict_violation';
END
$$;
-- +goose StatementEnd
CREATE TRIGGER session_versions_append_only BEFORE UPDATE OR DELETE ON session_versions
    FOR EACH ROW EXECUTE FUNCTION refuse_change_of_session_versions();
CREATE TRIGGER session_version_patients_append_only BEFORE UPDATE OR DELETE ON session_version_patients
    FOR EACH ROW EXECUTE FUNCTION refuse_change_of_session_versions();
-- +postgresql end

SELECT hold_to_organizations('session_versions');
SELECT hold_to_organizations('session_version_patients');

-- +goose Down
DROP TABLE session_version_patients;
DROP TABLE session_versions;
-- +postgresql begin
DROP FUNCTION refuse_change_of_session_versions();
-- +postgresql end
DROP INDEX sessions_by_appointment;
DROP INDEX sessions_one_for_each_appointment;
ALTER TABLE sessions
    ADD CONSTRAINT sessions_one_for_each_appointment UNIQUE (organization_id, appointment_id),
    DROP CONSTRAINT sessions_voided,
    DROP CONSTRAINT sessions_change,
    DROP COLUMN voided_at,
    DROP COLUMN change_reason,
    DROP COLUMN changed_by,
    DROP COLUMN change;
ALTER TABLE session_patients DROP COLUMN rounding_basis;
ALTER TABLE appointment_patients DROP COLUMN rounding_basis;
ALTER TABLE payer_rounding_rules DROP CONSTRAINT payer_rounding_rules_basis, DROP COLUMN basis;
ALTER TABLE session_patients DROP COLUMN consumption;
ALTER TABLE appointment_patients DROP COLUMN consumption;
ALTER TABLE unit_entries
    DROP CONSTRAINT unit_entries_corrects_consumption,
    DROP CONSTRAINT unit_entries_kind,
    ADD CONSTRAINT unit_entries_kind CHECK (kind IN ('reserve', 'release', 'consume', 'expire', 'adjust'));
ALTER TABLE unit_entries DROP COLUMN corrects;
