-- Instances of the program on one database wait for this table's lock before they change units.

-- +goose Up
-- Always empty: a transaction locks it before its snapshot is taken, so that it does not fail for having waited.
CREATE TABLE unit_lane (
    nothing boolean NOT NULL
);

-- +goose Down
DROP TABLE unit_lane;
