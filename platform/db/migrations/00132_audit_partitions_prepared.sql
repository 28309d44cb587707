-- +postgresql
-- +goose NO TRANSACTION
-- What the partitions of the audit trail need, built while the program writes: indexes with the time, and a constraint
-- that lets the present rows become the first partition without a scan under a lock.

-- +goose Up
-- The partitions are in a schema of their own, because the program's role has no privilege there. It reads and writes
-- them through the tables that they are partitions of.
CREATE SCHEMA IF NOT EXISTS partitions;
DROP INDEX IF EXISTS audit_seals_by_position;
CREATE UNIQUE INDEX CONCURRENTLY audit_seals_by_position ON audit_seals (organization_id, position, occurred_at);
DROP INDEX IF EXISTS audit_seals_by_sequence;
CREATE UNIQUE INDEX CONCURRENTLY audit_seals_by_sequence ON audit_seals (organization_id, sequence, occurred_at);
-- The first partition ends with this month, or with the next one if this month ends soon.
-- +goose StatementBegin
DO $$
DECLARE
    bound timestamptz := date_trunc('month', now() + interval '1 month 7 days', 'UTC');
    name text;
BEGIN
    SET LOCAL lock_timeout = '10s';
    FOREACH name IN ARRAY ARRAY['audit_events', 'audit_seals'] LOOP
        EXECUTE format('ALTER TABLE %I DROP CONSTRAINT IF EXISTS first_partition', name);
        EXECUTE format('ALTER TABLE %I ADD CONSTRAINT first_partition CHECK (occurred_at < %L) NOT VALID', name, bound);
    END LOOP;
END
$$;
-- +goose StatementEnd
ALTER TABLE audit_events VALIDATE CONSTRAINT first_partition;
ALTER TABLE audit_seals VALIDATE CONSTRAINT first_partition;

-- +goose Down
ALTER TABLE audit_seals DROP CONSTRAINT IF EXISTS first_partition;
ALTER TABLE audit_events DROP CONSTRAINT IF EXISTS first_partition;
DROP INDEX IF EXISTS audit_seals_by_sequence;
DROP INDEX IF EXISTS audit_seals_by_position;
DROP SCHEMA partitions;
