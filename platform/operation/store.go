package operation

import (
	"context"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
)

// Memory is a table of operations. Its methods, except [Memory.Forget], work in the
// transaction of the context. Safe for concurrent use.
type Memory struct{ table, once, find, write string }

// In returns the Memory for the table. The table has the columns of [Done]. Its primary
// key consists of the first two and has PostgreSQL's default name.
func In(table string) Memory {
	return Memory{
		table: table, once: table + "_pkey",
		find: `
			SELECT o.* FROM unnest($1::uuid[], $2::uuid[]) AS k (organization_id, id)
			CROSS JOIN LATERAL (
				SELECT organization_id, id, kind, fingerprint, outcome, created_at
				FROM ` + table + ` t WHERE t.organization_id = k.organization_id AND t.id = k.id OFFSET 0) o`,
		write: `
			INSERT INTO ` + table + ` (organization_id, id, kind, fingerprint, outcome, created_at)
			SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::bytea[], $5::text[]::json[], $6::timestamptz[])`,
	}
}

// Find returns the operations that have been executed. Index: the primary key.
func (m Memory) Find(ctx context.Context, keys ...Key) (map[Key]Done, error) {
	organizations, ids := make([]uuid.UUID, len(keys)), make([]uuid.UUID, len(keys))
	for i, key := range keys {
		organizations[i], ids[i] = key.OrganizationID, key.ID
	}
	found := make(map[Key]Done, len(keys))
	return found, db.Read(ctx, db.Query{
		Statement: m.find, Arguments: []any{db.UUIDs(organizations), db.UUIDs(ids)},
		Row: func(scan func(targets ...any) error) error {
			var d Done
			err := scan(&d.OrganizationID, &d.ID, &d.Kind, &d.Fingerprint, &d.Outcome, &d.CreatedAt)
			found[d.Key] = d
			return err
		},
	})
}

// Write inserts rows without checking for existing ones; see [Memory.Once].
func (m Memory) Write(ctx context.Context, rows []Done) error {
	if len(rows) == 0 {
		return nil
	}
	n := len(rows)
	organizations, ids := make([]uuid.UUID, n), make([]uuid.UUID, n)
	kinds, fingerprints, outcomes, times := make([]string, n), make([][]byte, n), make([]string, n), make([]time.Time, n)
	for i, row := range rows {
		organizations[i], ids[i] = row.OrganizationID, row.ID
		kinds[i], fingerprints[i], outcomes[i], times[i] = row.Kind, row.Fingerprint, string(row.Outcome), row.CreatedAt
	}
	return db.Write(ctx, n, m.write, db.UUIDs(organizations), db.UUIDs(ids), kinds, fingerprints, outcomes, times)
}

// Once returns the options of a transaction that writes the rows of its last attempt.
// If a row exists already, the transaction is retried in doubt (see [db.InDoubt]) and
// must look up its operations.
//
// After a COMMIT without a reply, any of the rows proves that all were written. If
// another call with the same key wrote the row, the retry finds it and returns the same
// answer. A transaction that wrote nothing is safe to retry.
func (m Memory) Once(rows *[]Done) []db.Option {
	return []db.Option{db.RetryConstraint(m.once), db.ProvenBy(func(ctx context.Context) (bool, error) {
		if len(*rows) == 0 {
			return false, nil
		}
		ours := (*rows)[0]
		if err := db.Admit(ctx, ours.OrganizationID); err != nil {
			return false, err
		}
		found, err := m.Find(ctx, ours.Key)
		existing, ok := found[ours.Key]
		if err != nil || !ok {
			return false, err
		}
		var wrote, stored Answer
		if err := ours.Recall(&wrote); err != nil {
			return false, err
		}
		err = existing.Recall(&stored)
		return stored.Call == wrote.Call, err
	})}
}

// Forget deletes the operations created before the given time, in all organizations, and returns
// their number. The name is the operation in metrics. The table needs an index that begins with
// created_at.
func (m Memory) Forget(ctx context.Context, database *db.DB, name string, before time.Time) (int64, error) {
	return db.RemoveOld(ctx, database, db.Removal{Operation: name, Table: m.table, Time: "created_at", Before: before})
}
