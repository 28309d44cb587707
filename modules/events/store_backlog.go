package events

import (
	"context"
	"time"

	"omnirapeutic/platform/db"
)

// backlog reads at most limit rows of the outbox, and as many of webhook_deliveries_due.
func (store) backlog(ctx context.Context, now time.Time, limit int) (Backlog, error) {
	tx, err := db.Handle(ctx)
	if err != nil {
		return Backlog{}, err
	}
	var found struct {
		Outbox, Deliveries int
		Since              *time.Time
	}
	err = tx.Raw(`
		SELECT o.outbox, o.since, d.deliveries
		FROM (SELECT count(*) AS outbox, min(occurred_at) AS since FROM (SELECT occurred_at FROM outbox LIMIT $1) w) o,
			(SELECT count(*) AS deliveries FROM (
				SELECT FROM webhook_deliveries WHERE state = 'PENDING' LIMIT $1) w) d`, limit).Scan(&found).Error
	b := Backlog{Outbox: found.Outbox, Deliveries: found.Deliveries}
	if found.Since != nil {
		b.Oldest = max(0, now.Sub(*found.Since))
	}
	return b, err
}
