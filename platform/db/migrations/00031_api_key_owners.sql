-- Who answers for an API key, and from where it may be used.

-- +goose Up
-- owned_by is the user who answers for the key: it is refused while that user is disabled. None: created_by.
ALTER TABLE api_keys
    ADD COLUMN owned_by uuid,
    ADD COLUMN networks text[] NOT NULL DEFAULT '{}'; -- in which the key may be used; none: anywhere
ALTER TABLE api_keys ADD CONSTRAINT api_keys_owner FOREIGN KEY (organization_id, owned_by)
    REFERENCES users (organization_id, id);
-- Keys without an end get one: a year from now.
UPDATE api_keys SET expires_at = date_trunc('second', now()) + interval '1 year'
WHERE expires_at IS NULL AND revoked_at IS NULL;

-- +goose Down
ALTER TABLE api_keys DROP CONSTRAINT api_keys_owner, DROP COLUMN networks, DROP COLUMN owned_by;
