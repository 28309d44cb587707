-- Clock-ins and clock-outs of appointments, modifiers of authorizations, and dated rules for modifiers
-- and notes.

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

-- Modifier rules of payers that apply from a service date on: [{"StartsOn": …, "Rules": […]}], in order. Before the
-- first of them, modifier_rules apply.
ALTER TABLE payers ADD COLUMN modifier_rule_changes jsonb NOT NULL DEFAULT '[]';

-- Rules for notes that apply from a service date on: [{"StartsOn": …, "Rule": … or null}], in order. Before the first
-- of them, the rule in note applies.
ALTER TABLE service_codes ADD COLUMN note_changes jsonb NOT NULL DEFAULT '[]';

-- +goose Down
ALTER TABLE service_codes DROP COLUMN note_changes;
ALTER TABLE payers DROP COLUMN modifier_rule_changes;
ALTER TABLE authorizations DROP COLUMN modifiers;
ALTER TABLE appointments
    DROP COLUMN clock_out_longitude,
    DROP COLUMN clock_out_latitude,
    DROP COLUMN clocked_out_at,
    DROP COLUMN clock_in_longitude,
    DROP COLUMN clock_in_latitude,
    DROP COLUMN clocked_in_at;
