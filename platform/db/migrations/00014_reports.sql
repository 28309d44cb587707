-- Reports and alerts on authorizations. An alert is computed whenever it is read; only that somebody has taken
-- note of it is stored.

-- +goose Up
-- What of the units is used or scheduled, in bands. Generated, and not an index over the counters: an update that
-- leaves the band alone, as nearly all do, changes no indexed value and so touches no index (HOT).
-- The table is written anew, about 20 seconds for a million authorizations.
ALTER TABLE authorizations ADD COLUMN booked_band smallint GENERATED ALWAYS AS (CASE
    WHEN total_units = 0 THEN 0
    WHEN used_units::bigint + scheduled_units >= total_units THEN 100
    WHEN (used_units::bigint + scheduled_units) * 100 >= total_units::bigint * 90 THEN 90
    WHEN (used_units::bigint + scheduled_units) * 100 >= total_units::bigint * 80 THEN 80
    ELSE 0 END) STORED;

CREATE INDEX authorizations_nearly_booked ON authorizations (organization_id, end_date, id, booked_band)
    WHERE booked_band > 0 AND status = 'ACTIVE';

-- Those in force are found in the index alone, and the renewal of one without reading its patient's others.
-- In the place of the shorter ones, so that there are not more to write to.
DROP INDEX authorizations_by_end;
CREATE INDEX authorizations_by_end ON authorizations (organization_id, end_date, id, start_date, status);
DROP INDEX authorizations_by_patient;
CREATE INDEX authorizations_by_patient ON authorizations (patient_id, organization_id, service_code_id, end_date);

CREATE TABLE alert_acknowledgements (
    organization_id   uuid        NOT NULL,
    authorization_id  uuid        NOT NULL,
    kind              text        NOT NULL,
    -- The terms that the alert was about: with others it is another alert, which nobody has taken note of.
    end_date          date        NOT NULL,
    total_units       integer     NOT NULL,
    acknowledged_by   uuid        NOT NULL,
    acknowledged_at   timestamptz NOT NULL,
    PRIMARY KEY (organization_id, authorization_id, kind),
    CONSTRAINT alert_acknowledgements_authorization FOREIGN KEY (organization_id, authorization_id)
        REFERENCES authorizations (organization_id, id) ON DELETE CASCADE
);

-- +goose Down
DROP TABLE alert_acknowledgements;
DROP INDEX authorizations_by_patient;
CREATE INDEX authorizations_by_patient ON authorizations (patient_id, organization_id);
DROP INDEX authorizations_by_end;
CREATE INDEX authorizations_by_end ON authorizations (organization_id, end_date, id);
DROP INDEX authorizations_nearly_booked;
ALTER TABLE authorizations DROP COLUMN booked_band;
