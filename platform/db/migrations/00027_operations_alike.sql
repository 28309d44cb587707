-- Both memories of operations have the same columns. The authorization of an operation was written in the lane with each
-- of them and read by nobody: what an operation did stands in unit_entries, under its id.

-- +goose Up
ALTER TABLE unit_operations DROP COLUMN authorization_id;

-- +goose Down
ALTER TABLE unit_operations ADD COLUMN authorization_id uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000';
ALTER TABLE unit_operations ALTER COLUMN authorization_id DROP DEFAULT;
