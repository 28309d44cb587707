package rbac

import (
	"context"
	"strconv"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/permission"
	"omnirapeutic/platform/trail"
)

// lift identifies the count of attempts at the account since an administrator lifted its locks. It
// is "" for the count of the e-mail address, which all accounts of the address share. A lift
// applies for as long as the attempts before it would count. So an administrator restarts only the
// counts of their own organization's account.
func (c credentials) lift(now time.Time) string {
	at := c.User.liftedAt
	if at == nil || now.Sub(*at) >= forgetAfter {
		return ""
	}
	return c.User.OrganizationID.String() + " " + strconv.FormatInt(at.UnixMicro(), 10)
}

// UnlockUser lifts the locks of a user's sign-in in the caller's organization: earlier failed
// attempts no longer count, from any source. Errors: [ErrUserNotFound], [ErrBeyondOwn] for a user
// with more permissions than the caller.
func (s *Service) UnlockUser(ctx context.Context, id uuid.UUID) error {
	caller, err := identity.From(ctx)
	if err != nil {
		return err
	}
	const action = "user.unlock"
	// Without [db.ProvenBy]: the caller can repeat it after an unknown outcome.
	_, err = db.Serializable(ctx, s.database, action, func(ctx context.Context) (struct{}, error) {
		mine, err := s.callerHolds(ctx, permission.UserChange)
		if err != nil {
			return struct{}{}, err
		}
		u, err := userOf(ctx, id)
		if err != nil {
			return struct{}{}, err
		}
		theirs, err := heldBy(ctx, u.Roles)
		if err != nil {
			return struct{}{}, err
		}
		if err := mine.covers(theirs); err != nil {
			return struct{}{}, err
		}
		now := s.now()
		if err := liftLocks(ctx, id, now); err != nil {
			return struct{}{}, err
		}
		e := trail.By(caller)
		e.Action, e.SubjectType, e.SubjectID, e.OccurredAt = action, "user", id, now
		return struct{}{}, s.audit.Record(ctx, []trail.Event{e})
	})
	return err
}
