package rbac

import (
	"context"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/trail"
)

// SignOutEverywhere ends all sign-ins of the caller, including the current one. Their tokens
// become invalid on every instance. The error is [identity.ErrUnauthenticated] if the caller is
// not signed in.
func (s *Service) SignOutEverywhere(ctx context.Context) error {
	caller, err := identity.From(ctx)
	if err != nil {
		return err
	}
	over := func(ctx context.Context) (bool, error) {
		epoch, err := epochOf(ctx, caller.OrganizationID, caller.UserID)
		return epoch > caller.Epoch, err
	}
	_, err = db.Serializable(ctx, s.database, "user.sign-out-everywhere", func(ctx context.Context) (struct{}, error) {
		if db.InDoubt(ctx) { // an earlier attempt may have committed; other instances load it themselves
			if done, err := over(ctx); done || err != nil {
				return struct{}{}, err
			}
		}
		if _, err := s.revoke(ctx, caller.OrganizationID, caller.UserID); err != nil {
			return struct{}{}, err
		}
		return struct{}{}, s.recordSignOut(ctx, caller, "user.sign-out-everywhere", "user", caller.UserID)
	}, db.ProvenBy(over))
	if db.IsNotFound(err) {
		return identity.ErrUnauthenticated
	}
	return err
}

func (s *Service) recordSignOut(ctx context.Context, caller identity.Caller, action, subjectType string, id uuid.UUID) error {
	e := trail.By(caller)
	e.Action, e.SubjectType, e.SubjectID, e.OccurredAt = action, subjectType, id, s.now()
	return s.audit.Record(ctx, []trail.Event{e})
}
