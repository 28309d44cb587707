-- Sign-ins of users, and what ends them before their time.

-- +goose Up
-- Tokens of an epoch before this one hold no more: it is raised by whatever must end everything that the user has.
ALTER TABLE users ADD COLUMN token_epoch bigint NOT NULL DEFAULT 0;

-- What every instance must know at once of who may still do what: see modules/rbac/standing.go. Rows live for about a
-- day, longer than any access token.
CREATE TABLE access_changes (
    organization_id  uuid        NOT NULL,
    sequence         bigint      GENERATED ALWAYS AS IDENTITY,
    kind             text        NOT NULL, -- of what: user, sign-in
    subject_id       uuid        NOT NULL, -- its id
    level            bigint      NOT NULL, -- the least that is good from now on
    changed_at       timestamptz NOT NULL,
    -- Rows become visible in another order than that of their sequence; a reader that asks for all transactions from
    -- the oldest on that was still open at its last look misses none.
    transaction      xid8        NOT NULL DEFAULT pg_current_xact_id(),
    PRIMARY KEY (organization_id, sequence),
    CONSTRAINT access_changes_organization FOREIGN KEY (organization_id) REFERENCES organizations (id)
);
CREATE INDEX access_changes_by_transaction ON access_changes (transaction);

-- A sign-in on one device, from the password to the sign-out: the family of its refresh tokens.
CREATE TABLE sign_ins (
    organization_id  uuid        NOT NULL,
    id               uuid        NOT NULL,
    user_id          uuid        NOT NULL,
    epoch            bigint      NOT NULL, -- of the user; once theirs is another, the sign-in is over
    started_at       timestamptz NOT NULL,
    used_at          timestamptz NOT NULL, -- when it was refreshed last
    idle_until       timestamptz NOT NULL, -- unless it is refreshed before
    ends_at          timestamptz NOT NULL, -- whatever is done
    ended_at         timestamptz,          -- before its time
    address          text        NOT NULL, -- of the connection it began by
    place            bytea       NOT NULL, -- stands for user and address: see sign_in_failures
    PRIMARY KEY (organization_id, id),
    CONSTRAINT sign_ins_user FOREIGN KEY (organization_id, user_id) REFERENCES users (organization_id, id)
);
CREATE INDEX sign_ins_by_user ON sign_ins (organization_id, user_id, started_at);

-- Tokens that refresh a sign-in, each good once. Those that were used are kept with it: to use one again gives it away
-- as stolen.
CREATE TABLE refresh_tokens (
    organization_id  uuid        NOT NULL,
    hash             bytea       NOT NULL, -- SHA-256; the token itself is kept nowhere
    sign_in_id       uuid        NOT NULL,
    issued_at        timestamptz NOT NULL,
    used_at          timestamptz, -- none: the one that is good
    PRIMARY KEY (organization_id, hash),
    -- No organization leads: the token is all there is when one comes.
    CONSTRAINT refresh_tokens_once UNIQUE (hash),
    CONSTRAINT refresh_tokens_hash CHECK (length(hash) = 32),
    CONSTRAINT refresh_tokens_sign_in FOREIGN KEY (organization_id, sign_in_id) REFERENCES sign_ins (organization_id, id) ON DELETE CASCADE
);
CREATE INDEX refresh_tokens_by_sign_in ON refresh_tokens (organization_id, sign_in_id);

-- Attempts to sign in that have not led to a sign-in, of addresses that somebody has and that nobody has alike. So no
-- organization, and no address either: a keyed hash stands for it.
CREATE TABLE sign_in_failures (
    place            bytea       NOT NULL,
    failures         integer     NOT NULL,
    last_at          timestamptz NOT NULL,
    open_at          timestamptz NOT NULL, -- before, no password is looked at
    PRIMARY KEY (place)
) WITH (fillfactor = 50);

-- +goose Down
DROP TABLE sign_in_failures;
DROP TABLE refresh_tokens;
DROP TABLE sign_ins;
DROP TABLE access_changes;
ALTER TABLE users DROP COLUMN token_epoch;
