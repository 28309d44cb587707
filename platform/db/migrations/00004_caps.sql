-- Caps: limits per day, week, month or for the whole span of an authorization, beside its total.

-- +goose Up
-- A column for each period: there can be one cap at most, it is read with the authorization, and
-- null says that there is none.
ALTER TABLE authorizations
    ADD COLUMN cap_day         integer,
    ADD COLUMN cap_week        integer,
    ADD COLUMN cap_month       integer,
    ADD COLUMN cap_total       integer,
    -- Where caps count by date: the units of all reservations that were not given back, by service
    -- date. A counter like the others, and not a sum over the reservations: under SERIALIZABLE such
    -- a sum locks pages of an index that transactions on other authorizations write to.
    ADD COLUMN booked_by_date  jsonb,
    ADD CONSTRAINT authorizations_caps_not_negative
        CHECK (cap_day >= 0 AND cap_week >= 0 AND cap_month >= 0 AND cap_total >= 0),
    ADD CONSTRAINT authorizations_booked_by_date_for_caps
        CHECK ((booked_by_date IS NULL) = (cap_day IS NULL AND cap_week IS NULL AND cap_month IS NULL));

-- +goose Down
ALTER TABLE authorizations
    DROP COLUMN booked_by_date,
    DROP COLUMN cap_day,
    DROP COLUMN cap_week,
    DROP COLUMN cap_month,
    DROP COLUMN cap_total;
