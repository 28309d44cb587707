-- Settings of an organization for starting and completing appointments; the version of its service pairs; the user who
-- reopened an appointment, and the reason.

-- +goose Up
ALTER TABLE organizations
    ADD COLUMN early_start_minutes   integer          NOT NULL DEFAULT 30, -- how early an appointment can be started
    ADD COLUMN confirm_length_factor double precision NOT NULL DEFAULT 2,  -- a session longer or shorter than booked by more needs a confirmation
    ADD COLUMN service_pairs_version integer          NOT NULL DEFAULT 1,
    ADD CONSTRAINT organizations_early_start_within_day CHECK (early_start_minutes BETWEEN 0 AND 1440),
    ADD CONSTRAINT organizations_confirm_length_factor_in_range CHECK (confirm_length_factor BETWEEN 1 AND 100);

-- The last time that a start was undone.
ALTER TABLE appointments
    ADD COLUMN reopened_at   timestamptz,
    ADD COLUMN reopened_by   uuid,
    ADD COLUMN reopen_reason text,
    ADD CONSTRAINT appointments_reopened_whole CHECK ((reopened_at IS NULL) = (reopened_by IS NULL) AND (reopened_at IS NULL) = (reopen_reason IS NULL));

-- +goose Down
ALTER TABLE appointments
    DROP COLUMN reopened_at,
    DROP COLUMN reopened_by,
    DROP COLUMN reopen_reason;
ALTER TABLE organizations
    DROP COLUMN early_start_minutes,
    DROP COLUMN confirm_length_factor,
    DROP COLUMN service_pairs_version;
