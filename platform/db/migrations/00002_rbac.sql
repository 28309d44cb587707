-- Who may sign in, and in which roles: permissions follow from the roles and are not stored here.

-- +goose Up
CREATE TABLE users (
    organization_id  uuid        NOT NULL,
    id               uuid        NOT NULL,
    email            text        NOT NULL,
    name             text        NOT NULL,
    password_hash    text        NOT NULL, -- argon2id, with its parameters and salt in the encoded form
    status           text        NOT NULL DEFAULT 'ACTIVE',
    version          integer     NOT NULL DEFAULT 1,
    created_at       timestamptz NOT NULL,
    updated_at       timestamptz NOT NULL,
    PRIMARY KEY (organization_id, id),
    CONSTRAINT users_organization FOREIGN KEY (organization_id) REFERENCES organizations (id),
    -- The one key that no organization leads: at sign-in the e-mail is all there is, and the organization is read
    -- from the row that it finds.
    CONSTRAINT users_email_once UNIQUE (email),
    CONSTRAINT users_email_lower_case CHECK (email = lower(email)),
    CONSTRAINT users_status CHECK (status IN ('ACTIVE', 'DISABLED'))
);

CREATE TABLE user_roles (
    organization_id  uuid NOT NULL,
    user_id          uuid NOT NULL,
    role             text NOT NULL,
    PRIMARY KEY (organization_id, user_id, role),
    CONSTRAINT user_roles_user FOREIGN KEY (organization_id, user_id) REFERENCES users (organization_id, id),
    CONSTRAINT user_roles_role CHECK (role IN
        ('ADMIN', 'SCHEDULER', 'PRACTITIONER', 'TECHNICIAN', 'BILLER', 'AUDITOR', 'PATIENT', 'SUPER_ADMIN'))
);

-- +goose Down
DROP TABLE user_roles;
DROP TABLE users;
