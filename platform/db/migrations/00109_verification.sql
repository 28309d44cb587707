-- Verifications of the ledger.

-- +goose Up
-- Checks of the ledger in the background. Each run is a row, which every instance can read.
CREATE TABLE verifications (
    organization_id         uuid        NOT NULL,
    id                      uuid        NOT NULL,
    state                   text        NOT NULL,
    started_by              uuid        NOT NULL, -- a user or an API key
    started_at              timestamptz NOT NULL,
    finished_at             timestamptz,
    -- The end of the lease of the instance that runs it. A run with an expired lease was interrupted.
    lease_until             timestamptz NOT NULL,
    authorizations_checked  bigint      NOT NULL DEFAULT 0,
    authorizations_total    bigint, -- null: not counted yet
    events_checked          bigint      NOT NULL DEFAULT 0, -- of the audit trail
    events_total            bigint, -- null: not counted yet
    failure                 text, -- why it has no result
    result                  jsonb,
    PRIMARY KEY (organization_id, id),
    CONSTRAINT verifications_organization FOREIGN KEY (organization_id) REFERENCES organizations (id),
    CONSTRAINT verifications_state CHECK (state IN ('RUNNING', 'FINISHED', 'FAILED')),
    CONSTRAINT verifications_ended CHECK ((state = 'RUNNING') = (finished_at IS NULL)),
    CONSTRAINT verifications_failed CHECK ((state = 'FAILED') = (failure IS NOT NULL)),
    CONSTRAINT verifications_finished CHECK ((state = 'FINISHED') = (result IS NOT NULL))
);

-- For the removal of old runs.
CREATE INDEX verifications_by_age ON verifications (started_at);
-- An organization has one run at a time.
CREATE UNIQUE INDEX verifications_one_running ON verifications (organization_id) WHERE state = 'RUNNING';

SELECT hold_to_organizations('verifications');

-- +goose Down
DROP TABLE verifications;
