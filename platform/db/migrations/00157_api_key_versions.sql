-- The version of the API to which an API key is pinned.

-- +goose Up
ALTER TABLE api_keys ADD COLUMN api_version text; -- null: the default version

-- +goose Down
ALTER TABLE api_keys DROP COLUMN api_version;
