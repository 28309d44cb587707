package rbac

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/trail"
)

// Refusals of password resets.
var (
	// ErrPasswordResetNotFound is the same for unknown, used, replaced and expired tokens, and for
	// tokens whose user or creator may no longer do this.
	ErrPasswordResetNotFound = fault.Define(fault.NotFound, "password-reset-not-found", "This link is invalid or has expired.").
					Advising("Tell the person to ask an administrator for another link.")
	// ErrOwnPassword: users change their own password with the current one.
	ErrOwnPassword = fault.Define(fault.Forbidden, "own-password",
		"Change your own password with your current one. If you have forgotten it, ask another administrator.").
		Advising("Lead to where the person changes it: `PUT /auth/password`.")
)

// PasswordReset lets a user set a new password, once.
type PasswordReset struct {
	Token     string // 256 random bits; only the hash is stored
	Link      string // to the frontend, with the token in the fragment; empty if no frontend is configured
	ExpiresAt time.Time
}

// CreatePasswordReset creates a reset for a user, replaces an earlier one, and ends all of the
// user's sign-ins. Errors: [ErrUserNotFound], [ErrBeyondOwn] for a user with more permissions than
// the caller, [ErrOwnPassword], [identity.ErrPeopleOnly].
func (s *Service) CreatePasswordReset(ctx context.Context, user uuid.UUID) (PasswordReset, error) {
	caller, err := person(ctx)
	if err != nil {
		return PasswordReset{}, err
	}
	const action = "password-reset.create"
	// Without [db.ProvenBy]: the caller can repeat it after an unknown outcome.
	return db.Serializable(ctx, s.database, action, func(ctx context.Context) (PasswordReset, error) {
		u, err := s.userInPower(ctx, user)
		if err != nil {
			return PasswordReset{}, err
		}
		if u.ID == caller.UserID {
			return PasswordReset{}, ErrOwnPassword
		}
		reset, err := s.newPasswordReset(ctx, u, &caller.UserID)
		if err != nil {
			return PasswordReset{}, err
		}
		if _, err := s.revoke(ctx, u.OrganizationID, u.ID); err != nil {
			return PasswordReset{}, err
		}
		e := trail.By(caller)
		e.Action, e.SubjectType, e.SubjectID, e.OccurredAt = action, "user", u.ID, s.now()
		return reset, s.audit.Record(ctx, []trail.Event{e})
	})
}

// newPasswordReset stores a reset for a user in the transaction of the context. Its creator is an
// administrator, or nil if the token is mailed to the user.
func (s *Service) newPasswordReset(ctx context.Context, u User, by *uuid.UUID) (PasswordReset, error) {
	const bytes = 32
	secret := make([]byte, bytes)
	_, _ = rand.Read(secret) // never fails: see crypto/rand
	now := s.now()
	reset := PasswordReset{Token: base64.RawURLEncoding.EncodeToString(secret), ExpiresAt: now.Add(s.passwordResets)}
	if s.frontendURL != "" {
		reset.Link = s.frontendURL + "#password-reset=" + url.QueryEscape(reset.Token)
	}
	return reset, savePasswordReset(ctx, passwordReset{u.OrganizationID, u.ID, hashOfToken(reset.Token), by, now, reset.ExpiresAt})
}

// ResetPassword sets a new password for the user of a reset and ends all of their sign-ins. It
// needs no caller: the token authorizes it, once. Errors: [ErrPasswordResetNotFound],
// [fault.ErrInvalid] for the password, [ErrSignInBusy], or the error of the [FailureLimit] after
// too many tokens that were never issued.
func (s *Service) ResetPassword(ctx context.Context, token, password string) error {
	_, err := limited(ctx, s, failedReset, networkSource(ctx), func() (struct{}, error) {
		return struct{}{}, s.resetPassword(ctx, token, password)
	})
	return err
}

func (s *Service) resetPassword(ctx context.Context, token, password string) error {
	tokenHash := hashOfToken(token)
	u, err := db.Snapshot(ctx, s.database, "password-reset.find", func(ctx context.Context) (User, error) {
		return s.userOfReset(ctx, tokenHash)
	}, db.AllOrganizations())
	if err != nil {
		return err
	}
	if fieldErrors := checkPassword(password, u.Email); len(fieldErrors) > 0 {
		return fault.InvalidFields(fieldErrors...)
	}
	hash, err := s.hashFor(ctx, u.Email, password)
	if err != nil {
		return err
	}
	ctx = byThemselves(ctx, u)
	// Without [db.ProvenBy]: after an unknown outcome the user signs in, or requests another link.
	_, err = db.Serializable(ctx, s.database, "password-reset.use", func(ctx context.Context) (struct{}, error) {
		u, err := s.userOfReset(ctx, tokenHash)
		if err != nil {
			return struct{}{}, err
		}
		return struct{}{}, s.replacePassword(ctx, u, hash, "password-reset.use")
	})
	return err
}

// userOfReset returns the user whose password the token may set. Its creator must still be allowed
// to create it, because a former administrator may have kept the token.
func (s *Service) userOfReset(ctx context.Context, tokenHash []byte) (User, error) {
	found, err := passwordResetWith(ctx, tokenHash, s.now())
	if err != nil {
		return User{}, err
	}
	inside := identity.With(ctx, identity.System(found.OrganizationID))
	u, err := userOf(inside, found.UserID)
	if err == nil && found.CreatedBy != nil {
		u, err = s.userInPower(identity.With(ctx, identity.Caller{UserID: *found.CreatedBy, OrganizationID: found.OrganizationID}), u.ID)
	}
	refused := errors.Is(err, ErrUserNotFound) || errors.Is(err, ErrBeyondOwn) ||
		errors.Is(err, identity.ErrForbidden) || errors.Is(err, identity.ErrUnauthenticated)
	if refused || err == nil && u.out() != "" {
		return User{}, ErrPasswordResetNotFound
	}
	return u, err
}

// replacePassword sets a user's password in the transaction of the context, deletes their reset,
// ends all of their sign-ins and records the action as the caller's.
func (s *Service) replacePassword(ctx context.Context, u User, hash, action string) error {
	caller, err := identity.From(ctx)
	if err != nil {
		return err
	}
	now := s.now()
	if err := setPassword(ctx, u, hash, now); err != nil {
		return err
	}
	if err := deletePasswordReset(ctx, u.OrganizationID, u.ID); err != nil {
		return err
	}
	if _, err := s.revoke(ctx, u.OrganizationID, u.ID); err != nil {
		return err
	}
	e := trail.By(caller)
	e.Action, e.SubjectType, e.SubjectID, e.OccurredAt = action, "user", u.ID, now
	return s.audit.Record(ctx, []trail.Event{e})
}

// SetPassword sets the password of the user with the e-mail address, for operators, and ends all of
// the user's sign-ins. The organization is required if the address has accounts in several. It
// needs no caller. Errors: [ErrUserNotFound], [fault.ErrInvalid], [ErrSignInBusy].
func (s *Service) SetPassword(ctx context.Context, email string, organization uuid.UUID, password string) (User, error) {
	email = normalizeTypedEmail(email)
	if fieldErrors := checkEmail(email); len(fieldErrors) > 0 {
		return User{}, fault.InvalidFields(fieldErrors...)
	}
	u, err := db.Snapshot(ctx, s.database, "user.find", func(ctx context.Context) (User, error) {
		return oneUserWithEmail(ctx, email, organization)
	}, db.AllOrganizations())
	if err != nil {
		return User{}, err
	}
	if fieldErrors := checkPassword(password, email); len(fieldErrors) > 0 {
		return User{}, fault.InvalidFields(fieldErrors...)
	}
	hash, err := s.hashFor(ctx, email, password)
	if err != nil {
		return User{}, err
	}
	ctx = identity.With(ctx, identity.System(u.OrganizationID))
	_, err = db.Serializable(ctx, s.database, "user.reset-password", func(ctx context.Context) (struct{}, error) {
		return struct{}{}, s.replacePassword(ctx, u, hash, "user.reset-password")
	})
	return u, err
}

// oneUserWithEmail returns the user with the address, in the organization unless it is
// uuid.Nil.
func oneUserWithEmail(ctx context.Context, email string, organization uuid.UUID) (User, error) {
	users, err := usersWithEmail(ctx, email)
	if err != nil {
		return User{}, err
	}
	var matching []User
	for _, u := range users {
		if organization == uuid.Nil || u.OrganizationID == organization {
			matching = append(matching, u)
		}
	}
	switch len(matching) {
	case 0:
		return User{}, ErrUserNotFound
	case 1:
		return matching[0], nil
	}
	return User{}, fault.InvalidFields(fault.Field{
		Field: "organization", Code: "required", Message: fmt.Sprintf("is required: the address has accounts in %d organizations", len(matching)),
	})
}
