package mailing

import (
	"context"
	"time"

	"omnirapeutic/platform/db"
)

// backlog reads at most limit rows. Index: mails_due.
func (store) backlog(ctx context.Context, now time.Time, limit int) (Backlog, error) {
	found, err := db.SelectOne[struct {
		Queued int
		Since  *time.Time
	}](ctx, `
		SELECT count(*) AS queued, min(created_at) AS since
		FROM (SELECT created_at FROM mails WHERE state = 'QUEUED' ORDER BY next_attempt_at LIMIT ?) w`, limit)
	b := Backlog{Queued: found.Queued}
	if found.Since != nil {
		b.Oldest = max(0, now.Sub(*found.Since))
	}
	return b, err
}
