-- The first link of an account to an identity provider waits until its owner or a second administrator confirms it.

-- +goose Up
-- set_by is the user who chose the provider's issuer and client: they cannot confirm links to it.
ALTER TABLE identity_providers ADD COLUMN set_by uuid;
UPDATE identity_providers p SET set_by = (
    SELECT e.actor_id FROM audit_events e JOIN users u ON u.organization_id = e.organization_id AND u.id = e.actor_id
    WHERE e.organization_id = p.organization_id AND e.action = 'identity-provider.set' AND e.outcome = 'done'
      AND (e.before IS NULL OR e.before::jsonb ->> 'issuer' IS DISTINCT FROM e.after::jsonb ->> 'issuer'
           OR e.before::jsonb ->> 'clientId' IS DISTINCT FROM e.after::jsonb ->> 'clientId')
    ORDER BY e.occurred_at DESC, e.sequence DESC LIMIT 1);
ALTER TABLE identity_providers ADD CONSTRAINT identity_providers_set_by FOREIGN KEY (organization_id, set_by)
    REFERENCES users (organization_id, id);

-- confirmed_by is the account's owner or the administrator who confirmed the link; none in links from before.
ALTER TABLE provider_subjects ADD COLUMN confirmed_by uuid;

-- A table of its own, and no column of sign_in_codes: a program of the version before must not exchange such a code.
CREATE TABLE provider_link_requests (
    organization_id  uuid        NOT NULL,
    id               uuid        NOT NULL,
    issuer           text        NOT NULL,
    subject          text        NOT NULL,
    user_id          uuid        NOT NULL,
    requested_at     timestamptz NOT NULL,
    expires_at       timestamptz NOT NULL,
    code_hash        bytea,       -- SHA-256 of the code of the last sign-in; none: it was used up
    challenge        text,        -- as in sign_in_codes
    code_expires_at  timestamptz,
    PRIMARY KEY (organization_id, id),
    CONSTRAINT provider_link_requests_once UNIQUE (organization_id, issuer, subject),
    CONSTRAINT provider_link_requests_user FOREIGN KEY (organization_id, user_id) REFERENCES users (organization_id, id)
);
CREATE UNIQUE INDEX provider_link_requests_code ON provider_link_requests (organization_id, code_hash);
CREATE INDEX provider_link_requests_by_user ON provider_link_requests (organization_id, user_id);

SELECT hold_to_organizations('provider_link_requests');

-- +goose Down
DROP TABLE provider_link_requests;
ALTER TABLE provider_subjects DROP COLUMN confirmed_by;
ALTER TABLE identity_providers DROP CONSTRAINT identity_providers_set_by, DROP COLUMN set_by;
