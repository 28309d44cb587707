-- Columns are renamed to the words of the trade: the track of a service, and positions in lists of participants.

-- +goose Up
ALTER TABLE service_codes RENAME COLUMN lane TO track;
ALTER TABLE service_codes RENAME CONSTRAINT service_codes_lane TO service_codes_track;
ALTER TABLE appointment_patients RENAME COLUMN lane TO track;
ALTER TABLE appointment_patients RENAME COLUMN place TO position;
ALTER TABLE appointment_practitioners RENAME COLUMN place TO position;
ALTER TABLE session_patients RENAME COLUMN place TO position;
ALTER TABLE appointment_reminders RENAME COLUMN told_at TO published_at;

-- Servers without the extension btree_gist do not have the constraint.
-- +goose StatementBegin
DO $$ BEGIN
    IF EXISTS (SELECT FROM pg_constraint WHERE conname = 'appointment_patients_once_in_each_lane') THEN
        ALTER TABLE appointment_patients RENAME CONSTRAINT appointment_patients_once_in_each_lane TO appointment_patients_once_in_each_track;
    END IF;
END $$;
-- +goose StatementEnd

-- Older programs use the old names.
UPDATE schema_compatibility SET oldest_program = 56;

-- +goose Down
UPDATE schema_compatibility SET oldest_program = 55;

-- +goose StatementBegin
DO $$ BEGIN
    IF EXISTS (SELECT FROM pg_constraint WHERE conname = 'appointment_patients_once_in_each_track') THEN
        ALTER TABLE appointment_patients RENAME CONSTRAINT appointment_patients_once_in_each_track TO appointment_patients_once_in_each_lane;
    END IF;
END $$;
-- +goose StatementEnd

ALTER TABLE appointment_reminders RENAME COLUMN published_at TO told_at;
ALTER TABLE session_patients RENAME COLUMN position TO place;
ALTER TABLE appointment_practitioners RENAME COLUMN position TO place;
ALTER TABLE appointment_patients RENAME COLUMN position TO place;
ALTER TABLE appointment_patients RENAME COLUMN track TO lane;
ALTER TABLE service_codes RENAME CONSTRAINT service_codes_track TO service_codes_lane;
ALTER TABLE service_codes RENAME COLUMN track TO lane;
