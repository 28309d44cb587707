-- Users and their roles, sign-ins, second factors, identity providers, API keys and invitations.

-- +goose Up
CREATE TABLE users (
    organization_id  uuid        NOT NULL,
    id               uuid        NOT NULL,
    email            text        NOT NULL,
    name             text        NOT NULL,
    password_hash    text        NOT NULL, -- argon2id, with its parameters and its salt
    status           text        NOT NULL DEFAULT 'ACTIVE',
    version          integer     NOT NULL DEFAULT 1,
    created_at       timestamptz NOT NULL,
    updated_at       timestamptz NOT NULL,
    token_epoch      bigint      NOT NULL DEFAULT 0, -- access tokens of an earlier epoch are revoked
    practitioner_id  uuid, -- the user's own practitioner; the user's caseload follows from it
    -- the last time that an administrator lifted the locks of the sign-in; later attempts are counted separately
    unlocked_at      timestamptz,
    PRIMARY KEY (organization_id, id),
    CONSTRAINT users_organization FOREIGN KEY (organization_id) REFERENCES organizations (id),
    -- The address leads, because a sign-in may name no organization.
    CONSTRAINT users_email_once UNIQUE (email, organization_id),
    CONSTRAINT users_email_lower_case CHECK (email = lower(email)),
    CONSTRAINT users_status CHECK (status IN ('ACTIVE', 'DISABLED')),
    CONSTRAINT users_practitioner FOREIGN KEY (organization_id, practitioner_id)
        REFERENCES practitioners (organization_id, id),
    CONSTRAINT users_practitioner_once UNIQUE (organization_id, practitioner_id)
);

CREATE TABLE user_roles (
    organization_id  uuid NOT NULL,
    user_id          uuid NOT NULL,
    role             text NOT NULL,
    PRIMARY KEY (organization_id, user_id, role),
    CONSTRAINT user_roles_user FOREIGN KEY (organization_id, user_id) REFERENCES users (organization_id, id),
    CONSTRAINT user_roles_role CHECK (
        role IN ('ADMIN', 'SCHEDULER', 'PRACTITIONER', 'TECHNICIAN', 'BILLER', 'AUDITOR', 'PATIENT', 'SUPER_ADMIN'))
);

-- Administrators are counted before one of them is removed.
CREATE INDEX user_roles_by_role ON user_roles (organization_id, role, user_id);

-- The permissions of a role in an organization that has changed them. Without a row, the role has its defaults.
CREATE TABLE permission_sets (
    organization_id  uuid        NOT NULL,
    role             text        NOT NULL,
    permissions      jsonb, -- permission → scope; null: the defaults
    version          integer     NOT NULL DEFAULT 1,
    changed_at       timestamptz NOT NULL,
    changed_by       uuid        NOT NULL,
    PRIMARY KEY (organization_id, role),
    CONSTRAINT permission_sets_organization FOREIGN KEY (organization_id) REFERENCES organizations (id),
    CONSTRAINT permission_sets_role CHECK (
        role IN ('ADMIN', 'SCHEDULER', 'PRACTITIONER', 'TECHNICIAN', 'BILLER', 'AUDITOR', 'PATIENT')),
    CONSTRAINT permission_sets_object CHECK (jsonb_typeof(permissions) = 'object')
);

-- Patients assigned to a practitioner.
CREATE TABLE caseloads (
    organization_id  uuid        NOT NULL,
    practitioner_id  uuid        NOT NULL,
    patient_id       uuid        NOT NULL,
    assigned_at      timestamptz NOT NULL,
    assigned_by      uuid        NOT NULL,
    PRIMARY KEY (organization_id, practitioner_id, patient_id),
    CONSTRAINT caseloads_practitioner FOREIGN KEY (organization_id, practitioner_id)
        REFERENCES practitioners (organization_id, id),
    CONSTRAINT caseloads_patient FOREIGN KEY (organization_id, patient_id) REFERENCES patients (organization_id, id)
);

CREATE INDEX caseloads_by_patient ON caseloads (organization_id, patient_id, practitioner_id);

-- Patients whose records a user with the role PATIENT may see: the user, or patients of whom the user is a guardian.
CREATE TABLE guardians (
    organization_id  uuid        NOT NULL,
    user_id          uuid        NOT NULL,
    patient_id       uuid        NOT NULL,
    relation         text        NOT NULL,
    granted_at       timestamptz NOT NULL,
    granted_by       uuid        NOT NULL,
    PRIMARY KEY (organization_id, user_id, patient_id),
    CONSTRAINT guardians_user FOREIGN KEY (organization_id, user_id) REFERENCES users (organization_id, id),
    CONSTRAINT guardians_patient FOREIGN KEY (organization_id, patient_id) REFERENCES patients (organization_id, id),
    CONSTRAINT guardians_relation CHECK (relation IN ('SELF', 'GUARDIAN'))
);

CREATE INDEX guardians_by_patient ON guardians (organization_id, patient_id, user_id);
-- A user is at most one patient.
CREATE UNIQUE INDEX guardians_self_once ON guardians (organization_id, user_id) WHERE relation = 'SELF';

CREATE TABLE invitations (
    organization_id  uuid        NOT NULL,
    id               uuid        NOT NULL,
    email            text        NOT NULL,
    name             text        NOT NULL,
    roles            text[]      NOT NULL,
    token_hash       bytea       NOT NULL, -- SHA-256, so that a reader of the table cannot accept the invitation
    invited_by       uuid        NOT NULL,
    created_at       timestamptz NOT NULL,
    expires_at       timestamptz NOT NULL,
    accepted_at      timestamptz,
    user_id          uuid, -- the new user
    revoked_at       timestamptz,
    PRIMARY KEY (organization_id, id),
    CONSTRAINT invitations_organization FOREIGN KEY (organization_id) REFERENCES organizations (id),
    CONSTRAINT invitations_user FOREIGN KEY (organization_id, user_id) REFERENCES users (organization_id, id),
    CONSTRAINT invitations_email_lower_case CHECK (email = lower(email)),
    CONSTRAINT invitations_one_end CHECK (num_nonnulls(accepted_at, revoked_at) <= 1),
    CONSTRAINT invitations_accepted CHECK ((accepted_at IS NULL) = (user_id IS NULL)),
    CONSTRAINT invitations_token_hash CHECK (length(token_hash) = 32),
    CONSTRAINT invitations_roles CHECK (
        cardinality(roles) > 0 AND roles <@ ARRAY ['ADMIN', 'SCHEDULER', 'PRACTITIONER', 'TECHNICIAN', 'BILLER', 'AUDITOR', 'PATIENT', 'SUPER_ADMIN'])
);

-- No organization leads, because a request has nothing but the token.
CREATE UNIQUE INDEX invitations_token ON invitations (token_hash);

-- A sign-in on one device, from the password to the sign-out. It owns its refresh tokens.
CREATE TABLE sign_ins (
    organization_id  uuid        NOT NULL,
    id               uuid        NOT NULL,
    user_id          uuid        NOT NULL,
    epoch            bigint      NOT NULL, -- the user's epoch; the sign-in ends when the user's epoch changes
    started_at       timestamptz NOT NULL,
    used_at          timestamptz NOT NULL, -- the last refresh
    idle_until       timestamptz NOT NULL, -- the end, unless it is refreshed before
    ends_at          timestamptz NOT NULL, -- the latest end
    ended_at         timestamptz, -- the end before that time
    address          text        NOT NULL, -- of the first connection
    throttle_key     bytea       NOT NULL, -- a keyed hash of the user and the address: see sign_in_failures
    -- with an identity provider, so the second factor of this program is not required
    by_provider      boolean     NOT NULL DEFAULT false,
    repeated_at      timestamptz, -- the last time that a used token was answered again
    has_refresh_tokens boolean   NOT NULL DEFAULT true,
    PRIMARY KEY (organization_id, id),
    CONSTRAINT sign_ins_user FOREIGN KEY (organization_id, user_id) REFERENCES users (organization_id, id)
);

-- For the removal of tokens of ended sign-ins, and later of the sign-ins.
CREATE INDEX sign_ins_by_end ON sign_ins (has_refresh_tokens, least(ended_at, idle_until, ends_at));
CREATE INDEX sign_ins_by_user ON sign_ins (organization_id, user_id, started_at);

-- Tokens that refresh a sign-in. Each is valid once. Used tokens are kept, because a second use shows that the token
-- was stolen.
CREATE TABLE refresh_tokens (
    organization_id  uuid        NOT NULL,
    hash             bytea       NOT NULL, -- SHA-256; the token itself is not stored
    sign_in_id       uuid        NOT NULL,
    issued_at        timestamptz NOT NULL,
    used_at          timestamptz, -- null: valid
    used_from        text, -- the network that used the token
    PRIMARY KEY (organization_id, hash),
    -- No organization leads, because a request has nothing but the token.
    CONSTRAINT refresh_tokens_once UNIQUE (hash),
    CONSTRAINT refresh_tokens_hash CHECK (length(hash) = 32),
    CONSTRAINT refresh_tokens_sign_in FOREIGN KEY (organization_id, sign_in_id)
        REFERENCES sign_ins (organization_id, id) ON DELETE CASCADE
);

CREATE INDEX refresh_tokens_by_sign_in ON refresh_tokens (organization_id, sign_in_id);

-- Revocations that every instance must know at once: see modules/rbac. A row is kept for longer than an access token
-- is valid.
CREATE TABLE access_changes (
    organization_id  uuid        NOT NULL,
    sequence         bigint      GENERATED ALWAYS AS IDENTITY,
    kind             text        NOT NULL, -- of the subject: user, sign-in
    subject_id       uuid        NOT NULL,
    level            bigint      NOT NULL, -- the lowest valid level from now on
    changed_at       timestamptz NOT NULL,
    -- Rows do not become visible in the order of their sequence. A reader that asks for all
    -- transactions since the oldest one that was open at its last read misses none.
    -- +postgresql begin
    transaction      xid8        NOT NULL DEFAULT pg_current_xact_id(),
    -- +postgresql end
    -- +portable begin
    stored_at        timestamptz NOT NULL DEFAULT now(), -- the begin of the transaction
    -- +portable end
    PRIMARY KEY (organization_id, sequence),
    CONSTRAINT access_changes_organization FOREIGN KEY (organization_id) REFERENCES organizations (id)
);

-- For the removal of old rows.
CREATE INDEX access_changes_by_age ON access_changes (changed_at);
-- +postgresql begin
CREATE INDEX access_changes_by_transaction ON access_changes (transaction);
-- +postgresql end
-- +portable begin
CREATE INDEX access_changes_by_transaction ON access_changes (stored_at);
-- +portable end

-- Failed attempts to sign in, for known and unknown addresses alike. A keyed hash stands for the address and the
-- network.
CREATE TABLE sign_in_failures (
    throttle_key  bytea       NOT NULL,
    failures      integer     NOT NULL,
    last_at       timestamptz NOT NULL,
    retry_at      timestamptz NOT NULL, -- earlier attempts are refused without a look at the password
    PRIMARY KEY (throttle_key)
) WITH (fillfactor = 50);

-- For the removal of old rows.
CREATE INDEX sign_in_failures_by_age ON sign_in_failures (last_at);

-- What an organization requires of sign-ins with a password. Without a row, it requires no second factor.
CREATE TABLE sign_in_policies (
    organization_id         uuid        NOT NULL,
    second_factor_required  boolean     NOT NULL,
    version                 integer     NOT NULL DEFAULT 1,
    updated_at              timestamptz NOT NULL,
    PRIMARY KEY (organization_id),
    CONSTRAINT sign_in_policies_organization FOREIGN KEY (organization_id) REFERENCES organizations (id)
);

-- The salt of all password hashes of an address, in whichever organization. A sign-in computes one hash and compares
-- it with all accounts, so it takes equally long for any number of accounts. A row does not show that an account exists.
CREATE TABLE password_salts (
    email  text  NOT NULL,
    salt   bytea NOT NULL,
    PRIMARY KEY (email),
    CONSTRAINT password_salts_email_lower_case CHECK (email = lower(email)),
    CONSTRAINT password_salts_length CHECK (length(salt) = 16)
);

-- Links by which users set a new password. Each is valid once.
CREATE TABLE password_resets (
    organization_id  uuid        NOT NULL,
    user_id          uuid        NOT NULL,
    token_hash       bytea       NOT NULL, -- SHA-256, so that a reader of the table gets no link
    -- the administrator who made the link; the right to do so is checked again at its use; null: the user
    created_by       uuid,
    created_at       timestamptz NOT NULL,
    expires_at       timestamptz NOT NULL,
    -- A new link replaces the previous one.
    PRIMARY KEY (organization_id, user_id),
    CONSTRAINT password_resets_user FOREIGN KEY (organization_id, user_id) REFERENCES users (organization_id, id),
    CONSTRAINT password_resets_creator FOREIGN KEY (organization_id, created_by)
        REFERENCES users (organization_id, id),
    CONSTRAINT password_resets_token_hash CHECK (length(token_hash) = 32)
);

-- For the removal of expired links.
CREATE INDEX password_resets_by_expiry ON password_resets (expires_at);
-- No organization leads, because a request has nothing but the token.
CREATE UNIQUE INDEX password_resets_token ON password_resets (token_hash);

-- A user's second factor, from the start of its setup. It is required once it is confirmed. An unconfirmed one expires.
CREATE TABLE second_factors (
    organization_id  uuid        NOT NULL,
    user_id          uuid        NOT NULL,
    secret           bytea       NOT NULL, -- encrypted with a key derived from the configuration
    started_at       timestamptz NOT NULL,
    confirmed_at     timestamptz,
    -- The step of 30 seconds whose code was accepted last. Codes of this step and earlier ones are refused.
    last_step        bigint      NOT NULL DEFAULT 0,
    wrong_codes      integer     NOT NULL DEFAULT 0, -- since the last accepted code
    PRIMARY KEY (organization_id, user_id),
    CONSTRAINT second_factors_user FOREIGN KEY (organization_id, user_id) REFERENCES users (organization_id, id)
);

-- For the removal of unconfirmed ones.
CREATE INDEX second_factors_unconfirmed ON second_factors (started_at) WHERE confirmed_at IS NULL;

CREATE TABLE recovery_codes (
    organization_id  uuid        NOT NULL,
    user_id          uuid        NOT NULL,
    hash             bytea       NOT NULL, -- SHA-256; the code itself is not stored
    used_at          timestamptz, -- null: valid
    PRIMARY KEY (organization_id, user_id, hash),
    CONSTRAINT recovery_codes_hash CHECK (length(hash) = 32),
    CONSTRAINT recovery_codes_factor FOREIGN KEY (organization_id, user_id)
        REFERENCES second_factors (organization_id, user_id) ON DELETE CASCADE
);

CREATE TABLE identity_providers (
    organization_id  uuid        NOT NULL,
    issuer           text        NOT NULL,
    client_id        text        NOT NULL,
    client_secret    bytea       NOT NULL, -- encrypted with a key derived from the configuration
    version          integer     NOT NULL DEFAULT 1,
    created_at       timestamptz NOT NULL,
    updated_at       timestamptz NOT NULL,
    set_by           uuid, -- the user who chose issuer and client, and who therefore cannot confirm links
    PRIMARY KEY (organization_id),
    CONSTRAINT identity_providers_organization FOREIGN KEY (organization_id) REFERENCES organizations (id),
    CONSTRAINT identity_providers_set_by FOREIGN KEY (organization_id, set_by) REFERENCES users (organization_id, id)
);

-- Users recognized by their subject at the provider. The e-mail address is used only once, because addresses can
-- change hands.
CREATE TABLE provider_subjects (
    organization_id  uuid        NOT NULL,
    issuer           text        NOT NULL,
    subject          text        NOT NULL,
    user_id          uuid        NOT NULL,
    linked_at        timestamptz NOT NULL,
    confirmed_by     uuid, -- the user, or the administrator who confirmed the link
    PRIMARY KEY (organization_id, issuer, subject),
    CONSTRAINT provider_subjects_user FOREIGN KEY (organization_id, user_id) REFERENCES users (organization_id, id),
    -- Two people of a provider are never one user.
    CONSTRAINT provider_subjects_once UNIQUE (organization_id, user_id, issuer)
);

-- First links of a user to an identity provider. Each waits until the user or another administrator confirms it.
CREATE TABLE provider_link_requests (
    organization_id  uuid        NOT NULL,
    id               uuid        NOT NULL,
    issuer           text        NOT NULL,
    subject          text        NOT NULL,
    user_id          uuid        NOT NULL,
    requested_at     timestamptz NOT NULL,
    expires_at       timestamptz NOT NULL,
    code_hash        bytea, -- SHA-256 of the code of the last sign-in; null: it was used
    challenge        text, -- as in sign_in_codes
    code_expires_at  timestamptz,
    PRIMARY KEY (organization_id, id),
    CONSTRAINT provider_link_requests_once UNIQUE (organization_id, issuer, subject),
    CONSTRAINT provider_link_requests_user FOREIGN KEY (organization_id, user_id)
        REFERENCES users (organization_id, id)
);

-- For the removal of old rows.
CREATE INDEX provider_link_requests_by_age ON provider_link_requests (expires_at);
CREATE INDEX provider_link_requests_by_user ON provider_link_requests (organization_id, user_id);
CREATE UNIQUE INDEX provider_link_requests_code ON provider_link_requests (organization_id, code_hash);

-- The code that a browser returns to the page, which exchanges it for tokens: within a minute, and once.
CREATE TABLE sign_in_codes (
    organization_id  uuid        NOT NULL,
    hash             bytea       NOT NULL, -- SHA-256
    user_id          uuid        NOT NULL,
    challenge        text        NOT NULL, -- SHA-256 of a secret that only the page knows
    expires_at       timestamptz NOT NULL,
    PRIMARY KEY (organization_id, hash),
    CONSTRAINT sign_in_codes_user FOREIGN KEY (organization_id, user_id) REFERENCES users (organization_id, id)
);

CREATE INDEX sign_in_codes_by_expiry ON sign_in_codes (organization_id, expires_at);

CREATE TABLE api_keys (
    organization_id  uuid        NOT NULL,
    id               uuid        NOT NULL,
    name             text        NOT NULL,
    prefix           text        NOT NULL, -- the first characters of the key, by which people recognize it
    hash             bytea       NOT NULL, -- SHA-256, so that a reader of the table cannot use the key
    permissions      text[]      NOT NULL,
    created_by       uuid        NOT NULL,
    created_at       timestamptz NOT NULL,
    expires_at       timestamptz,
    last_used_at     timestamptz, -- up to a minute late
    revoked_by       uuid,
    revoked_at       timestamptz, -- the row stays, because the audit trail names the key
    -- the user who is responsible for the key, which is refused while that user is disabled; null: created_by
    owned_by         uuid,
    networks         text[]      NOT NULL DEFAULT '{}', -- from which the key can be used; empty: any
    PRIMARY KEY (organization_id, id),
    CONSTRAINT api_keys_organization FOREIGN KEY (organization_id) REFERENCES organizations (id),
    CONSTRAINT api_keys_maker FOREIGN KEY (organization_id, created_by) REFERENCES users (organization_id, id),
    CONSTRAINT api_keys_revoker FOREIGN KEY (organization_id, revoked_by) REFERENCES users (organization_id, id),
    CONSTRAINT api_keys_revoked CHECK ((revoked_at IS NULL) = (revoked_by IS NULL)),
    CONSTRAINT api_keys_hash CHECK (length(hash) = 32),
    CONSTRAINT api_keys_owner FOREIGN KEY (organization_id, owned_by) REFERENCES users (organization_id, id)
);

-- No organization leads, because a request has nothing but the key.
CREATE UNIQUE INDEX api_keys_by_hash ON api_keys (hash);

SELECT hold_to_organizations('users');
SELECT hold_to_organizations('user_roles');
SELECT hold_to_organizations('permission_sets');
SELECT hold_to_organizations('caseloads');
SELECT hold_to_organizations('guardians');
SELECT hold_to_organizations('invitations');
SELECT hold_to_organizations('sign_ins');
SELECT hold_to_organizations('refresh_tokens');
SELECT hold_to_organizations('access_changes');
SELECT hold_to_organizations('sign_in_policies');
SELECT hold_to_organizations('password_resets');
SELECT hold_to_organizations('second_factors');
SELECT hold_to_organizations('recovery_codes');
SELECT hold_to_organizations('identity_providers');
SELECT hold_to_organizations('provider_subjects');
SELECT hold_to_organizations('provider_link_requests');
SELECT hold_to_organizations('sign_in_codes');
SELECT hold_to_organizations('api_keys');

-- +goose Down
DROP TABLE api_keys;
DROP TABLE sign_in_codes;
DROP TABLE provider_link_requests;
DROP TABLE provider_subjects;
DROP TABLE identity_providers;
DROP TABLE recovery_codes;
DROP TABLE second_factors;
DROP TABLE password_resets;
DROP TABLE password_salts;
DROP TABLE sign_in_policies;
DROP TABLE sign_in_failures;
DROP TABLE access_changes;
DROP TABLE refresh_tokens;
DROP TABLE sign_ins;
DROP TABLE invitations;
DROP TABLE guardians;
DROP TABLE caseloads;
DROP TABLE permission_sets;
DROP TABLE user_roles;
DROP TABLE users;
