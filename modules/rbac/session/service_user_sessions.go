package session

import (
	"context"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/trail"
)

// ListOfUser returns the active sessions of a user, the newest first. Errors:
// [rbac.ErrUserNotFound], [identity.ErrBeyondOwn] for a user with more permissions than the caller.
func (s *Service) ListOfUser(ctx context.Context, user uuid.UUID) ([]Session, error) {
	return db.Snapshot(ctx, s.Database, "user.list-sessions", func(ctx context.Context) ([]Session, error) {
		u, err := s.Accounts.AdministeredUser(ctx, user)
		if err != nil {
			return nil, err
		}
		return s.store.active(ctx, u.OrganizationID, u.ID, s.Clock.Now())
	})
}

// endedSession is the After value of a session that another user ended.
type endedSession struct {
	UserID uuid.UUID `json:"userId"`
}

// EndOfUser ends a session of a user. Errors: [rbac.ErrUserNotFound], [identity.ErrBeyondOwn],
// [ErrNotFound].
func (s *Service) EndOfUser(ctx context.Context, user, id uuid.UUID) error {
	now := s.Clock.Now()
	// Without [db.ProvenBy]: the caller can repeat it after an unknown outcome.
	_, err := db.Serializable(ctx, s.Database, "user.end-session", func(ctx context.Context) (struct{}, error) {
		u, err := s.Accounts.AdministeredUser(ctx, user)
		if err != nil {
			return struct{}{}, err
		}
		if err := s.revokeOne(ctx, u.OrganizationID, u.ID, id, now); err != nil {
			return struct{}{}, err
		}
		return struct{}{}, trail.RecordBy(ctx, s.Audit, trail.Event{
			Action: "sign-in.end", SubjectType: "sign-in", SubjectID: id, OccurredAt: now, After: endedSession{u.ID},
		})
	})
	return err
}
