-- A completed appointment occupies the time worked, not the time booked: the rows of its patients and practitioners get
-- the times of its session. Real sessions may overlap, so the exclusion constraints include neither worked time nor the
-- booked time of completed appointments.

-- +goose Up
ALTER TABLE appointment_practitioners
    ADD COLUMN worked_starts_at timestamptz, -- null: it is not completed
    ADD COLUMN worked_ends_at   timestamptz,
    ADD CONSTRAINT appointment_practitioners_worked_times CHECK (worked_starts_at < worked_ends_at AND (worked_starts_at IS NULL) = (worked_ends_at IS NULL));
ALTER TABLE appointment_patients
    ADD COLUMN worked_starts_at timestamptz,
    ADD COLUMN worked_ends_at   timestamptz,
    ADD CONSTRAINT appointment_patients_worked_times CHECK (worked_starts_at < worked_ends_at AND (worked_starts_at IS NULL) = (worked_ends_at IS NULL));

UPDATE appointment_practitioners p SET worked_starts_at = s.starts_at, worked_ends_at = s.ends_at
FROM sessions s WHERE s.organization_id = p.organization_id AND s.appointment_id = p.appointment_id;
UPDATE appointment_patients p SET worked_starts_at = s.starts_at, worked_ends_at = s.ends_at
FROM sessions s WHERE s.organization_id = p.organization_id AND s.appointment_id = p.appointment_id;

CREATE INDEX appointment_practitioners_by_worked_start ON appointment_practitioners (organization_id, practitioner_id, worked_starts_at)
    WHERE worked_starts_at IS NOT NULL;
CREATE INDEX appointment_patients_by_worked_start ON appointment_patients (organization_id, patient_id, worked_starts_at)
    WHERE worked_starts_at IS NOT NULL;

-- +goose StatementBegin
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_constraint WHERE conname = 'appointment_practitioners_in_one_place') THEN
        RETURN; -- this engine has no exclusion constraints
    END IF;
    ALTER TABLE appointment_practitioners DROP CONSTRAINT appointment_practitioners_in_one_place;
    ALTER TABLE appointment_patients DROP CONSTRAINT appointment_patients_once_in_each_lane;
    ALTER TABLE appointment_practitioners ADD CONSTRAINT appointment_practitioners_in_one_place EXCLUDE USING gist (
        organization_id WITH =, practitioner_id WITH =, tstzrange(starts_at, ends_at) WITH &&
    ) WHERE (occupies AND worked_starts_at IS NULL AND place >= 0) DEFERRABLE INITIALLY DEFERRED;
    ALTER TABLE appointment_patients ADD CONSTRAINT appointment_patients_once_in_each_lane EXCLUDE USING gist (
        organization_id WITH =, patient_id WITH =, lane WITH =, tstzrange(starts_at, ends_at) WITH &&
    ) WHERE (occupies AND worked_starts_at IS NULL AND place >= 0) DEFERRABLE INITIALLY DEFERRED;
END
$$;
-- +goose StatementEnd

-- +goose Down
-- Fails if another appointment was booked in time that a completed appointment had freed.
-- +goose StatementBegin
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_constraint WHERE conname = 'appointment_practitioners_in_one_place') THEN
        ALTER TABLE appointment_practitioners DROP CONSTRAINT appointment_practitioners_in_one_place;
        ALTER TABLE appointment_patients DROP CONSTRAINT appointment_patients_once_in_each_lane;
        ALTER TABLE appointment_practitioners ADD CONSTRAINT appointment_practitioners_in_one_place EXCLUDE USING gist (
            organization_id WITH =, practitioner_id WITH =, tstzrange(starts_at, ends_at) WITH &&
        ) WHERE (occupies AND place >= 0) DEFERRABLE INITIALLY DEFERRED;
        ALTER TABLE appointment_patients ADD CONSTRAINT appointment_patients_once_in_each_lane EXCLUDE USING gist (
            organization_id WITH =, patient_id WITH =, lane WITH =, tstzrange(starts_at, ends_at) WITH &&
        ) WHERE (occupies AND place >= 0) DEFERRABLE INITIALLY DEFERRED;
    END IF;
END
$$;
-- +goose StatementEnd
ALTER TABLE appointment_practitioners DROP COLUMN worked_starts_at, DROP COLUMN worked_ends_at;
ALTER TABLE appointment_patients DROP COLUMN worked_starts_at, DROP COLUMN worked_ends_at;
