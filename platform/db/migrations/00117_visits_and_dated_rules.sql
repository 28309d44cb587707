-- Clock-ins and clock-outs of appointments, and modifiers of authorizations.

-- +goose Up
-- When and where the practitioner clocked in and out, for electronic visit verification.
ALTER TABLE appointments
    ADD COLUMN clocked_in_at timestamptz,
    ADD COLUMN clock_in_latitude double precision,
    ADD COLUMN clock_in_longitude double precision,
    ADD COLUMN clocked_out_at timestamptz,
    ADD COLUMN clock_out_latitude double precision,
    ADD COLUMN clock_out_longitude double precision;

-- The modifiers that the payer states in an authorization, separated by spaces.
ALTER TABLE authorizations ADD COLUMN modifiers text NOT NULL DEFAULT '';

-- +goose Down
ALTER TABLE authorizations DROP COLUMN modifiers;
ALTER TABLE appointments
    DROP COLUMN clock_out_longitude,
    DROP COLUMN clock_out_latitude,
    DROP COLUMN clocked_out_at,
    DROP COLUMN clock_in_longitude,
    DROP COLUMN clock_in_latitude,
    DROP COLUMN clocked_in_at;
