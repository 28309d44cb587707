-- Identity providers of organizations, and whom they have recognized.

-- +goose Up
CREATE TABLE identity_providers (
    organization_id  uuid        NOT NULL,
    issuer           text        NOT NULL,
    client_id        text        NOT NULL,
    client_secret    bytea       NOT NULL, -- encrypted under a key that the configuration's secret gives
    version          integer     NOT NULL DEFAULT 1,
    created_at       timestamptz NOT NULL,
    updated_at       timestamptz NOT NULL,
    PRIMARY KEY (organization_id),
    CONSTRAINT identity_providers_organization FOREIGN KEY (organization_id) REFERENCES organizations (id)
);

-- Whom a provider means by a subject: found by the e-mail address once, and by the subject from then on, since
-- addresses change hands.
CREATE TABLE provider_subjects (
    organization_id  uuid        NOT NULL,
    issuer           text        NOT NULL,
    subject          text        NOT NULL,
    user_id          uuid        NOT NULL,
    linked_at        timestamptz NOT NULL,
    PRIMARY KEY (organization_id, issuer, subject),
    CONSTRAINT provider_subjects_user FOREIGN KEY (organization_id, user_id) REFERENCES users (organization_id, id),
    -- Two people of a provider are not one of ours.
    CONSTRAINT provider_subjects_once UNIQUE (organization_id, user_id, issuer)
);

-- What a browser brings back to the page that asked for it, and the page exchanges for tokens: for a minute, and once.
CREATE TABLE sign_in_codes (
    organization_id  uuid        NOT NULL,
    hash             bytea       NOT NULL, -- SHA-256
    user_id          uuid        NOT NULL,
    challenge        text        NOT NULL, -- SHA-256 of what only that page knows
    expires_at       timestamptz NOT NULL,
    PRIMARY KEY (organization_id, hash),
    CONSTRAINT sign_in_codes_user FOREIGN KEY (organization_id, user_id) REFERENCES users (organization_id, id)
);

CREATE INDEX sign_in_codes_by_expiry ON sign_in_codes (organization_id, expires_at);

SELECT hold_to_organizations('identity_providers');
SELECT hold_to_organizations('provider_subjects');
SELECT hold_to_organizations('sign_in_codes');

-- +goose Down
DROP TABLE sign_in_codes;
DROP TABLE provider_subjects;
DROP TABLE identity_providers;
