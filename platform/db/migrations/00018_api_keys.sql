-- What other systems show in the place of an access token.

-- +goose Up
CREATE TABLE api_keys (
    organization_id  uuid        NOT NULL,
    id               uuid        NOT NULL,
    name             text        NOT NULL,
    begins           text        NOT NULL, -- with these characters: by them people recognize a key that they find
    hash             bytea       NOT NULL, -- SHA-256: who reads the table cannot use the key
    permissions      text[]      NOT NULL,
    created_by       uuid        NOT NULL,
    created_at       timestamptz NOT NULL,
    expires_at       timestamptz,
    last_used_at     timestamptz, -- a minute late
    revoked_by       uuid,
    revoked_at       timestamptz, -- the row stays: the audit trail names the key
    PRIMARY KEY (organization_id, id),
    CONSTRAINT api_keys_organization FOREIGN KEY (organization_id) REFERENCES organizations (id),
    CONSTRAINT api_keys_maker FOREIGN KEY (organization_id, created_by) REFERENCES users (organization_id, id),
    CONSTRAINT api_keys_revoker FOREIGN KEY (organization_id, revoked_by) REFERENCES users (organization_id, id),
    CONSTRAINT api_keys_revoked CHECK ((revoked_at IS NULL) = (revoked_by IS NULL)),
    CONSTRAINT api_keys_hash CHECK (length(hash) = 32)
);

-- Whoever comes with a key is nobody yet: it is the key alone by which it is found.
CREATE UNIQUE INDEX api_keys_by_hash ON api_keys (hash);

-- +goose Down
DROP TABLE api_keys;
