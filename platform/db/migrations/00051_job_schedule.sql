-- Periodic jobs: which of them ran when, and which instance runs them now.

-- +goose Up
-- Of the program itself, not of an organization.
CREATE TABLE job_schedule (
    name        text        NOT NULL,
    started_at  timestamptz NOT NULL, -- the last run
    instance    uuid,                 -- runs it; none: nobody does
    held_until  timestamptz,          -- the lease of that instance, unless it renews it
    PRIMARY KEY (name)
) WITH (fillfactor = 50);

-- Refresh tokens are removed once their sign-in is over, the sign-in itself a month later. Both questions are answered
-- by one index, without reading what was answered before.
ALTER TABLE sign_ins ADD COLUMN tokens_kept boolean NOT NULL DEFAULT true;

-- +goose Down
ALTER TABLE sign_ins DROP COLUMN tokens_kept;
DROP TABLE job_schedule;
