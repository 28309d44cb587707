-- Authorizations and their unit ledger.

-- +goose Up
CREATE TABLE authorizations (
    organization_id  uuid        NOT NULL,
    id               uuid        NOT NULL,
    patient_id       uuid        NOT NULL,
    insurance_id     uuid,
    service_code_id  uuid        NOT NULL,
    auth_number      text,
    -- The units at creation. With the adjustments of the ledger they make total_units.
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
    -- No open hold expires before this time. It may be too early, but never too late, so that operations look
    -- for expired holds only when there may be some.
    next_expiry      timestamptz,
    version          integer     NOT NULL DEFAULT 1,
    created_at       timestamptz NOT NULL,
    updated_at       timestamptz NOT NULL,
    cap_day          integer, -- null: no cap
    cap_week         integer,
    cap_month        integer,
    cap_total        integer,
    -- With caps by date: the units of all reservations that were not released, by service date. It is a counter
    -- because a sum over reservations would lock pages of an index that other transactions write to.
    booked_by_date   jsonb,
    -- The share of booked units, in bands. Most updates leave the band unchanged and therefore touch no index
    -- (HOT).
    booked_band      smallint GENERATED ALWAYS AS (CASE
        WHEN total_units = 0 THEN 0
        WHEN used_units::bigint + scheduled_units >= total_units THEN 100
        WHEN (used_units::bigint + scheduled_units) * 100 >= total_units::bigint * 90 THEN 90
        WHEN (used_units::bigint + scheduled_units) * 100 >= total_units::bigint * 80 THEN 80
        ELSE 0 END) STORED,
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
    -- In bigint, so that this rule refuses the sum of two large counters, and not an overflow.
    CONSTRAINT authorizations_units_within_total CHECK (used_units::bigint + scheduled_units <= total_units),
    CONSTRAINT authorizations_dates_in_order CHECK (start_date <= end_date),
    CONSTRAINT authorizations_status_stored CHECK (status IN ('PENDING', 'ACTIVE', 'CANCELLED')),
    CONSTRAINT authorizations_caps_not_negative CHECK (
        cap_day >= 0 AND cap_week >= 0 AND cap_month >= 0 AND cap_total >= 0),
    CONSTRAINT authorizations_booked_by_date_for_caps CHECK (
        (booked_by_date IS NULL) = (cap_day IS NULL AND cap_week IS NULL AND cap_month IS NULL))
) WITH (fillfactor = 70);

-- For lists by date, and for the authorizations in force.
CREATE INDEX authorizations_by_end ON authorizations (organization_id, end_date, id, start_date, status);
-- The patient leads. With the organization first, small tables would use this index instead of the primary key, and
-- SSI would lock everything that the scan passes.
CREATE INDEX authorizations_by_patient ON authorizations (patient_id, organization_id, service_code_id, end_date);
CREATE INDEX authorizations_by_start ON authorizations (organization_id, start_date, id);
CREATE INDEX authorizations_nearly_booked
    ON authorizations (organization_id, end_date, id, booked_band)
    WHERE booked_band > 0 AND status = 'ACTIVE';

CREATE TABLE unit_reservations (
    organization_id   uuid        NOT NULL,
    id                uuid        NOT NULL,
    authorization_id  uuid        NOT NULL,
    -- The sequence number of the entry that created it: the order of age within the authorization.
    sequence          bigint      NOT NULL,
    units             integer     NOT NULL,
    consumed_units    integer     NOT NULL DEFAULT 0,
    released_units    integer     NOT NULL DEFAULT 0,
    open              boolean GENERATED ALWAYS AS (consumed_units + released_units < units) STORED,
    service_date      date        NOT NULL,
    expires_at        timestamptz,
    appointment_id    uuid,
    reference         text,
    created_at        timestamptz NOT NULL,
    updated_at        timestamptz NOT NULL,
    -- The authorization precedes the id. New ids share their first bytes, and a read locks its page of the index for
    -- SSI, which transactions on other authorizations would meet.
    PRIMARY KEY (organization_id, authorization_id, id),
    CONSTRAINT unit_reservations_authorization FOREIGN KEY (organization_id, authorization_id)
        REFERENCES authorizations (organization_id, id),
    CONSTRAINT unit_reservations_units_positive CHECK (units > 0),
    CONSTRAINT unit_reservations_consumed_not_negative CHECK (consumed_units >= 0),
    CONSTRAINT unit_reservations_released_not_negative CHECK (released_units >= 0),
    CONSTRAINT unit_reservations_settled_within_units CHECK (consumed_units::bigint + released_units <= units)
) WITH (fillfactor = 80);

-- For the job that releases expired holds, in all organizations.
CREATE INDEX unit_reservations_open_by_expiry
    ON unit_reservations (expires_at, organization_id, authorization_id)
    WHERE open AND expires_at IS NOT NULL;
-- Release and consume without a named reservation take from the oldest open ones.
CREATE INDEX unit_reservations_open_oldest_first
    ON unit_reservations (organization_id, authorization_id, sequence) WHERE open;

-- The ledger: one row for each movement of units. Rows are never changed or deleted.
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
    -- The authorization of an adjustment. Other entries reach their authorization through the reservation, so a second
    -- foreign key on this busy row is not needed.
    adjusts           uuid GENERATED ALWAYS AS (CASE WHEN reservation_id IS NULL THEN authorization_id END) STORED,
    PRIMARY KEY (organization_id, authorization_id, sequence),
    CONSTRAINT unit_entries_authorization FOREIGN KEY (organization_id, adjusts)
        REFERENCES authorizations (organization_id, id),
    CONSTRAINT unit_entries_reservation FOREIGN KEY (organization_id, authorization_id, reservation_id)
        REFERENCES unit_reservations (organization_id, authorization_id, id),
    CONSTRAINT unit_entries_kind CHECK (kind IN ('reserve', 'release', 'consume', 'expire', 'adjust')),
    CONSTRAINT unit_entries_units CHECK (units > 0 OR kind = 'adjust'),
    CONSTRAINT unit_entries_reservation_unless_adjusting CHECK ((reservation_id IS NULL) = (kind = 'adjust')),
    CONSTRAINT unit_entries_sequence_positive CHECK (sequence > 0),
    CONSTRAINT unit_entries_hashes CHECK (length(previous_hash) = 32 AND length(hash) = 32)
);

-- For the deletion of an authorization.
CREATE INDEX unit_entries_adjusting ON unit_entries (organization_id, adjusts) WHERE adjusts IS NOT NULL;

-- The program's role lacks the privilege to change entries. This trigger binds the owner of the table too.
-- +postgresql begin
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
-- +postgresql end

-- Alerts are computed. A row stores only that a user has acknowledged one.
CREATE TABLE alert_acknowledgements (
    organization_id   uuid        NOT NULL,
    authorization_id  uuid        NOT NULL,
    kind              text        NOT NULL,
    -- The terms that the alert was about. With other terms it is another alert.
    end_date          date        NOT NULL,
    total_units       integer     NOT NULL,
    acknowledged_by   uuid        NOT NULL,
    acknowledged_at   timestamptz NOT NULL,
    PRIMARY KEY (organization_id, authorization_id, kind),
    CONSTRAINT alert_acknowledgements_authorization FOREIGN KEY (organization_id, authorization_id)
        REFERENCES authorizations (organization_id, id) ON DELETE CASCADE
);

SELECT hold_to_organizations('authorizations');
SELECT hold_to_organizations('unit_reservations');
SELECT hold_to_organizations('unit_entries');
SELECT hold_to_organizations('alert_acknowledgements');

-- +goose Down
DROP TABLE alert_acknowledgements;
DROP TABLE unit_entries;
DROP TABLE unit_reservations;
DROP TABLE authorizations;
-- +postgresql begin
DROP FUNCTION refuse_change_of_entries();
-- +postgresql end
