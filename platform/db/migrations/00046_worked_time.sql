-- A completed appointment takes up the time that was worked, not the time that was booked: starts_at and ends_at of its
-- patients and practitioners become those of its session. Worked time may overlap other time, as it is what really
-- happened, so that it is no part of the exclusion constraints.

-- +goose Up
ALTER TABLE appointment_practitioners DROP CONSTRAINT IF EXISTS appointment_practitioners_in_one_place;
ALTER TABLE appointment_patients DROP CONSTRAINT IF EXISTS appointment_patients_once_in_each_lane;

ALTER TABLE appointment_practitioners ADD COLUMN worked boolean NOT NULL DEFAULT false;
ALTER TABLE appointment_patients ADD COLUMN worked boolean NOT NULL DEFAULT false;

UPDATE appointment_practitioners p SET starts_at = s.starts_at, ends_at = s.ends_at, worked = true
FROM sessions s WHERE s.organization_id = p.organization_id AND s.appointment_id = p.appointment_id;
UPDATE appointment_patients p SET starts_at = s.starts_at, ends_at = s.ends_at, worked = true
FROM sessions s WHERE s.organization_id = p.organization_id AND s.appointment_id = p.appointment_id;

-- +goose StatementBegin
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_extension WHERE extname = 'btree_gist') THEN
        RETURN;
    END IF;
    ALTER TABLE appointment_practitioners ADD CONSTRAINT appointment_practitioners_in_one_place EXCLUDE USING gist (
        organization_id WITH =, practitioner_id WITH =, tstzrange(starts_at, ends_at) WITH &&
    ) WHERE (occupies AND NOT worked AND place >= 0) DEFERRABLE INITIALLY DEFERRED;
    ALTER TABLE appointment_patients ADD CONSTRAINT appointment_patients_once_in_each_lane EXCLUDE USING gist (
        organization_id WITH =, patient_id WITH =, lane WITH =, tstzrange(starts_at, ends_at) WITH &&
    ) WHERE (occupies AND NOT worked AND place >= 0) DEFERRABLE INITIALLY DEFERRED;
END
$$;
-- +goose StatementEnd

-- +goose Down
-- Fails where something was booked in time that a completed appointment had freed.
UPDATE appointment_practitioners p SET starts_at = a.starts_at, ends_at = a.ends_at
FROM appointments a WHERE a.organization_id = p.organization_id AND a.id = p.appointment_id AND p.worked;
UPDATE appointment_patients p SET starts_at = a.starts_at, ends_at = a.ends_at
FROM appointments a WHERE a.organization_id = p.organization_id AND a.id = p.appointment_id AND p.worked;
-- +goose StatementBegin
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_extension WHERE extname = 'btree_gist') THEN
        ALTER TABLE appointment_practitioners DROP COLUMN worked;
        ALTER TABLE appointment_patients DROP COLUMN worked;
        RETURN;
    END IF;
    ALTER TABLE appointment_practitioners DROP CONSTRAINT appointment_practitioners_in_one_place;
    ALTER TABLE appointment_patients DROP CONSTRAINT appointment_patients_once_in_each_lane;
    ALTER TABLE appointment_practitioners DROP COLUMN worked;
    ALTER TABLE appointment_patients DROP COLUMN worked;
    ALTER TABLE appointment_practitioners ADD CONSTRAINT appointment_practitioners_in_one_place EXCLUDE USING gist (
        organization_id WITH =, practitioner_id WITH =, tstzrange(starts_at, ends_at) WITH &&
    ) WHERE (occupies AND place >= 0) DEFERRABLE INITIALLY DEFERRED;
    ALTER TABLE appointment_patients ADD CONSTRAINT appointment_patients_once_in_each_lane EXCLUDE USING gist (
        organization_id WITH =, patient_id WITH =, lane WITH =, tstzrange(starts_at, ends_at) WITH &&
    ) WHERE (occupies AND place >= 0) DEFERRABLE INITIALLY DEFERRED;
END
$$;
-- +goose StatementEnd
