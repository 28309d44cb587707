-- Who administers: invitations, permission sets that organizations have changed, which patients a practitioner looks
-- after, and whose records a patient or guardian may see.

-- +goose Up
-- A user who is also a practitioner: what is "one's own" and "one's caseload" follows from it.
ALTER TABLE users
    ADD COLUMN practitioner_id uuid,
    ADD CONSTRAINT users_practitioner FOREIGN KEY (organization_id, practitioner_id)
        REFERENCES practitioners (organization_id, id),
    ADD CONSTRAINT users_practitioner_once UNIQUE (organization_id, practitioner_id);

-- Patients that are assigned to a practitioner.
CREATE TABLE caseloads (
    organization_id  uuid        NOT NULL,
    practitioner_id  uuid        NOT NULL,
    patient_id       uuid        NOT NULL,
    assigned_at      timestamptz NOT NULL,
    assigned_by      uuid        NOT NULL,
    PRIMARY KEY (organization_id, practitioner_id, patient_id),
    CONSTRAINT caseloads_practitioner FOREIGN KEY (organization_id, practitioner_id)
        REFERENCES practitioners (organization_id, id),
    CONSTRAINT caseloads_patient FOREIGN KEY (organization_id, patient_id)
        REFERENCES patients (organization_id, id)
);

CREATE INDEX caseloads_by_patient ON caseloads (organization_id, patient_id, practitioner_id);

-- Patients whose records a user with the role PATIENT may see: one's own, or those of whom one is the guardian.
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
-- A user is one patient at most.
CREATE UNIQUE INDEX guardians_self_once ON guardians (organization_id, user_id) WHERE relation = 'SELF';

-- Administrators are counted before one of them goes.
CREATE INDEX user_roles_by_role ON user_roles (organization_id, role, user_id);

CREATE TABLE invitations (
    organization_id  uuid        NOT NULL,
    id               uuid        NOT NULL,
    email            text        NOT NULL,
    name             text        NOT NULL,
    roles            text[]      NOT NULL,
    token_hash       bytea       NOT NULL, -- SHA-256: who reads the table cannot accept the invitation
    invited_by       uuid        NOT NULL,
    created_at       timestamptz NOT NULL,
    expires_at       timestamptz NOT NULL,
    accepted_at      timestamptz,
    user_id          uuid, -- whom it became
    revoked_at       timestamptz,
    PRIMARY KEY (organization_id, id),
    CONSTRAINT invitations_organization FOREIGN KEY (organization_id) REFERENCES organizations (id),
    CONSTRAINT invitations_user FOREIGN KEY (organization_id, user_id) REFERENCES users (organization_id, id),
    CONSTRAINT invitations_email_lower_case CHECK (email = lower(email)),
    CONSTRAINT invitations_one_end CHECK (num_nonnulls(accepted_at, revoked_at) <= 1),
    CONSTRAINT invitations_accepted CHECK ((accepted_at IS NULL) = (user_id IS NULL)),
    CONSTRAINT invitations_token_hash CHECK (length(token_hash) = 32),
    CONSTRAINT invitations_roles CHECK (cardinality(roles) > 0 AND roles <@ ARRAY
        ['ADMIN', 'SCHEDULER', 'PRACTITIONER', 'TECHNICIAN', 'BILLER', 'AUDITOR', 'PATIENT', 'SUPER_ADMIN'])
);

-- Whoever comes with a link is nobody yet: it is the token alone by which the invitation is found.
CREATE UNIQUE INDEX invitations_token ON invitations (token_hash);

-- What a role may do in an organization that has changed it. Without a row, what is shipped.
CREATE TABLE permission_sets (
    organization_id  uuid        NOT NULL,
    role             text        NOT NULL,
    permissions      jsonb, -- the whole set, permission → scope; null: what is shipped, again
    version          integer     NOT NULL DEFAULT 1,
    changed_at       timestamptz NOT NULL,
    changed_by       uuid        NOT NULL,
    PRIMARY KEY (organization_id, role),
    CONSTRAINT permission_sets_organization FOREIGN KEY (organization_id) REFERENCES organizations (id),
    CONSTRAINT permission_sets_role CHECK (role IN
        ('ADMIN', 'SCHEDULER', 'PRACTITIONER', 'TECHNICIAN', 'BILLER', 'AUDITOR', 'PATIENT')),
    CONSTRAINT permission_sets_object CHECK (jsonb_typeof(permissions) = 'object')
);

-- +goose Down
DROP TABLE permission_sets;
DROP TABLE invitations;
DROP INDEX user_roles_by_role;
DROP TABLE guardians;
DROP TABLE caseloads;
ALTER TABLE users DROP COLUMN practitioner_id;
