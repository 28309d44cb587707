-- Second factors of users: codes of an authenticator app (RFC 6238), and codes for the day when it is lost.

-- +goose Up
-- A user's, from when it is begun. It counts once it is confirmed; what is not confirmed in time is void.
CREATE TABLE second_factors (
    organization_id  uuid        NOT NULL,
    user_id          uuid        NOT NULL,
    secret           bytea       NOT NULL, -- encrypted under a key that the configuration's secret gives
    begun_at         timestamptz NOT NULL,
    confirmed_at     timestamptz,
    -- The step of 30 seconds whose code was accepted last: none up to it is accepted again.
    last_step        bigint      NOT NULL DEFAULT 0,
    -- Wrong codes since the last right one.
    wrong_codes      integer     NOT NULL DEFAULT 0,
    PRIMARY KEY (organization_id, user_id),
    CONSTRAINT second_factors_user FOREIGN KEY (organization_id, user_id) REFERENCES users (organization_id, id)
);

CREATE TABLE recovery_codes (
    organization_id  uuid        NOT NULL,
    user_id          uuid        NOT NULL,
    hash             bytea       NOT NULL, -- SHA-256; the code itself is kept nowhere
    used_at          timestamptz,          -- none: it is good
    PRIMARY KEY (organization_id, user_id, hash),
    CONSTRAINT recovery_codes_hash CHECK (length(hash) = 32),
    CONSTRAINT recovery_codes_factor FOREIGN KEY (organization_id, user_id)
        REFERENCES second_factors (organization_id, user_id) ON DELETE CASCADE
);

-- What an organization asks of those who sign in with a password. Where there is no row it asks for nothing more.
CREATE TABLE sign_in_policies (
    organization_id         uuid        NOT NULL,
    second_factor_required  boolean     NOT NULL,
    version                 integer     NOT NULL DEFAULT 1,
    updated_at              timestamptz NOT NULL,
    PRIMARY KEY (organization_id),
    CONSTRAINT sign_in_policies_organization FOREIGN KEY (organization_id) REFERENCES organizations (id)
);

-- By an identity provider, which asks for what it wants: none of this is asked of them.
ALTER TABLE sign_ins ADD COLUMN by_provider boolean NOT NULL DEFAULT false;

SELECT hold_to_organizations('second_factors');
SELECT hold_to_organizations('recovery_codes');
SELECT hold_to_organizations('sign_in_policies');

-- +goose Down
ALTER TABLE sign_ins DROP COLUMN by_provider;
DROP TABLE sign_in_policies;
DROP TABLE recovery_codes;
DROP TABLE second_factors;
