-- Periodic jobs: the time of their last start, and the instance that runs them now.

-- +goose Up
-- The table belongs to the program, not to an organization.
CREATE TABLE job_schedule (
    name        text        NOT NULL,
    started_at  timestamptz NOT NULL, -- the last run
    instance    uuid,                 -- runs it now; null: none
    held_until  timestamptz,          -- end of that instance's lease
    PRIMARY KEY (name)
) WITH (fillfactor = 50);

-- Refresh tokens are removed once their sign-in has ended, the sign-in itself a month later. One index finds the rows for
-- both, without reading processed rows again.
ALTER TABLE sign_ins ADD COLUMN tokens_kept boolean NOT NULL DEFAULT true;

-- +goose Down
ALTER TABLE sign_ins DROP COLUMN tokens_kept;
DROP TABLE job_schedule;
