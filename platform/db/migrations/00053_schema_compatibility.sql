-- Which programs can work with this schema: see docs/decisions/0053-rolling-upgrades.md.

-- +goose Up
CREATE TABLE schema_compatibility (
    one             boolean NOT NULL DEFAULT true, -- there is one row
    -- The number of the newest migration that the oldest such program knows. A migration that takes something away, so
    -- that programs from before cannot work any more, raises it.
    oldest_program  bigint  NOT NULL,
    PRIMARY KEY (one),
    CONSTRAINT schema_compatibility_one CHECK (one)
);
INSERT INTO schema_compatibility (oldest_program) VALUES (53);

-- +goose Down
DROP TABLE schema_compatibility;
