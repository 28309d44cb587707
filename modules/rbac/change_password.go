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
	mine, err := db.Snapshot(ctx, s.database, "user.password", func(ctx context.Context) (credentials, error) {
		return credentialsOfCaller(ctx, caller.UserID)
	})
	if db.IsNotFound(err) {
		return SignedIn{}, identity.ErrUnauthenticated
	}
	if err != nil {
		return SignedIn{}, err
	}
	if wrong := checkPassword(c.New, mine.User.Email); len(wrong) > 0 {
		wrong[0].Field = "newPassword"
		return SignedIn{}, fault.InvalidFields(wrong...)
	}
	counted := s.keys[0].place(caller.UserID.String(), "") // no address has this form: whoever has a token only must not guess on
	if err := s.attempt(ctx, counted); err != nil {
		return SignedIn{}, err
	}
	matches := len(c.Current) <= maxPassword
	if matches {
		if matches, err = s.passwords.matches(ctx, c.Current, mine.Hash); err != nil {
			return SignedIn{}, err
		}
	}
	if !matches {
		e := s.passwordEvent(caller)
		e.Outcome = trail.Denied
		if err := s.audit.Note(ctx, []trail.Event{e}); err != nil {
			return SignedIn{}, err
		}
		return SignedIn{}, fault.InvalidFields(fault.Field{Field: "currentPassword", Code: "wrong", Message: "is not your password"})
	}
	hash, err := s.passwords.hash(ctx, c.New) // before the transaction: no connection waits for it
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
		if err := forgetAttempts(ctx, counted); err != nil {
			return signIn{}, err
		}
		return in, s.audit.Record(ctx, []trail.Event{s.passwordEvent(caller)})
	})
	if db.IsNotFound(err) { // somebody has changed the password in the meantime
		return SignedIn{}, identity.ErrUnauthenticated
	}
	if err != nil {
		return SignedIn{}, err
	}
	mine.User.epoch = in.Epoch
	token, err := s.tokens.issue(mine.User, in.ID)
	if err != nil {
		return SignedIn{}, fmt.Errorf("sign an access token: %w", err)
	}
	return SignedIn{Token: token, Expires: s.tokens.lifetime, User: mine.User, Ends: in.EndsAt}, nil
}

func (s *Service) passwordEvent(caller identity.Caller) trail.Event {
	e := trail.By(caller)
	e.Action, e.SubjectType, e.SubjectID, e.OccurredAt = "user.change-password", "user", caller.UserID, s.now()
	return e
}
