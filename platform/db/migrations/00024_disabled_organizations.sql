-- Organizations that nobody comes into for now.

-- +goose Up
ALTER TABLE organizations ADD COLUMN disabled boolean NOT NULL DEFAULT false;

-- +goose Down
ALTER TABLE organizations DROP COLUMN disabled;
