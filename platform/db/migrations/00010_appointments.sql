-- Appointments and the sessions that become of them. Who takes part, and when, stands in rows of its own: those are
-- what overlaps, so that a group with one technician, or two technicians with one patient, is one appointment.

-- +goose Up
CREATE TABLE appointments (
    organization_id  uuid        NOT NULL,
    id               uuid        NOT NULL,
    service_code_id  uuid        NOT NULL,
    status           text        NOT NULL,
    starts_at        timestamptz NOT NULL,
    ends_at          timestamptz NOT NULL,
    service_date     date        NOT NULL, -- of the start, in the organization's time zone
    notes            text,
    series_id        uuid,
    session_id       uuid,                 -- once it is completed
    started_at       timestamptz,
    cancelled_at     timestamptz,          -- or found not to have taken place
    cancelled_by     uuid,
    cancel_reason    text,
    late_cancel      boolean     NOT NULL DEFAULT false,
    created_by       uuid        NOT NULL,
    version          integer     NOT NULL DEFAULT 1,
    created_at       timestamptz NOT NULL,
    updated_at       timestamptz NOT NULL,
    PRIMARY KEY (organization_id, id),
    CONSTRAINT appointments_service_code FOREIGN KEY (organization_id, service_code_id)
        REFERENCES service_codes (organization_id, id),
    CONSTRAINT appointments_status CHECK (status IN ('SCHEDULED', 'IN_PROGRESS', 'COMPLETED', 'CANCELLED', 'NO_SHOW')),
    CONSTRAINT appointments_times_in_order CHECK (starts_at < ends_at AND ends_at <= starts_at + interval '24 hours'),
    CONSTRAINT appointments_whole_minutes CHECK (
        date_trunc('minute', starts_at, 'UTC') = starts_at AND date_trunc('minute', ends_at, 'UTC') = ends_at),
    CONSTRAINT appointments_session_where_completed CHECK ((session_id IS NOT NULL) = (status = 'COMPLETED'))
) WITH (fillfactor = 80);

-- The calendar. Every version is positive: only who asks for that may take this index, and nobody who looks up one
-- appointment on a small table does, since SSI would lock all that is passed on the way.
CREATE INDEX appointments_by_start ON appointments (organization_id, starts_at) WHERE version > 0;

-- Times and lanes stand here too: what must not overlap has to be in one row. A row occupies its time unless the
-- appointment was cancelled or did not take place.
CREATE TABLE appointment_patients (
    organization_id     uuid        NOT NULL,
    appointment_id      uuid        NOT NULL,
    patient_id          uuid        NOT NULL,
    place               integer     NOT NULL, -- 0, 1, …: in the order in which they were named
    authorization_id    uuid        NOT NULL,
    reservation_id      uuid,                 -- null: its time has never been long enough for a unit
    units               integer     NOT NULL,
    minutes             integer     NOT NULL,
    -- What the units were computed by, so that they can be again.
    unit_minutes        integer     NOT NULL,
    rounding            text        NOT NULL,
    rounding_starts_on  date        NOT NULL,
    lane                text        NOT NULL,
    code                text        NOT NULL,
    starts_at           timestamptz NOT NULL,
    ends_at             timestamptz NOT NULL,
    occupies            boolean     NOT NULL,
    -- By place and not by patient: SSI would lock the pages of an index that led to patients by their organization.
    PRIMARY KEY (organization_id, appointment_id, place),
    CONSTRAINT appointment_patients_appointment FOREIGN KEY (organization_id, appointment_id)
        REFERENCES appointments (organization_id, id),
    CONSTRAINT appointment_patients_patient FOREIGN KEY (organization_id, patient_id)
        REFERENCES patients (organization_id, id),
    CONSTRAINT appointment_patients_authorization FOREIGN KEY (organization_id, authorization_id)
        REFERENCES authorizations (organization_id, id),
    CONSTRAINT appointment_patients_reservation FOREIGN KEY (organization_id, authorization_id, reservation_id)
        REFERENCES unit_reservations (organization_id, authorization_id, id),
    CONSTRAINT appointment_patients_units_not_negative CHECK (units >= 0 AND minutes > 0 AND unit_minutes > 0),
    CONSTRAINT appointment_patients_times_in_order CHECK (starts_at < ends_at)
) WITH (fillfactor = 80);

CREATE INDEX appointment_patients_by_start ON appointment_patients (organization_id, patient_id, starts_at);
-- What open appointments hold. Every place is at least 0: see the index of the calendar.
CREATE INDEX appointment_patients_by_authorization ON appointment_patients (authorization_id, organization_id) WHERE occupies AND place >= 0;

CREATE TABLE appointment_practitioners (
    organization_id  uuid        NOT NULL,
    appointment_id   uuid        NOT NULL,
    place            integer     NOT NULL, -- 0: who leads
    practitioner_id  uuid        NOT NULL,
    starts_at        timestamptz NOT NULL,
    ends_at          timestamptz NOT NULL,
    occupies         boolean     NOT NULL,
    PRIMARY KEY (organization_id, appointment_id, place),
    CONSTRAINT appointment_practitioners_appointment FOREIGN KEY (organization_id, appointment_id)
        REFERENCES appointments (organization_id, id),
    CONSTRAINT appointment_practitioners_practitioner FOREIGN KEY (organization_id, practitioner_id)
        REFERENCES practitioners (organization_id, id),
    CONSTRAINT appointment_practitioners_times_in_order CHECK (starts_at < ends_at)
) WITH (fillfactor = 80);

CREATE INDEX appointment_practitioners_by_start ON appointment_practitioners (organization_id, practitioner_id, starts_at);

-- The last line against double bookings, where the engine has it: SERIALIZABLE transactions come first. Checked at
-- COMMIT, so that one transaction may clear a slot and fill it, in whatever order it writes its rows. Every place is
-- at least 0; that it is said keeps these indexes out of queries, which do not say it, and whose locks would be coarse.
-- +goose StatementBegin
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_available_extensions WHERE name = 'btree_gist') THEN
        RETURN;
    END IF;
    CREATE EXTENSION IF NOT EXISTS btree_gist;
    ALTER TABLE appointment_practitioners ADD CONSTRAINT appointment_practitioners_in_one_place EXCLUDE USING gist (
        organization_id WITH =, practitioner_id WITH =, tstzrange(starts_at, ends_at) WITH &&
    ) WHERE (occupies AND place >= 0) DEFERRABLE INITIALLY DEFERRED;
    ALTER TABLE appointment_patients ADD CONSTRAINT appointment_patients_once_in_each_lane EXCLUDE USING gist (
        organization_id WITH =, patient_id WITH =, lane WITH =, tstzrange(starts_at, ends_at) WITH &&
    ) WHERE (occupies AND place >= 0) DEFERRABLE INITIALLY DEFERRED;
EXCEPTION
    WHEN insufficient_privilege OR feature_not_supported OR undefined_file THEN
        RAISE NOTICE 'double bookings are prevented without exclusion constraints: %', SQLERRM;
END
$$;
-- +goose StatementEnd

CREATE TABLE sessions (
    organization_id     uuid        NOT NULL,
    id                  uuid        NOT NULL,
    appointment_id      uuid        NOT NULL,
    starts_at           timestamptz NOT NULL, -- really
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
-- The exceptions list: work that nobody has authorized.
CREATE INDEX sessions_unauthorized ON sessions (organization_id, starts_at) WHERE unauthorized_units > 0;

CREATE TABLE session_patients (
    organization_id     uuid     NOT NULL,
    session_id          uuid     NOT NULL,
    patient_id          uuid     NOT NULL,
    place               integer  NOT NULL,
    authorization_id    uuid     NOT NULL,
    minutes             integer  NOT NULL,
    units               integer  NOT NULL, -- of the actual time
    unauthorized_units  integer  NOT NULL, -- those of them that the authorization did not cover
    unit_minutes        integer  NOT NULL,
    rounding            text     NOT NULL,
    rounding_starts_on  date     NOT NULL,
    PRIMARY KEY (organization_id, session_id, patient_id),
    CONSTRAINT session_patients_session FOREIGN KEY (organization_id, session_id)
        REFERENCES sessions (organization_id, id),
    CONSTRAINT session_patients_patient FOREIGN KEY (organization_id, patient_id)
        REFERENCES patients (organization_id, id),
    CONSTRAINT session_patients_units CHECK (unauthorized_units BETWEEN 0 AND units)
);

CREATE INDEX session_patients_by_patient ON session_patients (patient_id, organization_id);

-- What is added to a session once it cannot be changed any more.
CREATE TABLE session_addenda (
    organization_id  uuid        NOT NULL,
    session_id       uuid        NOT NULL,
    id               uuid        NOT NULL,
    text             text        NOT NULL,
    signed_by        uuid        NOT NULL,
    signed_at        timestamptz NOT NULL,
    hash             bytea       NOT NULL, -- SHA-256 over session, text, signer and time
    PRIMARY KEY (organization_id, session_id, id),
    CONSTRAINT session_addenda_session FOREIGN KEY (organization_id, session_id)
        REFERENCES sessions (organization_id, id),
    CONSTRAINT session_addenda_hash CHECK (length(hash) = 32)
);

-- What each operation came to: repeated with the same id, it gets the same answer and changes nothing.
CREATE TABLE appointment_operations (
    organization_id  uuid        NOT NULL,
    id               uuid        NOT NULL,
    kind             text        NOT NULL,
    fingerprint      bytea       NOT NULL,
    outcome          jsonb       NOT NULL,
    created_at       timestamptz NOT NULL,
    PRIMARY KEY (organization_id, id)
);

-- +goose Down
DROP TABLE appointment_operations;
DROP TABLE session_addenda;
DROP TABLE session_patients;
DROP TABLE sessions;
DROP TABLE appointment_practitioners;
DROP TABLE appointment_patients;
DROP TABLE appointments;
DROP EXTENSION IF EXISTS btree_gist;
