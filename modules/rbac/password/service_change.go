package password

import (
	"context"

	"omnirapeutic/modules/rbac"
	"omnirapeutic/modules/rbac/session"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/mail"
	"omnirapeutic/platform/trail"
)

// Change is the caller's current password and the new one.
type Change struct {
	Current string
	New     string
}

// Change changes the caller's password and ends all of their sessions but the current one. The
// current session keeps its refresh token and gets a new access token; the earlier one becomes
// invalid. Errors: [identity.ErrUnauthenticated], [fault.ErrInvalid] for a wrong current password or
// an invalid new one, [throttle.ErrSignInDelayed] after too many wrong passwords, [ErrBusy].
func (s *Service) Change(ctx context.Context, c Change) (session.SignedIn, error) {
	caller, err := identity.From(ctx)
	if err != nil {
		return session.SignedIn{}, err
	}
	own, err := s.Own(ctx, caller)
	if err != nil {
		return session.SignedIn{}, err
	}
	if fieldErrors := Check(c.New, own.User.Email); len(fieldErrors) > 0 {
		fieldErrors[0].Field = "newPassword"
		return session.SignedIn{}, fault.InvalidFields(fieldErrors...)
	}
	const action = "user.change-password"
	counter, err := s.Prove(ctx, caller, own, c.Current, "currentPassword", action)
	if err != nil {
		return session.SignedIn{}, err
	}
	hash, err := s.Hash(ctx, own.User.Email, c.New)
	if err != nil {
		return session.SignedIn{}, err
	}
	in, err := db.Serializable(ctx, s.Database, action, func(ctx context.Context) (session.Session, error) {
		in, err := s.Sessions.EndOthers(ctx, caller)
		if err != nil { // also if an earlier attempt has committed
			return session.Session{}, err
		}
		if err := s.store.change(ctx, own.User, own.Hash, hash, s.Clock.Now()); err != nil {
			return session.Session{}, err
		}
		if err := s.store.deleteReset(ctx, caller.OrganizationID, caller.UserID); err != nil {
			return session.Session{}, err
		}
		if err := s.Throttle.Forget(ctx, counter); err != nil {
			return session.Session{}, err
		}
		if err := rbac.NotifyChange(ctx, s.Core, own.User, mail.PasswordChanged); err != nil {
			return session.Session{}, err
		}
		return in, trail.RecordBy(ctx, s.Audit, trail.Event{
			Action: action, SubjectType: "user", SubjectID: caller.UserID, OccurredAt: s.Clock.Now(),
		})
	})
	if db.IsNotFound(err) { // the password was changed by another request
		return session.SignedIn{}, identity.ErrUnauthenticated
	}
	if err != nil {
		return session.SignedIn{}, err
	}
	return s.Sessions.IssueAccessToken(own.User, in)
}
