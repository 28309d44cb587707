-- What a reserve of one unit does, in one SERIALIZABLE transaction.
\set n random(1, :rows)
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT a.organization_id AS org, a.id AS auth, a.last_sequence + 1 AS seq, gen_random_uuid() AS res, gen_random_uuid() AS op
    FROM bare b JOIN authorizations a ON a.organization_id = b.organization_id AND a.id = b.id WHERE b.n = :n \gset
UPDATE authorizations SET scheduled_units = scheduled_units + 1, last_sequence = :seq, last_hash = sha256(last_hash),
    version = version + 1, updated_at = now() WHERE organization_id = :org AND id = :auth AND last_sequence = :seq - 1;
INSERT INTO unit_reservations (organization_id, id, authorization_id, sequence, units, service_date, created_at, updated_at)
    VALUES (:org, :res, :auth, :seq, 1, current_date, now(), now());
INSERT INTO unit_entries (organization_id, authorization_id, sequence, kind, units, reservation_id, service_date, operation_id, actor_id,
        request_id, total_after, used_after, scheduled_after, occurred_at, previous_hash, hash)
    VALUES (:org, :auth, :seq, 'reserve', 1, :res, current_date, :op, :op, 'pgbench', 1, 0, 1, now(), sha256('a'), sha256('b'));
INSERT INTO outbox (organization_id, type, subject_id, permission, payload, occurred_at)
    VALUES (:org, 'bench', :auth, 'nobody', '{"authorizationId": "00000000-0000-7000-8000-000000000000", "totalUnits": 1, "usedUnits": 0}', now());
WITH recorded AS (
    INSERT INTO audit_events (organization_id, occurred_at, actor_id, request_id, action, outcome, subject_type, subject_id, address, after)
        VALUES (:org, now(), :op, 'pgbench', 'bench', 'done', 'authorization', :auth, '127.0.0.1', '{"units": 1}')
        RETURNING organization_id, sequence, occurred_at)
INSERT INTO audit_unsealed (organization_id, sequence, sequences, times)
    SELECT organization_id, min(sequence), array_agg(sequence), array_agg(occurred_at) FROM recorded GROUP BY organization_id;
INSERT INTO commands (organization_id, id, call_id, kind, fingerprint, answer, created_at)
    VALUES (:org, :op, :op, 'reserve', sha256('c'), '{"balance": {"Total": 1, "Used": 0, "Scheduled": 1}, "version": 1}', now());
COMMIT;
