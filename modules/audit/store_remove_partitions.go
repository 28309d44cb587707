package audit

import (
	"context"
	"fmt"
	"strings"
	"time"

	"omnirapeutic/platform/db"
)

// The tables of the trail that have partitions.
const (
	eventsTable = "audit_events"
	sealsTable  = "audit_seals"
)

// partition is a partition of a table of the trail.
type partition struct {
	Name     string     // with its schema
	BeginsAt *time.Time // nil: it has no beginning
	EndsAt   *time.Time // nil: it has no end
	Pending  bool       // its removal from the table was interrupted
}

// suffix is what the names of the partitions of a time have in common.
func (p partition) suffix(table string) string {
	return strings.TrimPrefix(p.Name, "partitions."+table)
}

// partitions returns the partitions of a table in the order of their times. There are none if the table has
// no partitions. It reads the catalog, and needs no function of the migrations.
func (store) partitions(ctx context.Context, table string) ([]partition, error) {
	return db.Select[partition](ctx, `
		SELECT c.oid::regclass::text AS name,
			substring(b.bound FROM 'FROM \(''([^'']+)''')::timestamptz AS begins_at,
			substring(b.bound FROM 'TO \(''([^'']+)''')::timestamptz AS ends_at,
			i.inhdetachpending AS pending
		FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
		CROSS JOIN LATERAL (SELECT pg_get_expr(c.relpartbound, c.oid) AS bound) b
		WHERE i.inhparent = CAST($1 AS text)::regclass
		ORDER BY begins_at NULLS FIRST`, table)
}

// detached returns the tables that were partitions of a table of the trail, in the order of their names.
func (store) detached(ctx context.Context, table string) ([]partition, error) {
	return db.Select[partition](ctx, `
		SELECT c.oid::regclass::text AS name FROM pg_class c
		WHERE c.relnamespace = to_regnamespace('partitions') AND c.relkind = 'r' AND NOT c.relispartition
		  AND starts_with(c.relname, $1)
		ORDER BY 1`, table)
}

// attachFirst adds a partition for the time before all others, if there is none.
func (store) attachFirst(ctx context.Context, table string) error {
	_, err := db.Exec(ctx, `SELECT add_first_partition(CAST($1 AS text)::regclass)`, table)
	return err
}

// keptRows returns the number of events and seals in detached partitions that no checkpoint covers. It reads
// all of their rows, which no other transaction uses any more.
func (store) keptRows(ctx context.Context, events, seals string) (kept int64, err error) {
	if _, err := db.Exec(ctx, "SELECT set_config('enable_seqscan', 'on', true)"); err != nil {
		return 0, err
	}
	return db.SelectOne[int64](ctx, fmt.Sprintf(`
		SELECT abs((SELECT count(*) FROM %s) - (SELECT count(*) FROM %[2]s)) + (
			SELECT count(*) FROM (
				SELECT organization_id, max(position) AS last FROM %[2]s GROUP BY organization_id) s
			WHERE s.last > coalesce((
				SELECT max(c.position) FROM audit_checkpoints c WHERE c.organization_id = s.organization_id), 0))`,
		events, seals))
}

// drop drops two detached partitions. Before, it puts rows that no checkpoint covers back into the trail.
func (store) drop(ctx context.Context, events, seals string, hasKept bool) error {
	const covered = `position <= coalesce((
		SELECT max(c.position) FROM audit_checkpoints c WHERE c.organization_id = s.organization_id), 0)`
	var statements []string
	if hasKept {
		statements = append(statements,
			fmt.Sprintf(`INSERT INTO audit_events OVERRIDING SYSTEM VALUE SELECT * FROM %s e WHERE NOT EXISTS (
				SELECT FROM %s s WHERE s.organization_id = e.organization_id AND s.occurred_at = e.occurred_at
					AND s.sequence = e.sequence AND s.%s)`, events, seals, covered),
			fmt.Sprintf(`INSERT INTO audit_seals SELECT * FROM %s s WHERE NOT (s.%s)`, seals, covered))
	}
	for _, statement := range append(statements, "DROP TABLE "+events, "DROP TABLE "+seals) {
		if _, err := db.Exec(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}
