package password

import (
	"context"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/modules/rbac"
	"omnirapeutic/modules/rbac/account"
	"omnirapeutic/modules/rbac/throttle"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/mail"
	"omnirapeutic/platform/trail"
)

// ErrNoMail is returned for a request for a link if the program sends no mail.
var ErrNoMail = fault.Define(fault.Conflict, "mail-not-configured",
	"This system sends no mail. Ask an administrator for a link to set a new password.").
	Advising("Do not offer this, or show the text.")

const (
	// requestedLifetime is how long a link that the user has requested can be used.
	requestedLifetime = 30 * time.Minute
	// pauseBetween is the time in which further requests for an account send no other link.
	pauseBetween = 2 * time.Minute
)

// resetRequest is a row of password_reset_requests.
type resetRequest struct {
	ID          uuid.UUID
	Address     []byte // encrypted
	RequestedAt time.Time
	Source      string
}

// Request requests a link to set a new password for the accounts of an e-mail address. It needs no
// caller. It looks up nothing: it stores the request, and [Service.SendRequested] answers it by mail.
// So its answer and its work are the same for every address. Each request counts as a failed attempt
// of the address and of the network. Errors: [ErrNoMail], [fault.ErrInvalid],
// [throttle.ErrSignInDelayed], the error of the [throttle.FailureLimit].
func (s *Service) Request(ctx context.Context, email string) error {
	if !s.Mail.Enabled() {
		return ErrNoMail
	}
	typed := rbac.NormalizeTypedEmail(email)
	if fieldErrors := rbac.CheckEmail(typed); len(fieldErrors) > 0 {
		return fault.InvalidFields(fieldErrors...)
	}
	if err := s.Throttle.Take(ctx, throttle.PasswordResetRequest); err != nil {
		return err
	}
	if err := s.Throttle.Attempt(ctx, s.Throttle.ResetRequest(typed, throttle.NetworkSource(ctx))); err != nil {
		return err
	}
	id := s.NewID()
	stored := resetRequest{id, s.requests.Seal([]byte(typed), id[:]), s.Clock.Now(), trail.Address(ctx)}
	// Without [db.ProvenBy]: a second request sends no second link.
	_, err := db.ReadCommitted(ctx, s.Database, "password-reset.request", func(ctx context.Context) (struct{}, error) {
		if err := db.AfterCommit(ctx, func(context.Context) { s.signal() }); err != nil {
			return struct{}{}, err
		}
		return struct{}{}, s.store.saveRequest(ctx, stored)
	})
	return err
}

// Requested signals that a link was requested.
func (s *Service) Requested() <-chan struct{} { return s.requested }

func (s *Service) signal() {
	select {
	case s.requested <- struct{}{}:
	default: // a signal is already pending
	}
}

// SendRequested answers the stored requests, and returns their number. Any number of instances may
// run it at once: each request is answered and removed in one transaction.
func (s *Service) SendRequested(ctx context.Context) (answered int64, err error) {
	for ctx.Err() == nil {
		found, err := db.Serializable(ctx, s.Database, "password-reset.answer", s.answerOne, db.AllOrganizations())
		if err != nil || !found {
			return answered, err
		}
		answered++
	}
	return answered, nil
}

// answerOne answers the oldest request, and reports whether there was one.
func (s *Service) answerOne(ctx context.Context) (found bool, err error) {
	requests, err := s.store.takeRequest(ctx)
	if err != nil || len(requests) == 0 {
		return false, err
	}
	r := requests[0]
	typed, err := s.requests.Open(r.Address, r.ID[:])
	if err != nil || s.Clock.Now().Sub(r.RequestedAt) > requestedLifetime {
		return true, nil //nolint:nilerr // a secret was removed, or the person has given up: nothing to answer
	}
	accounts, err := s.Accounts.AccountsWithEmail(ctx, string(typed))
	ctx = trail.WithAddress(ctx, r.Source)
	for _, a := range accounts {
		if err == nil {
			err = s.sendRequested(ctx, a.User)
		}
	}
	return true, err
}

// sendRequested creates a reset for a user and queues the mail with its link, in the transaction of the
// context. It sends nothing to users who may not sign in, or who sign in with an identity provider. A
// link of an administrator stays valid, so a stranger cannot replace it.
func (s *Service) sendRequested(ctx context.Context, u rbac.User) error {
	ctx = account.AsUser(ctx, u)
	refused, err := s.isRefusedRequest(ctx, u)
	if err != nil || refused {
		return err
	}
	now := s.Clock.Now()
	reset := s.newReset(now, requestedLifetime)
	row := resetRow{u.OrganizationID, u.ID, hashOfToken(reset.Token), nil, now, reset.ExpiresAt}
	if err := s.store.saveReset(ctx, row); err != nil {
		return err
	}
	err = s.Mail.Queue(ctx, mail.Message{
		OrganizationID: u.OrganizationID, UserID: u.ID, To: u.Email, Kind: mail.RequestedReset, ExpiresAt: reset.ExpiresAt,
		Values: mail.Values{Name: u.Name, Link: reset.Link, Until: reset.ExpiresAt},
	})
	if err != nil {
		return err
	}
	return trail.RecordBy(ctx, s.Audit, trail.Event{
		Action: "password-reset.request", SubjectType: "user", SubjectID: u.ID, OccurredAt: now,
	})
}

// isRefusedRequest reports whether a user gets no link although one was requested.
func (s *Service) isRefusedRequest(ctx context.Context, u rbac.User) (bool, error) {
	if u.RefusalReason() != "" {
		return true, nil
	}
	now := s.Clock.Now()
	pending, err := s.store.hasPendingReset(ctx, u, now, now.Add(-pauseBetween))
	if err != nil || pending {
		return pending, err
	}
	linked, err := s.store.isLinked(ctx, u)
	if err != nil || linked {
		return linked, err
	}
	reachable, err := s.Mail.CanReach(ctx, u.Email)
	return !reachable, err
}
