-- An e-mail address belongs to a user within an organization: one person may have accounts in several of them.

-- +goose Up
-- The address leads, since a sign-in may name no organization. The constraint keeps its name, by which programs of the
-- schema before recognize its violation.
ALTER TABLE users
    DROP CONSTRAINT users_email_once,
    ADD CONSTRAINT users_email_once UNIQUE (email, organization_id);

-- The salt of all password hashes of an address, whichever organization the account belongs to: one computation
-- compares a password with all of them, so a sign-in takes as long for many accounts as for none. It belongs to no
-- organization, and says of no address that it has an account.
CREATE TABLE password_salts (
    email  text  NOT NULL,
    salt   bytea NOT NULL,
    PRIMARY KEY (email),
    CONSTRAINT password_salts_email_lower_case CHECK (email = lower(email)),
    CONSTRAINT password_salts_length CHECK (length(salt) = 16)
);

-- Addresses were unique until now, so the salt of each is that of its one hash: $argon2id$v=…$m=…$salt$key, in base64
-- without padding.
INSERT INTO password_salts (email, salt)
SELECT email, decode(split_part(password_hash, '$', 5) || '==', 'base64')
FROM users
WHERE password_hash LIKE '$argon2id$%' AND length(split_part(password_hash, '$', 5)) = 22;

-- +goose Down
DROP TABLE password_salts;
ALTER TABLE users
    DROP CONSTRAINT users_email_once,
    ADD CONSTRAINT users_email_once UNIQUE (email);
