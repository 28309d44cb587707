-- Verifications of what has changed since an earlier one.

-- +goose Up
ALTER TABLE verifications
    ADD COLUMN mode text NOT NULL DEFAULT 'FULL',
    ADD CONSTRAINT verifications_mode CHECK (mode IN ('FULL', 'INCREMENTAL'));

-- How far an organization was verified without a problem. Each row has the hash of the row before it, so that a changed
-- row is found.
CREATE TABLE verification_checkpoints (
    organization_id  uuid        NOT NULL,
    number           bigint      NOT NULL, -- 1, 2, 3, … without a gap
    mode             text        NOT NULL, -- of the verification
    verified_at      timestamptz NOT NULL, -- its start
    entries_before   timestamptz NOT NULL, -- ledger entries before this time are verified
    audit_position   bigint      NOT NULL, -- the audit trail is verified up to this position
    audit_hash       bytea       NOT NULL, -- of the seal at the position
    hash             bytea       NOT NULL, -- of the columns above and of the hash before
    PRIMARY KEY (organization_id, number),
    CONSTRAINT verification_checkpoints_organization FOREIGN KEY (organization_id) REFERENCES organizations (id),
    CONSTRAINT verification_checkpoints_mode CHECK (mode IN ('FULL', 'INCREMENTAL')),
    CONSTRAINT verification_checkpoints_number CHECK (number > 0 AND audit_position >= 0),
    CONSTRAINT verification_checkpoints_hashes CHECK (length(audit_hash) = 32 AND length(hash) = 32)
);

-- +postgresql begin
-- +goose StatementBegin
CREATE FUNCTION refuse_change_of_verification_checkpoints() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'checkpoints of verifications are never changed or deleted' USING ERRCODE = 'restrict_violation';
END
$$;
-- +goose StatementEnd
CREATE TRIGGER verification_checkpoints_append_only BEFORE UPDATE OR DELETE ON verification_checkpoints
    FOR EACH ROW EXECUTE FUNCTION refuse_change_of_verification_checkpoints();
CREATE TRIGGER verification_checkpoints_not_truncated BEFORE TRUNCATE ON verification_checkpoints
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change_of_verification_checkpoints();
-- +postgresql end

SELECT hold_to_organizations('verification_checkpoints');

-- For the newest entries. A BRIN index has one row for many pages, so inserts hardly change it.
CREATE INDEX unit_entries_by_time ON unit_entries USING brin (occurred_at) WITH (pages_per_range = 16, autosummarize = on);

-- +goose Down
DROP INDEX unit_entries_by_time;
DROP TABLE verification_checkpoints;
-- +postgresql begin
DROP FUNCTION refuse_change_of_verification_checkpoints();
-- +postgresql end
ALTER TABLE verifications DROP COLUMN mode;
