-- Appointments, sessions, availability and calendar links.

-- +goose Up
-- The recurrence rule of appointments that were booked together.
CREATE TABLE appointment_series (
    organization_id  uuid        NOT NULL,
    id               uuid        NOT NULL,
    recurrence_rule  text        NOT NULL,
    created_by       uuid        NOT NULL,
    created_at       timestamptz NOT NULL,
    PRIMARY KEY (organization_id, id),
    CONSTRAINT appointment_series_organization FOREIGN KEY (organization_id) REFERENCES organizations (id)
);

-- Participants and their times are rows of their own, because overlaps are checked by participant.
CREATE TABLE appointments (
    organization_id  uuid        NOT NULL,
    id               uuid        NOT NULL,
    service_code_id  uuid        NOT NULL,
    status           text        NOT NULL,
    starts_at        timestamptz NOT NULL,
    ends_at          timestamptz NOT NULL,
    service_date     date        NOT NULL, -- the date of the start, in the organization's time zone
    notes            text,
    series_id        uuid,
    session_id       uuid, -- of a completed appointment
    started_at       timestamptz,
    cancelled_at     timestamptz, -- also for a no-show
    cancelled_by     uuid,
    cancel_reason    text,
    late_cancel      boolean     NOT NULL DEFAULT false,
    created_by       uuid        NOT NULL,
    version          integer     NOT NULL DEFAULT 1,
    created_at       timestamptz NOT NULL,
    updated_at       timestamptz NOT NULL,
    reopened_at      timestamptz, -- the last time that a start was undone
    reopened_by      uuid,
    reopen_reason    text,
    PRIMARY KEY (organization_id, id),
    CONSTRAINT appointments_service_code FOREIGN KEY (organization_id, service_code_id)
        REFERENCES service_codes (organization_id, id),
    CONSTRAINT appointments_status CHECK (status IN ('SCHEDULED', 'IN_PROGRESS', 'COMPLETED', 'CANCELLED', 'NO_SHOW')),
    CONSTRAINT appointments_times_in_order CHECK (starts_at < ends_at AND ends_at <= starts_at + interval '24 hours'),
    CONSTRAINT appointments_whole_minutes CHECK (
         date_trunc('minute', starts_at, 'UTC') = starts_at AND date_trunc('minute', ends_at, 'UTC') = ends_at),
    CONSTRAINT appointments_session_where_completed CHECK ((session_id IS NOT NULL) = (status = 'COMPLETED')),
    CONSTRAINT appointments_series FOREIGN KEY (organization_id, series_id)
        REFERENCES appointment_series (organization_id, id),
    CONSTRAINT appointments_reopened_whole CHECK (
        (reopened_at IS NULL) = (reopened_by IS NULL) AND (reopened_at IS NULL) = (reopen_reason IS NULL))
) WITH (fillfactor = 80);

CREATE INDEX appointments_by_series ON appointments (organization_id, series_id) WHERE series_id IS NOT NULL;
-- The calendar. Every version is positive. The condition keeps this index out of look-ups of one appointment, where
-- SSI would lock everything that the scan passes.
CREATE INDEX appointments_by_start ON appointments (organization_id, starts_at) WHERE version > 0;

-- Times and tracks are repeated here, because the columns of an exclusion constraint are in one table. A row occupies
-- its time unless the appointment is cancelled or a no-show.
CREATE TABLE appointment_patients (
    organization_id     uuid        NOT NULL,
    appointment_id      uuid        NOT NULL,
    patient_id          uuid        NOT NULL,
    position            integer     NOT NULL, -- 0, 1, …: the order in which the patients were named
    authorization_id    uuid        NOT NULL,
    reservation_id      uuid, -- null: the time was never long enough for a unit
    units               integer     NOT NULL,
    minutes             integer     NOT NULL,
    unit_minutes        integer     NOT NULL, -- the rule by which the units were computed
    rounding            text        NOT NULL,
    rounding_starts_on  date        NOT NULL,
    track               text        NOT NULL,
    code                text        NOT NULL,
    starts_at           timestamptz NOT NULL,
    ends_at             timestamptz NOT NULL,
    occupies            boolean     NOT NULL,
    worked_starts_at    timestamptz, -- the time of the session; null: not completed
    worked_ends_at      timestamptz,
    -- By position instead of patient: SSI would lock pages of an index that leads to patients by their organization.
    PRIMARY KEY (organization_id, appointment_id, position),
    CONSTRAINT appointment_patients_appointment FOREIGN KEY (organization_id, appointment_id)
        REFERENCES appointments (organization_id, id),
    CONSTRAINT appointment_patients_patient FOREIGN KEY (organization_id, patient_id)
        REFERENCES patients (organization_id, id),
    CONSTRAINT appointment_patients_authorization FOREIGN KEY (organization_id, authorization_id)
        REFERENCES authorizations (organization_id, id),
    CONSTRAINT appointment_patients_reservation FOREIGN KEY (organization_id, authorization_id, reservation_id)
        REFERENCES unit_reservations (organization_id, authorization_id, id),
    CONSTRAINT appointment_patients_units_not_negative CHECK (units >= 0 AND minutes > 0 AND unit_minutes > 0),
    CONSTRAINT appointment_patients_times_in_order CHECK (starts_at < ends_at),
    CONSTRAINT appointment_patients_worked_times CHECK (
        worked_starts_at < worked_ends_at AND (worked_starts_at IS NULL) = (worked_ends_at IS NULL))
) WITH (fillfactor = 80);

-- For the bookings of an authorization. Every position is at least 0: see appointments_by_start.
CREATE INDEX appointment_patients_by_authorization
    ON appointment_patients (authorization_id, organization_id)
    WHERE occupies AND position >= 0;
CREATE INDEX appointment_patients_by_start ON appointment_patients (organization_id, patient_id, starts_at);
CREATE INDEX appointment_patients_by_worked_start
    ON appointment_patients (organization_id, patient_id, worked_starts_at)
    WHERE worked_starts_at IS NOT NULL;

CREATE TABLE appointment_practitioners (
    organization_id   uuid        NOT NULL,
    appointment_id    uuid        NOT NULL,
    position          integer     NOT NULL, -- 0: the leading practitioner
    practitioner_id   uuid        NOT NULL,
    starts_at         timestamptz NOT NULL,
    ends_at           timestamptz NOT NULL,
    occupies          boolean     NOT NULL,
    worked_starts_at  timestamptz, -- the time of the session; null: not completed
    worked_ends_at    timestamptz,
    PRIMARY KEY (organization_id, appointment_id, position),
    CONSTRAINT appointment_practitioners_appointment FOREIGN KEY (organization_id, appointment_id)
        REFERENCES appointments (organization_id, id),
    CONSTRAINT appointment_practitioners_practitioner FOREIGN KEY (organization_id, practitioner_id)
        REFERENCES practitioners (organization_id, id),
    CONSTRAINT appointment_practitioners_times_in_order CHECK (starts_at < ends_at),
    CONSTRAINT appointment_practitioners_worked_times CHECK (
        worked_starts_at < worked_ends_at AND (worked_starts_at IS NULL) = (worked_ends_at IS NULL))
) WITH (fillfactor = 80);

CREATE INDEX appointment_practitioners_by_start
    ON appointment_practitioners (organization_id, practitioner_id, starts_at);
CREATE INDEX appointment_practitioners_by_worked_start
    ON appointment_practitioners (organization_id, practitioner_id, worked_starts_at)
    WHERE worked_starts_at IS NOT NULL;

-- The last safeguard against double bookings, if the engine has it. SERIALIZABLE transactions come first. It is checked at
-- COMMIT, so a transaction may free a slot and fill it in any order. Real sessions may overlap, so it excludes neither
-- the time worked nor the time of completed appointments. Every position is at least 0; the condition keeps these
-- indexes out of queries, whose locks would be coarse.
-- +postgresql begin
-- +goose StatementBegin
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_available_extensions WHERE name = 'btree_gist') THEN
        RETURN;
    END IF;
    CREATE EXTENSION IF NOT EXISTS btree_gist;
    ALTER TABLE appointment_practitioners ADD CONSTRAINT appointment_practitioners_in_one_place EXCLUDE USING gist (
        organization_id WITH =, practitioner_id WITH =, tstzrange(starts_at, ends_at) WITH &&
    ) WHERE (occupies AND worked_starts_at IS NULL AND position >= 0) DEFERRABLE INITIALLY DEFERRED;
    ALTER TABLE appointment_patients ADD CONSTRAINT appointment_patients_once_in_each_track EXCLUDE USING gist (
        organization_id WITH =, patient_id WITH =, track WITH =, tstzrange(starts_at, ends_at) WITH &&
    ) WHERE (occupies AND worked_starts_at IS NULL AND position >= 0) DEFERRABLE INITIALLY DEFERRED;
EXCEPTION
    WHEN insufficient_privilege OR feature_not_supported OR undefined_file THEN
        RAISE NOTICE 'double bookings are prevented without exclusion constraints: %', SQLERRM;
END
$$;
-- +goose StatementEnd
-- +postgresql end

CREATE TABLE sessions (
    organization_id     uuid        NOT NULL,
    id                  uuid        NOT NULL,
    appointment_id      uuid        NOT NULL,
    starts_at           timestamptz NOT NULL, -- the actual time
    ends_at             timestamptz NOT NULL,
    service_date        date        NOT NULL,
    narrative           text,
    unauthorized_units  integer     NOT NULL, -- of all its patients
    created_by          uuid        NOT NULL,
    version             integer     NOT NULL DEFAULT 1,
    created_at          timestamptz NOT NULL,
    updated_at          timestamptz NOT NULL,
    PRIMARY KEY (organization_id, id),
    CONSTRAINT sessions_appointment FOREIGN KEY (organization_id, appointment_id)
        REFERENCES appointments (organization_id, id),
    CONSTRAINT sessions_one_for_each_appointment UNIQUE (organization_id, appointment_id),
    CONSTRAINT sessions_times_in_order CHECK (starts_at < ends_at AND ends_at <= starts_at + interval '24 hours'),
    CONSTRAINT sessions_unauthorized_not_negative CHECK (unauthorized_units >= 0)
);

CREATE INDEX sessions_by_start ON sessions (organization_id, starts_at);
-- For the list of unauthorized work.
CREATE INDEX sessions_unauthorized ON sessions (organization_id, starts_at) WHERE unauthorized_units > 0;

CREATE TABLE session_patients (
    organization_id     uuid    NOT NULL,
    session_id          uuid    NOT NULL,
    patient_id          uuid    NOT NULL,
    position            integer NOT NULL,
    authorization_id    uuid    NOT NULL,
    minutes             integer NOT NULL,
    units               integer NOT NULL, -- of the actual time
    unauthorized_units  integer NOT NULL, -- the part of units that the authorization did not cover
    unit_minutes        integer NOT NULL,
    rounding            text    NOT NULL,
    rounding_starts_on  date    NOT NULL,
    PRIMARY KEY (organization_id, session_id, patient_id),
    CONSTRAINT session_patients_session FOREIGN KEY (organization_id, session_id)
        REFERENCES sessions (organization_id, id),
    CONSTRAINT session_patients_patient FOREIGN KEY (organization_id, patient_id)
        REFERENCES patients (organization_id, id),
    CONSTRAINT session_patients_units CHECK (unauthorized_units BETWEEN 0 AND units)
);

CREATE INDEX session_patients_by_patient ON session_patients (patient_id, organization_id);

-- Texts that are added to a session that can no longer be changed.
CREATE TABLE session_addenda (
    organization_id  uuid        NOT NULL,
    session_id       uuid        NOT NULL,
    id               uuid        NOT NULL,
    text             text        NOT NULL,
    signed_by        uuid        NOT NULL,
    signed_at        timestamptz NOT NULL,
    hash             bytea       NOT NULL, -- SHA-256 of session, text, signer and time
    PRIMARY KEY (organization_id, session_id, id),
    CONSTRAINT session_addenda_session FOREIGN KEY (organization_id, session_id)
        REFERENCES sessions (organization_id, id),
    CONSTRAINT session_addenda_hash CHECK (length(hash) = 32)
);

-- Working hours of practitioners. A row is replaced as a whole.
CREATE TABLE practitioner_availability (
    organization_id  uuid        NOT NULL,
    practitioner_id  uuid        NOT NULL,
    rules            jsonb       NOT NULL, -- hours of the week, exceptions and buffers, as in the API
    version          integer     NOT NULL DEFAULT 1,
    updated_at       timestamptz NOT NULL,
    PRIMARY KEY (organization_id, practitioner_id),
    CONSTRAINT practitioner_availability_practitioner FOREIGN KEY (organization_id, practitioner_id)
        REFERENCES practitioners (organization_id, id)
);

-- Reminders that were published, each once for an appointment, its start and the time before it.
CREATE TABLE appointment_reminders (
    organization_id  uuid        NOT NULL,
    appointment_id   uuid        NOT NULL,
    starts_at        timestamptz NOT NULL, -- of the appointment at that time; a moved appointment gets a new reminder
    minutes_before   integer     NOT NULL,
    published_at     timestamptz NOT NULL,
    PRIMARY KEY (organization_id, appointment_id, starts_at, minutes_before)
);

CREATE INDEX appointment_reminders_by_start ON appointment_reminders (starts_at);

-- Secret links for calendar programs.
CREATE TABLE calendar_feeds (
    organization_id  uuid        NOT NULL,
    id               uuid        NOT NULL,
    practitioner_id  uuid,
    patient_id       uuid,
    token_hash       bytea       NOT NULL, -- SHA-256, so that a reader of the table cannot read the calendar
    created_by       uuid        NOT NULL,
    created_at       timestamptz NOT NULL,
    PRIMARY KEY (organization_id, id),
    CONSTRAINT calendar_feeds_one_owner CHECK (num_nonnulls(practitioner_id, patient_id) = 1),
    CONSTRAINT calendar_feeds_practitioner FOREIGN KEY (organization_id, practitioner_id)
        REFERENCES practitioners (organization_id, id),
    CONSTRAINT calendar_feeds_patient FOREIGN KEY (organization_id, patient_id)
        REFERENCES patients (organization_id, id)
);

-- No organization leads, because a request has nothing but the token.
CREATE UNIQUE INDEX calendar_feeds_token ON calendar_feeds (token_hash);

SELECT hold_to_organizations('appointment_series');
SELECT hold_to_organizations('appointments');
SELECT hold_to_organizations('appointment_patients');
SELECT hold_to_organizations('appointment_practitioners');
SELECT hold_to_organizations('sessions');
SELECT hold_to_organizations('session_patients');
SELECT hold_to_organizations('session_addenda');
SELECT hold_to_organizations('practitioner_availability');
SELECT hold_to_organizations('appointment_reminders');
SELECT hold_to_organizations('calendar_feeds');

-- +goose Down
DROP TABLE calendar_feeds;
DROP TABLE appointment_reminders;
DROP TABLE practitioner_availability;
DROP TABLE session_addenda;
DROP TABLE session_patients;
DROP TABLE sessions;
DROP TABLE appointment_practitioners;
DROP TABLE appointment_patients;
DROP TABLE appointments;
DROP TABLE appointment_series;
-- +postgresql begin
DROP EXTENSION IF EXISTS btree_gist;
-- +postgresql end
