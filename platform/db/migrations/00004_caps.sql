-- Caps: limits per day, week, month or for the whole span of an authorization, beside its total.

-- +goose Up
-- A column for each period: there can be one cap at most, it needs no row of its own to be
-- read with the authorization, and null says that there is none.
ALTER TABLE authorizations
    ADD COLUMN cap_day    integer,
    ADD COLUMN cap_week   integer,
    ADD COLUMN cap_month  integer,
    ADD COLUMN cap_total  integer,
    ADD CONSTRAINT authorizations_caps_not_negative
        CHECK (cap_day >= 0 AND cap_week >= 0 AND cap_month >= 0 AND cap_total >= 0);

-- What is booked in the period of a cap, whether it is still open or not? Only of what was not
-- given back, so that no search for a single reservation can take this index for its own.
CREATE INDEX unit_reservations_by_service_date
    ON unit_reservations (organization_id, authorization_id, service_date) WHERE released_units < units;

-- +goose Down
DROP INDEX unit_reservations_by_service_date;
ALTER TABLE authorizations
    DROP COLUMN cap_day,
    DROP COLUMN cap_week,
    DROP COLUMN cap_month,
    DROP COLUMN cap_total;
