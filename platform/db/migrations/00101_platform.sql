-- Tables of the program itself. Numbers below 100 belong to schemas from before the first release.

-- +goose Up
-- Row level security: a statement that does not name its organization finds no rows of others and can add none.
-- The function restricts a table with organization_id to the organizations that the transaction has named: an array of
-- uuids in omni.organizations, or '*' for all. Without the setting there are no rows. It applies to the owner too.
-- Migrations call it for each new table: SELECT hold_to_organizations('new_table').
-- The sub-selects read the setting once per statement, not once per row. The operators are leakproof, so queries keep
-- using their indexes.
-- +goose StatementBegin
CREATE FUNCTION hold_to_organizations(tenants regclass) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', tenants);
    EXECUTE format($policy$
        CREATE POLICY of_organizations ON %s USING (
            organization_id = ANY ((SELECT CASE WHEN current_setting('omni.organizations', true) LIKE '{%%'
                THEN current_setting('omni.organizations', true)::uuid[] END)::uuid[])
            OR (SELECT current_setting('omni.organizations', true) = '*'))$policy$, tenants);
END
$$;
-- +goose StatementEnd
REVOKE EXECUTE ON FUNCTION hold_to_organizations(regclass) FROM PUBLIC;

-- The programs that work with this schema: see docs/decisions/0053-rolling-upgrades.md.
CREATE TABLE schema_compatibility (
    singleton       boolean NOT NULL DEFAULT true, -- there is one row
    -- The newest migration that the oldest compatible program knows. A migration that removes something, so that
    -- older programs no longer work, raises it.
    oldest_program  bigint  NOT NULL,
    PRIMARY KEY (singleton),
    CONSTRAINT schema_compatibility_singleton CHECK (singleton)
);

INSERT INTO schema_compatibility (oldest_program) VALUES (109);

-- Always empty. A transaction that changes units locks it before its snapshot is taken, so that it does not fail because
-- it has waited.
CREATE TABLE write_lock (
    nothing  boolean NOT NULL
);

-- Executed commands: every request that changes something has a row here.
CREATE TABLE commands (
    organization_id  uuid        NOT NULL,
    id               uuid        NOT NULL, -- the same for all requests of a user with the same Idempotency-Key
    call_id          uuid        NOT NULL, -- distinguishes the request from others with the same id
    kind             text        NOT NULL,
    fingerprint      bytea       NOT NULL, -- a hash of the request
    answer           text, -- JSON, for repeated requests; null: none
    created_at       timestamptz NOT NULL,
    PRIMARY KEY (organization_id, id)
);

-- For the removal of old rows.
CREATE INDEX commands_by_age ON commands (created_at);

-- Periodic jobs: the last start, and the instance that runs them now.
CREATE TABLE job_schedule (
    name        text        NOT NULL,
    started_at  timestamptz NOT NULL, -- the last run
    instance    uuid, -- null: not running
    lease_until timestamptz, -- the end of that instance's lease
    PRIMARY KEY (name)
) WITH (fillfactor = 50);

SELECT hold_to_organizations('commands');

-- +goose Down
DROP TABLE job_schedule;
DROP TABLE commands;
DROP TABLE write_lock;
DROP TABLE schema_compatibility;
DROP FUNCTION hold_to_organizations(regclass);
