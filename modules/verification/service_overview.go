package verification

import (
	"context"
	"time"

	"omnirapeutic/platform/db"
)

// maxOverview limits the organizations that [Service.Overview] reads.
const maxOverview = 10_000

// Overview summarizes the verifications without a problem of all organizations, for metrics.
type Overview struct {
	Organizations int // with such a verification; at most ten thousand, more are not counted
	// Oldest is the oldest of the organizations' last such verifications; nil if there is none.
	Oldest *time.Time
}

// Overview returns the overview. It reads a row of an index for each organization, so the caller should
// not ask often.
func (s *Service) Overview(ctx context.Context) (Overview, error) {
	return db.Snapshot(ctx, s.Database, "verification.overview", func(ctx context.Context) (Overview, error) {
		return s.store.overview(ctx, maxOverview)
	}, db.AllOrganizations())
}
