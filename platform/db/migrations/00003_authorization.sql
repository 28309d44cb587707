-- Authorizations and their unit ledger: the account book that everything else draws on.

-- +goose Up
CREATE TABLE authorizations (
    organization_id  uuid        NOT NULL,
    id               uuid        NOT NULL,
    patient_id       uuid        NOT NULL,
    insurance_id     uuid,
    service_code_id  uuid        NOT NULL,
    auth_number      text,
    -- What was granted when the authorization was entered: with the adjustments in the ledger it makes total_units.
    initial_units    integer     NOT NULL,
    total_units      integer     NOT NULL,
    used_units       integer     NOT NULL DEFAULT 0,
    scheduled_units  integer     NOT NULL DEFAULT 0,
    start_date       date        NOT NULL,
    end_date         date        NOT NULL,
    status           text        NOT NULL,
    notes            text,
    -- The head of the hash chain: sequence number and hash of the newest entry.
    last_sequence    bigint      NOT NULL DEFAULT 0,
    last_hash        bytea       NOT NULL,
    -- No open hold expires before this moment. It may be too early, never too late, so that
    -- operations look for expired holds only when there may be some.
    next_expiry      timestamptz,
    version          integer     NOT NULL DEFAULT 1,
    created_at       timestamptz NOT NULL,
    updated_at       timestamptz NOT NULL,
    PRIMARY KEY (organization_id, id),
    CONSTRAINT authorizations_patient FOREIGN KEY (organization_id, patient_id)
        REFERENCES patients (organization_id, id),
    CONSTRAINT authorizations_insurance FOREIGN KEY (organization_id, insurance_id)
        REFERENCES insurances (organization_id, id),
    CONSTRAINT authorizations_service_code FOREIGN KEY (organization_id, service_code_id)
        REFERENCES service_codes (organization_id, id),
    CONSTRAINT authorizations_total_not_negative CHECK (total_units >= 0 AND initial_units >= 0),
    CONSTRAINT authorizations_used_not_negative CHECK (used_units >= 0),
    CONSTRAINT authorizations_scheduled_not_negative CHECK (scheduled_units >= 0),
    -- In bigint, so that the sum of two large counters is refused by this rule and not by an overflow.
    CONSTRAINT authorizations_units_within_total CHECK (used_units::bigint + scheduled_units <= total_units),
    CONSTRAINT authorizations_dates_in_order CHECK (start_date <= end_date),
    CONSTRAINT authorizations_status_stored CHECK (status IN ('PENDING', 'ACTIVE', 'CANCELLED'))
) WITH (fillfactor = 70); -- room on the page, so that a counter's update touches no index

-- The patient leads: an index that began with the organization and held the id would be taken, on small tables,
-- in the place of the primary key, and SSI would lock everything that it passes.
CREATE INDEX authorizations_by_patient ON authorizations (patient_id, organization_id);

CREATE TABLE unit_reservations (
    organization_id   uuid        NOT NULL,
    id                uuid        NOT NULL,
    authorization_id  uuid        NOT NULL,
    -- The sequence number of the entry that made it: the order of age within the authorization.
    sequence          bigint      NOT NULL,
    units             integer     NOT NULL,
    consumed_units    integer     NOT NULL DEFAULT 0,
    released_units    integer     NOT NULL DEFAULT 0,
    open              boolean     GENERATED ALWAYS AS (consumed_units + released_units < units) STORED,
    service_date      date        NOT NULL,
    expires_at        timestamptz,
    appointment_id    uuid,
    reference         text,
    created_at        timestamptz NOT NULL,
    updated_at        timestamptz NOT NULL,
    -- The authorization stands before the id: new ids are all alike at their beginning, and
    -- reading one locks its page of the index for SSI, which transactions on other
    -- authorizations would meet.
    PRIMARY KEY (organization_id, authorization_id, id),
    CONSTRAINT unit_reservations_authorization FOREIGN KEY (organization_id, authorization_id)
        REFERENCES authorizations (organization_id, id),
    CONSTRAINT unit_reservations_units_positive CHECK (units > 0),
    CONSTRAINT unit_reservations_consumed_not_negative CHECK (consumed_units >= 0),
    CONSTRAINT unit_reservations_released_not_negative CHECK (released_units >= 0),
    CONSTRAINT unit_reservations_settled_within_units CHECK (consumed_units::bigint + released_units <= units)
) WITH (fillfactor = 80);

-- Release and consume without a named reservation take from the oldest open ones.
CREATE INDEX unit_reservations_open_oldest_first
    ON unit_reservations (organization_id, authorization_id, sequence) WHERE open;
-- The sweeper's question: which holds are due, in any organization?
CREATE INDEX unit_reservations_open_by_expiry
    ON unit_reservations (expires_at, organization_id, authorization_id) WHERE open AND expires_at IS NOT NULL;

CREATE TABLE unit_entries (
    organization_id   uuid        NOT NULL,
    authorization_id  uuid        NOT NULL,
    sequence          bigint      NOT NULL,
    kind              text        NOT NULL,
    units             integer     NOT NULL,
    reservation_id    uuid,
    service_date      date,
    operation_id      uuid        NOT NULL,
    actor_id          uuid        NOT NULL,
    request_id        text        NOT NULL,
    reason            text,
    total_after       integer     NOT NULL,
    used_after        integer     NOT NULL,
    scheduled_after   integer     NOT NULL,
    occurred_at       timestamptz NOT NULL,
    previous_hash     bytea       NOT NULL,
    hash              bytea       NOT NULL,
    PRIMARY KEY (organization_id, authorization_id, sequence),
    CONSTRAINT unit_entries_authorization FOREIGN KEY (organization_id, authorization_id)
        REFERENCES authorizations (organization_id, id),
    CONSTRAINT unit_entries_reservation FOREIGN KEY (organization_id, authorization_id, reservation_id)
        REFERENCES unit_reservations (organization_id, authorization_id, id),
    CONSTRAINT unit_entries_kind CHECK (kind IN ('reserve', 'release', 'consume', 'expire', 'adjust')),
    CONSTRAINT unit_entries_units CHECK (units > 0 OR kind = 'adjust'),
    CONSTRAINT unit_entries_reservation_unless_adjusting CHECK ((reservation_id IS NULL) = (kind = 'adjust')),
    CONSTRAINT unit_entries_sequence_positive CHECK (sequence > 0),
    CONSTRAINT unit_entries_hashes CHECK (length(previous_hash) = 32 AND length(hash) = 32)
);

-- What each operation came to: repeated with the same id, it gets the same answer and changes nothing.
CREATE TABLE unit_operations (
    organization_id   uuid        NOT NULL,
    id                uuid        NOT NULL,
    authorization_id  uuid        NOT NULL,
    kind              text        NOT NULL,
    fingerprint       bytea       NOT NULL,
    outcome           jsonb       NOT NULL,
    created_at        timestamptz NOT NULL,
    PRIMARY KEY (organization_id, id)
);

-- The second wall behind the privileges of the program's role, which binds the tables' owner too.
-- +goose StatementBegin
CREATE FUNCTION refuse_change_of_entries() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'entries of the unit ledger are never changed or deleted' USING ERRCODE = 'restrict_violation';
END
$$;
-- +goose StatementEnd

CREATE TRIGGER unit_entries_append_only BEFORE UPDATE OR DELETE ON unit_entries
    FOR EACH ROW EXECUTE FUNCTION refuse_change_of_entries();
CREATE TRIGGER unit_entries_not_truncated BEFORE TRUNCATE ON unit_entries
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change_of_entries();

-- +goose Down
DROP TABLE unit_operations;
DROP TABLE unit_entries;
DROP FUNCTION refuse_change_of_entries();
DROP TABLE unit_reservations;
DROP TABLE authorizations;
