package audit

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"

	"omnirapeutic/platform/db"
)

func compareKeys(a, b attemptKey) int {
	return cmp.Or(
		a.minute.Compare(b.minute), strings.Compare(a.source, b.source),
		strings.Compare(a.action, b.action), strings.Compare(a.reason, b.reason),
	)
}

// addAttempts adds counts in the order of their keys, so that concurrent transactions do not
// deadlock. Index: the primary key.
func (store) addAttempts(ctx context.Context, counts attemptCounts) error {
	if len(counts) == 0 {
		return nil
	}
	keys := slices.SortedFunc(maps.Keys(counts), compareKeys)
	columns := db.Columns(keys, func(v *db.Values, k attemptKey) {
		v.Time(k.minute).Text(k.source).Text(k.action).Text(k.reason).Bigint(counts[k].attempts).Time(counts[k].lastAt)
	})
	return db.Write(ctx, len(keys), `
		INSERT INTO anonymous_attempts AS a (minute, source, action, reason, attempts, last_at)
		SELECT * FROM unnest($1::timestamptz[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::timestamptz[])
		ON CONFLICT (minute, source, action, reason)
		DO UPDATE SET attempts = a.attempts + excluded.attempts, last_at = greatest(a.last_at, excluded.last_at)`,
		columns...)
}

// attempts lists in the order of the primary key, the newest first.
func (store) attempts(ctx context.Context, f AttemptFilter, after *Attempts, limit int) ([]Attempts, error) {
	tx, err := db.Handle(ctx)
	if err != nil {
		return nil, err
	}
	query := tx.Table("anonymous_attempts")
	if !f.From.IsZero() {
		query = query.Where("minute >= ?", f.From)
	}
	if !f.To.IsZero() {
		query = query.Where("minute < ?", f.To)
	}
	if f.Source != "" {
		query = query.Where("source = ?", f.Source)
	}
	if after != nil {
		query = query.Where("(minute, source, action, reason) < (?, ?, ?, ?)", after.Minute, after.Source, after.Action,
			after.Reason)
	}
	var found []Attempts
	err = query.Order("minute DESC, source DESC, action DESC, reason DESC").Limit(limit).Find(&found).Error
	for i := range found {
		found[i].Minute, found[i].LastAt = found[i].Minute.UTC(), found[i].LastAt.UTC()
	}
	return found, err
}
