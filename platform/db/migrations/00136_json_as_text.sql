-- Stored answers, payloads of events and records of the audit trail are JSON in columns of the type text. Every engine
-- returns text unchanged, so the hashes over it are the same on every engine.

-- +goose Up
-- Older programs read audit_events.after as json.
UPDATE schema_compatibility SET oldest_program = 136;
-- +postgresql begin
ALTER TABLE commands ALTER COLUMN answer TYPE text;
ALTER TABLE outbox ALTER COLUMN payload TYPE text;
ALTER TABLE events ALTER COLUMN payload TYPE text;
ALTER TABLE audit_events ALTER COLUMN before TYPE text, ALTER COLUMN after TYPE text;
-- +postgresql end

-- +goose Down
UPDATE schema_compatibility SET oldest_program = 109;
-- +postgresql begin
ALTER TABLE audit_events ALTER COLUMN before TYPE json USING before::json, ALTER COLUMN after TYPE json USING after::json;
ALTER TABLE events ALTER COLUMN payload TYPE json USING payload::json;
ALTER TABLE outbox ALTER COLUMN payload TYPE json USING payload::json;
ALTER TABLE commands ALTER COLUMN answer TYPE json USING answer::json;
-- +postgresql end
