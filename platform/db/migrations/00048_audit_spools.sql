-- Audit events that were queued on an instance's disk are entered exactly once, even after interruptions.

-- +goose Up
-- events is the number of entered lines of the file named by id. A row outlives its file, because
-- the file could come back with a restored disk.
CREATE TABLE audit_spools (
    id      uuid   PRIMARY KEY,
    events  bigint NOT NULL DEFAULT 0 CHECK (events >= 0)
);

-- +goose Down
DROP TABLE audit_spools;
