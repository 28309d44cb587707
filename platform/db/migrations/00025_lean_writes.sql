-- The same promises for less time in the lane: every booking waits for what is written there.

-- +goose Up
-- An entry of a reservation names its authorization through the reservation, which is bound to it: the second check,
-- of each row against the hottest row that there is, said nothing more. Adjustments have no reservation.
ALTER TABLE unit_entries
    ADD COLUMN adjusts uuid GENERATED ALWAYS AS (CASE WHEN reservation_id IS NULL THEN authorization_id END) STORED,
    DROP CONSTRAINT unit_entries_authorization;
-- The index is for whoever deletes an authorization.
CREATE INDEX unit_entries_adjusting ON unit_entries (organization_id, adjusts) WHERE adjusts IS NOT NULL;
ALTER TABLE unit_entries ADD CONSTRAINT unit_entries_authorization FOREIGN KEY (organization_id, adjusts)
    REFERENCES authorizations (organization_id, id);

-- Written once, read as a whole, never searched: json is kept as it comes, jsonb is taken apart and put together again.
ALTER TABLE unit_operations ALTER COLUMN outcome TYPE json;
ALTER TABLE appointment_operations ALTER COLUMN outcome TYPE json;
ALTER TABLE outbox ALTER COLUMN payload TYPE json;
ALTER TABLE events ALTER COLUMN payload TYPE json;

-- A row for all that a statement has recorded of an organization, not one for each event.
ALTER TABLE audit_unsealed RENAME COLUMN occurred_at TO times; -- of the events
ALTER TABLE audit_unsealed
    ALTER COLUMN times TYPE timestamptz[] USING ARRAY[times],
    ADD COLUMN sequences bigint[]; -- of the same events; the column sequence is the least of them
UPDATE audit_unsealed SET sequences = ARRAY[sequence];
ALTER TABLE audit_unsealed
    ALTER COLUMN sequences SET NOT NULL,
    ADD CONSTRAINT audit_unsealed_pairs CHECK (cardinality(sequences) > 0 AND cardinality(sequences) = cardinality(times));

-- +goose Down
CREATE TEMPORARY TABLE unsealed ON COMMIT DROP AS
    SELECT u.organization_id, k.sequence, k.occurred_at, u.recorded_at
    FROM audit_unsealed u CROSS JOIN LATERAL unnest(u.sequences, u.times) AS k (sequence, occurred_at);
DELETE FROM audit_unsealed;
ALTER TABLE audit_unsealed DROP COLUMN sequences, DROP COLUMN times, ADD COLUMN occurred_at timestamptz NOT NULL;
INSERT INTO audit_unsealed (organization_id, sequence, occurred_at, recorded_at)
    SELECT organization_id, sequence, occurred_at, recorded_at FROM unsealed;

ALTER TABLE events ALTER COLUMN payload TYPE jsonb;
ALTER TABLE outbox ALTER COLUMN payload TYPE jsonb;
ALTER TABLE appointment_operations ALTER COLUMN outcome TYPE jsonb;
ALTER TABLE unit_operations ALTER COLUMN outcome TYPE jsonb;
ALTER TABLE unit_entries DROP CONSTRAINT unit_entries_authorization, DROP COLUMN adjusts;
ALTER TABLE unit_entries ADD CONSTRAINT unit_entries_authorization FOREIGN KEY (organization_id, authorization_id)
    REFERENCES authorizations (organization_id, id);
