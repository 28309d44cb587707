package password

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/modules/rbac"
	"omnirapeutic/modules/rbac/account"
	"omnirapeutic/modules/rbac/throttle"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/mail"
	"omnirapeutic/platform/trail"
)

// The errors of password resets.
var (
	// ErrResetNotFound is the same for unknown, used, replaced and expired tokens, and for tokens whose
	// user or creator may no longer do this.
	ErrResetNotFound = fault.Define(fault.NotFound, "password-reset-not-found", "This link is invalid or has expired.").
				Advising("Ask an administrator for another link.")
	// ErrOwnPassword is returned to administrators who reset their own password.
	ErrOwnPassword = fault.Define(fault.Forbidden, "own-password",
		"Change your own password with your current one. If you have forgotten it, ask another administrator.").
		Advising("Show the page where the user changes the password: `PUT /auth/password`.")
)

// Reset lets a user set a new password, once.
type Reset struct {
	Token     string // 256 random bits; only the hash is stored
	Link      string // to the frontend, with the token in the fragment; empty if no frontend is configured
	ExpiresAt time.Time
	Mailed    bool // the user gets the link by mail; Token and Link are empty
}

// CreateReset creates a reset for a user, replaces an earlier one, and ends all of the user's
// sessions. If mail can reach the user, the link is sent and the caller does not see it. Errors:
// [rbac.ErrUserNotFound], [identity.ErrBeyondOwn] for a user with more permissions than the caller,
// [ErrOwnPassword], [identity.ErrPeopleOnly].
func (s *Service) CreateReset(ctx context.Context, user uuid.UUID) (Reset, error) {
	caller, err := account.Person(ctx)
	if err != nil {
		return Reset{}, err
	}
	const action = "password-reset.create"
	// Without [db.ProvenBy]: the caller can repeat it after an unknown outcome.
	return db.Serializable(ctx, s.Database, action, func(ctx context.Context) (Reset, error) {
		u, err := s.Accounts.AdministeredUser(ctx, user)
		if err != nil {
			return Reset{}, err
		}
		if u.ID == caller.UserID {
			return Reset{}, ErrOwnPassword
		}
		now := s.Clock.Now()
		reset := s.newReset(now, s.ResetLifetime)
		row := resetRow{u.OrganizationID, u.ID, hashOfToken(reset.Token), &caller.UserID, now, reset.ExpiresAt}
		if err := s.store.saveReset(ctx, row); err != nil {
			return Reset{}, err
		}
		if _, err := s.Revocations.RevokeUser(ctx, u.OrganizationID, u.ID); err != nil {
			return Reset{}, err
		}
		if reset, err = s.mailReset(ctx, u, reset); err != nil {
			return Reset{}, err
		}
		return reset, trail.RecordBy(ctx, s.Audit, trail.Event{
			Action: action, SubjectType: "user", SubjectID: u.ID, OccurredAt: now,
		})
	})
}

// mailReset queues the mail with the link of a reset if mail can reach the user, in the transaction of
// the context. It returns the reset without the secrets that the mail contains.
func (s *Service) mailReset(ctx context.Context, u rbac.User, reset Reset) (Reset, error) {
	mailed, err := s.Mail.CanReach(ctx, u.Email)
	if err != nil || !mailed {
		return reset, err
	}
	return Reset{ExpiresAt: reset.ExpiresAt, Mailed: true}, s.Mail.Queue(ctx, mail.Message{
		OrganizationID: u.OrganizationID, UserID: u.ID, To: u.Email, Kind: mail.PasswordReset, ExpiresAt: reset.ExpiresAt,
		Values: mail.Values{Name: u.Name, Link: reset.Link, Until: reset.ExpiresAt},
	})
}

func (s *Service) newReset(now time.Time, lifetime time.Duration) Reset {
	const bytes = 32
	secret := make([]byte, bytes)
	_, _ = rand.Read(secret) // never fails: see crypto/rand
	reset := Reset{Token: base64.RawURLEncoding.EncodeToString(secret), ExpiresAt: now.Add(lifetime)}
	if s.FrontendURL != "" {
		reset.Link = s.FrontendURL + "#password-reset=" + url.QueryEscape(reset.Token)
	}
	return reset
}

func hashOfToken(token string) []byte {
	sum := sha256.Sum256([]byte(token))
	return sum[:]
}

// UseReset sets a new password for the user of a reset and ends all of their sessions. It needs no
// caller: the token authorizes it, once. Errors: [ErrResetNotFound], [fault.ErrInvalid] for the
// password, [ErrBusy], or the error of the [throttle.FailureLimit] after too many tokens that were
// never issued.
func (s *Service) UseReset(ctx context.Context, token, password string) error {
	_, err := throttle.Limited(ctx, s.Throttle, throttle.PasswordReset, throttle.NetworkSource(ctx),
		func() (struct{}, error) { return struct{}{}, s.useReset(ctx, token, password) })
	return err
}

func (s *Service) useReset(ctx context.Context, token, password string) error {
	tokenHash := hashOfToken(token)
	u, err := db.Snapshot(ctx, s.Database, "password-reset.find", func(ctx context.Context) (rbac.User, error) {
		return s.userOfReset(ctx, tokenHash)
	}, db.AllOrganizations())
	if err != nil {
		return err
	}
	if fieldErrors := Check(password, u.Email); len(fieldErrors) > 0 {
		return fault.InvalidFields(fieldErrors...)
	}
	hash, err := s.Hash(ctx, u.Email, password)
	if err != nil {
		return err
	}
	ctx = account.AsUser(ctx, u)
	const action = "password-reset.use"
	// Without [db.ProvenBy]: after an unknown outcome the user signs in, or requests another link.
	_, err = db.Serializable(ctx, s.Database, action, func(ctx context.Context) (struct{}, error) {
		u, err := s.userOfReset(ctx, tokenHash)
		if err != nil {
			return struct{}{}, err
		}
		return struct{}{}, s.replace(ctx, u, hash, action)
	})
	return err
}

// userOfReset returns the user whose password the token may set. Its creator must still be allowed
// to create it, because a former administrator may have kept the token. A link that the user has
// requested is invalid once the user signs in with an identity provider.
func (s *Service) userOfReset(ctx context.Context, tokenHash []byte) (rbac.User, error) {
	found, err := s.store.reset(ctx, tokenHash, s.Clock.Now())
	if err != nil {
		return rbac.User{}, err
	}
	u, err := s.Accounts.User(identity.With(ctx, identity.System(found.OrganizationID)), found.UserID)
	if err == nil && found.CreatedBy != nil {
		creator := identity.Caller{UserID: *found.CreatedBy, OrganizationID: found.OrganizationID}
		u, err = s.Accounts.AdministeredUser(identity.With(ctx, creator), u.ID)
	}
	if err == nil && found.CreatedBy == nil {
		var linked bool
		if linked, err = s.store.isLinked(ctx, u); linked {
			err = rbac.ErrUserNotFound
		}
	}
	refused := errors.Is(err, rbac.ErrUserNotFound) || errors.Is(err, identity.ErrBeyondOwn) ||
		errors.Is(err, identity.ErrForbidden) || errors.Is(err, identity.ErrUnauthenticated)
	if refused || err == nil && u.RefusalReason() != "" {
		return rbac.User{}, ErrResetNotFound
	}
	return u, err
}

// replace sets a user's password in the transaction of the context, deletes their reset, ends all of
// their sessions and records the action as the caller's.
func (s *Service) replace(ctx context.Context, u rbac.User, hash, action string) error {
	now := s.Clock.Now()
	if err := s.store.set(ctx, u, hash, now); err != nil {
		return err
	}
	if err := s.store.deleteReset(ctx, u.OrganizationID, u.ID); err != nil {
		return err
	}
	if _, err := s.Revocations.RevokeUser(ctx, u.OrganizationID, u.ID); err != nil {
		return err
	}
	if err := rbac.NotifyChange(ctx, s.Core, u, mail.PasswordChanged); err != nil {
		return err
	}
	return trail.RecordBy(ctx, s.Audit, trail.Event{Action: action, SubjectType: "user", SubjectID: u.ID, OccurredAt: now})
}

// Set sets the password of the user with the e-mail address, for operators, and ends all of the
// user's sessions. The organization is required if the address has accounts in several. It needs no
// caller. Errors: [rbac.ErrUserNotFound], [fault.ErrInvalid], [ErrBusy].
func (s *Service) Set(ctx context.Context, email string, organization uuid.UUID, password string) (rbac.User, error) {
	email = rbac.NormalizeTypedEmail(email)
	if fieldErrors := rbac.CheckEmail(email); len(fieldErrors) > 0 {
		return rbac.User{}, fault.InvalidFields(fieldErrors...)
	}
	u, err := db.Snapshot(ctx, s.Database, "user.find", func(ctx context.Context) (rbac.User, error) {
		return s.userWithEmail(ctx, email, organization)
	}, db.AllOrganizations())
	if err != nil {
		return rbac.User{}, err
	}
	if fieldErrors := Check(password, email); len(fieldErrors) > 0 {
		return rbac.User{}, fault.InvalidFields(fieldErrors...)
	}
	hash, err := s.Hash(ctx, email, password)
	if err != nil {
		return rbac.User{}, err
	}
	ctx = identity.With(ctx, identity.System(u.OrganizationID))
	const action = "user.reset-password"
	_, err = db.Serializable(ctx, s.Database, action, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, s.replace(ctx, u, hash, action)
	})
	return u, err
}

// userWithEmail returns the user with the address, in the organization unless it is uuid.Nil.
func (s *Service) userWithEmail(ctx context.Context, email string, organization uuid.UUID) (rbac.User, error) {
	accounts, err := s.Accounts.AccountsWithEmail(ctx, email)
	if err != nil {
		return rbac.User{}, err
	}
	var matching []rbac.User
	for _, a := range accounts {
		if organization == uuid.Nil || a.User.OrganizationID == organization {
			matching = append(matching, a.User)
		}
	}
	switch len(matching) {
	case 0:
		return rbac.User{}, rbac.ErrUserNotFound
	case 1:
		return matching[0], nil
	}
	return rbac.User{}, fault.InvalidFields(fault.Field{
		Field: "organization", Code: "required",
		Message: fmt.Sprintf("is required: the address has accounts in %d organizations", len(matching)),
	})
}

// Outdated selects expired resets.
func (s *Service) Outdated(now time.Time) []db.Removal {
	return []db.Removal{{
		Table: "password_resets", Key: []string{"organization_id", "user_id"}, Time: "expires_at", Before: now,
	}}
}
