package rbac

import (
	"context"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
)

// NamesOf returns the names of users and API keys of the caller's organization by id. The result
// omits unknown ids.
func (s *Service) NamesOf(ctx context.Context, ids []uuid.UUID) (map[uuid.UUID]string, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	return db.Snapshot(ctx, s.database, "user.names", func(ctx context.Context) (map[uuid.UUID]string, error) {
		return findNames(ctx, ids)
	})
}
