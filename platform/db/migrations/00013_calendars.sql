-- Reminders that have been told, each once for an appointment, its start, and how long before; and the secret links
-- under which calendar programs read appointments.

-- +goose Up
CREATE TABLE appointment_reminders (
    organization_id  uuid        NOT NULL,
    appointment_id   uuid        NOT NULL,
    starts_at        timestamptz NOT NULL, -- of the appointment as it was then: moved, it is reminded of anew
    minutes_before   integer     NOT NULL,
    told_at          timestamptz NOT NULL,
    PRIMARY KEY (organization_id, appointment_id, starts_at, minutes_before)
);

CREATE INDEX appointment_reminders_by_start ON appointment_reminders (starts_at);

CREATE TABLE calendar_feeds (
    organization_id  uuid        NOT NULL,
    id               uuid        NOT NULL,
    practitioner_id  uuid,
    patient_id       uuid,
    token_hash       bytea       NOT NULL, -- SHA-256: who reads the table cannot read the calendar
    created_by       uuid        NOT NULL,
    created_at       timestamptz NOT NULL,
    PRIMARY KEY (organization_id, id),
    CONSTRAINT calendar_feeds_one_owner CHECK (num_nonnulls(practitioner_id, patient_id) = 1),
    CONSTRAINT calendar_feeds_practitioner FOREIGN KEY (organization_id, practitioner_id)
        REFERENCES practitioners (organization_id, id),
    CONSTRAINT calendar_feeds_patient FOREIGN KEY (organization_id, patient_id)
        REFERENCES patients (organization_id, id)
);

-- Whoever comes with a link is nobody: it is the token alone by which the feed is found.
CREATE UNIQUE INDEX calendar_feeds_token ON calendar_feeds (token_hash);

-- +goose Down
DROP TABLE calendar_feeds;
DROP TABLE appointment_reminders;
