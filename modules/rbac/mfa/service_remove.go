package rbac

import (
	"context"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/patch"
	"omnirapeutic/platform/trail"
)

// TakeSecondFactor removes the second factor of a user of the caller's organization with its
// recovery codes, and ends all of the user's sign-ins. Errors: [ErrUserNotFound],
// [ErrOwnSecondFactor], [ErrBeyondOwn] for a user with more permissions than the caller,
// [ErrNoSecondFactor], [patch.ErrStale] if the user has another version.
func (s *Service) TakeSecondFactor(ctx context.Context, id uuid.UUID, match patch.Match) error {
	caller, err := identity.From(ctx)
	if err != nil {
		return err
	}
	const action = "second-factor.take-away"
	// Without [db.ProvenBy]: the caller can repeat it after an unknown outcome.
	_, err = db.Serializable(ctx, s.database, action, func(ctx context.Context) (struct{}, error) {
		u, err := s.userInPower(ctx, id)
		if err != nil {
			return struct{}{}, err
		}
		if err := match.Check(u.Version); err != nil {
			return struct{}{}, err
		}
		if id == caller.UserID {
			return struct{}{}, ErrOwnSecondFactor
		}
		if gone, err := deleteFactor(ctx, u.OrganizationID, id); err != nil {
			return struct{}{}, err
		} else if !gone {
			return struct{}{}, ErrNoSecondFactor
		}
		if _, err := s.revoke(ctx, u.OrganizationID, id); err != nil {
			return struct{}{}, err
		}
		e := trail.By(caller)
		e.Action, e.SubjectType, e.SubjectID, e.OccurredAt = action, "user", id, s.now()
		return struct{}{}, s.audit.Record(ctx, []trail.Event{e})
	})
	return err
}
