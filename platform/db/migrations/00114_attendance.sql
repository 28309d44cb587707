-- The attendance of each patient of an appointment, and accepted overlaps of sessions.

-- +goose Up
-- An absent patient was booked and did not come. worked_starts_at and worked_ends_at are the patient's own times.
ALTER TABLE appointment_patients ADD COLUMN absent boolean NOT NULL DEFAULT false;
ALTER TABLE session_patients
    ADD COLUMN attended boolean NOT NULL DEFAULT true,
    ADD COLUMN starts_at timestamptz, -- the patient's own times; null: the session's times
    ADD COLUMN ends_at timestamptz;
ALTER TABLE session_version_patients
    ADD COLUMN attended boolean NOT NULL DEFAULT true,
    ADD COLUMN starts_at timestamptz,
    ADD COLUMN ends_at timestamptz;

-- Why a session was accepted although it overlaps another one.
ALTER TABLE sessions
    ADD COLUMN overlap_reason text,
    ADD COLUMN overlap_accepted_by uuid;

-- +goose Down
ALTER TABLE sessions DROP COLUMN overlap_accepted_by, DROP COLUMN overlap_reason;
ALTER TABLE session_version_patients DROP COLUMN ends_at, DROP COLUMN starts_at, DROP COLUMN attended;
ALTER TABLE session_patients DROP COLUMN ends_at, DROP COLUMN starts_at, DROP COLUMN attended;
ALTER TABLE appointment_patients DROP COLUMN absent;
