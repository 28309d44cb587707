package command

import (
	"context"
	"time"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/record"
)

// row is the row of an executed command.
type row struct {
	Call
	Answer    []byte // JSON; nil: without an answer, or not yet known
	CreatedAt time.Time
}

// key returns the primary key.
func (c Call) key() record.Key { return record.Of(c.OrganizationID, c.ID) }

// commandsPrimaryKey is the constraint that lets only one call of a command commit.
const commandsPrimaryKey = "commands_pkey"

// writeLock is the table whose lock serializes batches, across instances of the program.
const writeLock = "write_lock"

// WaitForBatches returns the options of a transaction that waits for running batches of commands, of
// all instances of the program. There are none if [Options.NoLock] is set.
func (e *Engine) WaitForBatches() []db.Option {
	if e.options.NoLock {
		return nil
	}
	return []db.Option{db.Locking(writeLock)}
}

// find returns the rows that exist. Index: the primary key.
func find(ctx context.Context, keys ...record.Key) (map[record.Key]row, error) {
	found := make(map[record.Key]row, len(keys))
	return found, db.Read(ctx, db.Query{
		Statement: `
			SELECT c.* FROM unnest($1::uuid[], $2::uuid[]) AS k (organization_id, id)
			CROSS JOIN LATERAL (
				SELECT organization_id, id, call_id, kind, fingerprint, answer, created_at
				FROM commands t WHERE t.organization_id = k.organization_id AND t.id = k.id OFFSET 0) c`,
		Arguments: db.KeyColumns(keys),
		Row: func(scan func(targets ...any) error) error {
			var r row
			err := scan(&r.OrganizationID, &r.ID, &r.CallID, &r.Kind, &r.Fingerprint, &r.Answer, &r.CreatedAt)
			found[r.key()] = r
			return err
		},
	})
}

// write inserts rows without checking for existing ones; see [onceOptions].
func write(ctx context.Context, rows []row) error {
	if len(rows) == 0 {
		return nil
	}
	columns := db.Columns(rows, func(v *db.Values, r row) {
		var answer *string
		if r.Answer != nil {
			answer = new(string(r.Answer))
		}
		v.UUID(r.OrganizationID, r.ID, r.CallID).Text(r.Kind).Bytes(r.Fingerprint).OptionalText(answer).Time(r.CreatedAt)
	})
	return db.Write(ctx, len(rows), `
		INSERT INTO commands (organization_id, id, call_id, kind, fingerprint, answer, created_at)
		SELECT * FROM unnest(
			$1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::bytea[], $6::text[], $7::timestamptz[])`,
		columns...)
}

// writeAnswer stores the answer in a row that was written without one.
func writeAnswer(ctx context.Context, r row) error {
	return db.Write(ctx, 1, `UPDATE commands SET answer = $3 WHERE organization_id = $1 AND id = $2`,
		r.OrganizationID, r.ID, string(r.Answer))
}

// onceOptions returns the options of a transaction that writes the rows of its last attempt. If a row
// exists already, the transaction is retried in doubt (see [db.InDoubt]) and must look up its
// commands.
//
// After a COMMIT without a reply, any of the rows proves that all were written. If another call of
// the command wrote the row, the retry finds it and returns the same answer. A transaction that
// wrote nothing is safe to retry.
func onceOptions(rows *[]row) []db.Option {
	return []db.Option{db.RetryConstraint(commandsPrimaryKey), db.ProvenBy(func(ctx context.Context) (bool, error) {
		if len(*rows) == 0 {
			return false, nil
		}
		ours := (*rows)[0]
		if err := db.Admit(ctx, ours.OrganizationID); err != nil {
			return false, err
		}
		found, err := find(ctx, ours.key())
		existing, ok := found[ours.key()]
		return ok && existing.CallID == ours.CallID, err
	})}
}

// Forget deletes the rows of commands created before the given time, in all organizations, and
// returns their number. Index: commands_by_age.
func (e *Engine) Forget(ctx context.Context, older time.Duration) (int64, error) {
	return db.RemoveOld(ctx, e.options.Database, db.Removal{
		Operation: "commands.forget", Table: "commands", Key: []string{"organization_id", "id"},
		Time: "created_at", Before: e.options.Clock().Add(-older),
	})
}
