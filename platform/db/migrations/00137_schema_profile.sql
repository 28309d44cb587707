-- The profile with which the schema was created: see docs/decisions/0068-portable-profile.md.

-- +goose Up
ALTER TABLE schema_compatibility ADD COLUMN profile text NOT NULL DEFAULT 'postgresql';
-- +portable begin
UPDATE schema_compatibility SET profile = 'portable';
-- +portable end

-- +goose Down
ALTER TABLE schema_compatibility DROP COLUMN profile;
