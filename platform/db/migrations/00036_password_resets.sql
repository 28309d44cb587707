-- Links by which users set a new password, each good once.

-- +goose Up
CREATE TABLE password_resets (
    organization_id  uuid        NOT NULL,
    user_id          uuid        NOT NULL,
    token_hash       bytea       NOT NULL, -- SHA-256: reading the table gives no link
    -- The administrator who made it, whose power over the user is checked again when it is used; null: the user asked
    -- for it by mail.
    created_by       uuid,
    created_at       timestamptz NOT NULL,
    expires_at       timestamptz NOT NULL,
    PRIMARY KEY (organization_id, user_id), -- the newest replaces the one before
    CONSTRAINT password_resets_user FOREIGN KEY (organization_id, user_id) REFERENCES users (organization_id, id),
    CONSTRAINT password_resets_creator FOREIGN KEY (organization_id, created_by) REFERENCES users (organization_id, id),
    CONSTRAINT password_resets_token_hash CHECK (length(token_hash) = 32)
);

-- No organization leads: who comes with a link is not signed in.
CREATE UNIQUE INDEX password_resets_token ON password_resets (token_hash);

-- Expired ones are removed by it.
CREATE INDEX password_resets_by_expiry ON password_resets (expires_at);

SELECT hold_to_organizations('password_resets');

-- +goose Down
DROP TABLE password_resets;
