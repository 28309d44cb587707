-- The language of mail, and the mail that users want.

-- +goose Up
-- Without a row, an organization's mail is in English, and reminders do not name the practice.
CREATE TABLE mail_settings (
    organization_id  uuid        NOT NULL,
    language         text        NOT NULL, -- of users without a preference, and of people who are not users yet
    names_practice   boolean     NOT NULL, -- in reminders of appointments
    updated_at       timestamptz NOT NULL,
    PRIMARY KEY (organization_id),
    CONSTRAINT mail_settings_organization FOREIGN KEY (organization_id) REFERENCES organizations (id),
    CONSTRAINT mail_settings_language CHECK (language IN ('en', 'es'))
);

-- Without a row, a user gets only the mail about the user's own account.
CREATE TABLE mail_preferences (
    organization_id        uuid        NOT NULL,
    user_id                uuid        NOT NULL,
    language               text, -- null: the organization's
    alert_digest           boolean     NOT NULL, -- every morning
    appointment_reminders  boolean     NOT NULL, -- for the patients of whom the user is a guardian
    digest_on              date, -- the day of the last digest, in the practice's zone
    updated_at             timestamptz NOT NULL,
    PRIMARY KEY (organization_id, user_id),
    CONSTRAINT mail_preferences_user FOREIGN KEY (organization_id, user_id) REFERENCES users (organization_id, id),
    CONSTRAINT mail_preferences_language CHECK (language IN ('en', 'es'))
);

-- For the digests that are due.
CREATE INDEX mail_preferences_digest ON mail_preferences (digest_on NULLS FIRST) WHERE alert_digest;

SELECT hold_to_organizations('mail_settings');
SELECT hold_to_organizations('mail_preferences');

-- +goose Down
DROP TABLE mail_preferences;
DROP TABLE mail_settings;
