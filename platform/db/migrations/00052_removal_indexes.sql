-- +goose NO TRANSACTION
-- Indexes for finding old rows without reading the whole table. CONCURRENTLY, so that running instances can keep
-- writing. An index of an interrupted attempt is invalid, and is created again.

-- +goose Up
DROP INDEX IF EXISTS unit_operations_by_age;
CREATE INDEX CONCURRENTLY unit_operations_by_age ON unit_operations (created_at);
DROP INDEX IF EXISTS appointment_operations_by_age;
CREATE INDEX CONCURRENTLY appointment_operations_by_age ON appointment_operations (created_at);
DROP INDEX IF EXISTS idempotency_keys_by_age;
CREATE INDEX CONCURRENTLY idempotency_keys_by_age ON idempotency_keys (created_at);
DROP INDEX IF EXISTS access_changes_by_age;
CREATE INDEX CONCURRENTLY access_changes_by_age ON access_changes (changed_at);
DROP INDEX IF EXISTS sign_in_failures_by_age;
CREATE INDEX CONCURRENTLY sign_in_failures_by_age ON sign_in_failures (last_at);
DROP INDEX IF EXISTS second_factors_unconfirmed;
CREATE INDEX CONCURRENTLY second_factors_unconfirmed ON second_factors (begun_at) WHERE confirmed_at IS NULL;
DROP INDEX IF EXISTS sign_ins_by_end;
CREATE INDEX CONCURRENTLY sign_ins_by_end ON sign_ins (tokens_kept, least(ended_at, idle_until, ends_at));
DROP INDEX IF EXISTS provider_link_requests_by_age;
CREATE INDEX CONCURRENTLY provider_link_requests_by_age ON provider_link_requests (expires_at);

-- +goose Down
DROP INDEX provider_link_requests_by_age;
DROP INDEX sign_ins_by_end;
DROP INDEX second_factors_unconfirmed;
DROP INDEX sign_in_failures_by_age;
DROP INDEX access_changes_by_age;
DROP INDEX idempotency_keys_by_age;
DROP INDEX appointment_operations_by_age;
DROP INDEX unit_operations_by_age;
