package rbac

import (
	"context"
	"fmt"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/trail"
)

// PasswordChange is the caller's current password and the new one.
type PasswordChange struct {
	Current string `json:"currentPassword" validate:"required"`
	New     string `json:"newPassword" validate:"required"`
}

// ChangePassword changes the caller's password and ends all of their sign-ins but the current
// one. The current sign-in keeps its refresh token and gets a new access token; the earlier one
// becomes invalid. Errors: [identity.ErrUnauthenticated], [fault.ErrInvalid] for a wrong current
// password or an invalid new one, [ErrSignInDelayed] after too many wrong passwords,
// [ErrSignInBusy].
func (s *Service) ChangePassword(ctx context.Context, c PasswordChange) (SignedIn, error) {
	caller, err := identity.From(ctx)
	if err != nil {
		return SignedIn{}, err
	}
	mine, err := s.ownCredentials(ctx, caller)
	if err != nil {
		return SignedIn{}, err
	}
	if fieldErrors := checkPassword(c.New, mine.User.Email); len(fieldErrors) > 0 {
		fieldErrors[0].Field = "newPassword"
		return SignedIn{}, fault.InvalidFields(fieldErrors...)
	}
	counted, err := s.provePassword(ctx, caller, mine, c.Current, "currentPassword", "user.change-password")
	if err != nil {
		return SignedIn{}, err
	}
	hash, err := s.hashFor(ctx, mine.User.Email, c.New)
	if err != nil {
		return SignedIn{}, err
	}
	now := s.now()
	in, err := db.Serializable(ctx, s.database, "user.change-password", func(ctx context.Context) (signIn, error) {
		in, err := takeSignIn(ctx, caller.OrganizationID, caller.UserID, caller.SignInID, now)
		if db.IsNotFound(err) { // it has just ended, or an earlier attempt has committed
			return signIn{}, identity.ErrUnauthenticated
		}
		if err != nil {
			return signIn{}, err
		}
		if err := updatePassword(ctx, caller.UserID, mine.Hash, hash, now); err != nil {
			return signIn{}, err
		}
		if in.Epoch, err = s.revoke(ctx, caller.OrganizationID, caller.UserID); err != nil {
			return signIn{}, err
		}
		if err := keepSignIn(ctx, in); err != nil {
			return signIn{}, err
		}
		if err := deletePasswordReset(ctx, caller.OrganizationID, caller.UserID); err != nil {
			return signIn{}, err
		}
		if err := forgetAttempts(ctx, counted); err != nil {
			return signIn{}, err
		}
		return in, s.audit.Record(ctx, []trail.Event{s.ownEvent(caller, "user.change-password")})
	})
	if db.IsNotFound(err) { // the password was changed by another request
		return SignedIn{}, identity.ErrUnauthenticated
	}
	if err != nil {
		return SignedIn{}, err
	}
	mine.User.epoch, mine.User.enrolOnly = in.Epoch, in.mustEnrol(mine.Asks, mine.Factor.isOn())
	token, err := s.tokens.issue(mine.User, in.ID)
	if err != nil {
		return SignedIn{}, fmt.Errorf("sign an access token: %w", err)
	}
	return SignedIn{Token: token, Expires: s.tokens.lifetime, User: mine.User, Ends: in.EndsAt}, nil
}
