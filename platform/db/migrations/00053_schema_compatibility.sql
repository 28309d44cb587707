-- Which programs can work with this schema: see docs/decisions/0053-rolling-upgrades.md.

-- +goose Up
CREATE TABLE schema_compatibility (
    one             boolean NOT NULL DEFAULT true, -- there is one row
    -- The newest migration that the oldest compatible program knows. A migration that removes something, so that
    -- older programs no longer work, raises it.
    oldest_program  bigint  NOT NULL,
    PRIMARY KEY (one),
    CONSTRAINT schema_compatibility_one CHECK (one)
);
INSERT INTO schema_compatibility (oldest_program) VALUES (53);

-- +goose Down
DROP TABLE schema_compatibility;
