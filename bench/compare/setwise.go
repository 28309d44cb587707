package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// setWiseBatch is the number of reserves in one transaction: the usual batch of the program with 50 clients.
const setWiseBatch = 34

// minSetWise is the target for high-contention against the set-wise limit.
const minSetWise = 0.8

// The statements of a batch of reserves of one unit on one authorization, which set-wise runs on one
// connection. They write the same rows as reserve.sql does for each reserve. The first two travel with BEGIN,
// as in the program, and the others with COMMIT.
const (
	setWiseIDs  = `unnest($3::uuid[], $4::uuid[]) WITH ORDINALITY AS k (reservation, operation, n)`
	setWiseRead = `SELECT organization_id, id, last_sequence FROM authorizations WHERE id = (SELECT id FROM bare WHERE n = 1)`
)

var setWiseWrites = []string{
	`UPDATE authorizations SET scheduled_units = scheduled_units + cardinality($3::uuid[]),
		last_sequence = last_sequence + cardinality($4::uuid[]), last_hash = sha256(last_hash),
		version = version + cardinality($3::uuid[]), updated_at = now()
		WHERE organization_id = $1 AND id = $2 AND last_sequence = $5`,
	`INSERT INTO unit_reservations (organization_id, id, authorization_id, sequence, units, service_date, created_at, updated_at)
		SELECT $1, k.reservation, $2, $5 + k.n, 1, current_date, now(), now() FROM ` + setWiseIDs,
	`INSERT INTO unit_entries (organization_id, authorization_id, sequence, kind, units, reservation_id, service_date,
			operation_id, actor_id, request_id, total_after, used_after, scheduled_after, occurred_at, previous_hash, hash)
		SELECT $1, $2, $5 + k.n, 'reserve', 1, k.reservation, current_date, k.operation, k.operation, 'set-wise', 1, 0, 1,
			now(), sha256('a'), sha256('b') FROM ` + setWiseIDs,
	`INSERT INTO outbox (organization_id, type, subject_id, permission, payload, occurred_at)
		SELECT $1, 'bench', $2, 'nobody',
			'{"authorizationId": "00000000-0000-7000-8000-000000000000", "totalUnits": 1, "usedUnits": 0}', now()
		FROM ` + setWiseIDs + ` WHERE $5::bigint IS NOT NULL`,
	`WITH recorded AS (
		INSERT INTO audit_events (organization_id, occurred_at, actor_id, request_id, action, outcome, subject_type, subject_id,
				address, after)
			SELECT $1, now(), k.operation, 'set-wise', 'bench', 'done', 'authorization', $2, '127.0.0.1', '{"units": 1}'
			FROM ` + setWiseIDs + ` WHERE $5::bigint IS NOT NULL
			RETURNING organization_id, sequence, occurred_at)
		INSERT INTO audit_unsealed (organization_id, sequence, sequences, times)
			SELECT organization_id, min(sequence), array_agg(sequence), array_agg(occurred_at) FROM recorded
			GROUP BY organization_id`,
	`INSERT INTO commands (organization_id, id, call_id, kind, fingerprint, answer, created_at)
		SELECT $1, k.operation, k.operation, 'reserve', sha256('c'),
			'{"balance": {"Total": 1, "Used": 0, "Scheduled": 1}, "version": 1}', now()
		FROM ` + setWiseIDs + ` WHERE $2::uuid IS NOT NULL AND $5::bigint IS NOT NULL`,
}

// setWise measures the set-wise limit on the server's database, and compares the rounds of high-contention
// with it.
func (b *bench) setWise(ctx context.Context, t *table, s commandServer, contended []commandRun) error {
	if err := s.prepare(ctx); err != nil {
		return err
	}
	var rates []float64
	for round := range b.rounds {
		b.say("set-wise, round %d", round+1)
		began, batches := time.Now(), 0
		for ; time.Since(began) < b.duration; batches++ {
			if err := reserveSetWise(ctx, s.database); err != nil {
				return fmt.Errorf("set-wise: %w", err)
			}
		}
		rates = append(rates, float64(batches*setWiseBatch)/time.Since(began).Seconds())
	}
	slices.Sort(rates)
	t.commandRows = append(t.commandRows, fmt.Sprintf("| set-wise, %d reserves in a transaction | 1 | %.0f (%.0f to %.0f) | 0 | | | | | |",
		setWiseBatch, rates[len(rates)/2], rates[0], rates[len(rates)-1]))
	reached := make([]float64, len(contended))
	for i, run := range contended {
		reached[i] = run.AcceptedPerSecond
	}
	slices.Sort(reached)
	t.atLeast("high-contention against the set-wise limit", reached[len(reached)/2]/rates[len(rates)/2], minSetWise)
	return nil
}

// reserveSetWise runs one batch in two round trips.
func reserveSetWise(ctx context.Context, c *pgx.Conn) error {
	var first pgx.Batch
	first.Queue("BEGIN ISOLATION LEVEL SERIALIZABLE")
	var organization, authorization [16]byte
	var sequence int64
	first.Queue(setWiseRead).QueryRow(func(row pgx.Row) error { return row.Scan(&organization, &authorization, &sequence) })
	if err := c.SendBatch(ctx, &first).Close(); err != nil {
		return err
	}
	reservations, operations := make([][16]byte, setWiseBatch), make([][16]byte, setWiseBatch)
	for i := range setWiseBatch {
		reservations[i], operations[i] = uuid.New(), uuid.New()
	}
	var rest pgx.Batch
	for _, statement := range setWiseWrites {
		rest.Queue(statement, organization, authorization, reservations, operations, sequence)
	}
	rest.Queue("COMMIT")
	return c.SendBatch(ctx, &rest).Close()
}
