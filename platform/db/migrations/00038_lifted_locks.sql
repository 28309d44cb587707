-- When an administrator has lifted the locks of a user's sign-in.

-- +goose Up
-- Attempts since then have a count of their own: see modules/rbac/unlock.go.
ALTER TABLE users ADD COLUMN lifted_at timestamptz;

-- +goose Down
ALTER TABLE users DROP COLUMN lifted_at;
