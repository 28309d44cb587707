-- Which reminders have been told: each once for an appointment, its start, and how long before.

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

-- +goose Down
DROP TABLE appointment_reminders;
