package rbac

import (
	"context"
	"fmt"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/trail"
)

// PasswordChange is the caller's password as it is, and as it is to be.
type PasswordChange struct {
	Current string `json:"currentPassword" validate:"required"`
	New     string `json:"newPassword" validate:"required"`
}

// ChangePassword changes the caller's password, and ends all of their sign-ins but
// the one that asks: its refresh token goes on, and the access token that is returned
// takes the place of its last one. Errors: [identity.ErrUnauthenticated],
// [fault.ErrInvalid] for a current password that is not theirs and for a new one that
// breaks a rule, [ErrSignInDelayed] after too many that are not theirs, [ErrSignInBusy].
func (s *Service) ChangePassword(ctx context.Context, c PasswordChange) (SignedIn, error) {
	caller, err := identity.From(ctx)
	if err != nil {
		return SignedIn{}, err
	}
	mine, err := s.ownCredentials(ctx, caller)
	if err != nil {
		return SignedIn{}, err
	}
	if wrong := checkPassword(c.New, mine.User.Email); len(wrong) > 0 {
		wrong[0].Field = "newPassword"
		return SignedIn{}, fault.InvalidFields(wrong...)
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
		if db.IsNotFound(err) { // it has ended meanwhile, or an attempt before this one has done it
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
	if db.IsNotFound(err) { // somebody has changed the password in the meantime
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
