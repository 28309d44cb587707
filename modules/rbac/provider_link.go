package rbac

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/permission"
	"omnirapeutic/platform/trail"
)

// Refusals about links to an identity provider.
var (
	// ErrLinkUnconfirmed is returned at the first sign-in of an account through an identity
	// provider.
	ErrLinkUnconfirmed = fault.Define(fault.Unauthenticated, "link-confirmation-required",
		"This account has not signed in with this identity provider before. Confirm it with the account's password.").
		Advising("Ask for the password, and for the code of the second factor if there is one, and send the same request " +
			"with `password` and `secondFactorCode` within ten minutes. Or have an administrator confirm it at " +
			"`/identity-provider/link-requests`, and start the sign-in again.")
	// ErrLinkRequestNotFound is returned for a link request that is unknown or expired.
	ErrLinkRequestNotFound = fault.Define(fault.NotFound, "link-request-not-found", "Link request not found, or expired.").
				Advising("Have the person sign in with the identity provider again.")
	// ErrLinkNeedsAnother is returned to the owner of the account and to the user who set up the
	// provider.
	ErrLinkNeedsAnother = fault.Define(fault.Forbidden, "link-needs-another",
		"You cannot confirm this link. The owner of the account or another administrator can.").
		Advising("Have the owner confirm it with the account's password, or ask another administrator.")
	// ErrNotLinked is returned if the account is not linked to the identity provider.
	ErrNotLinked = fault.Define(fault.NotFound, "provider-link-not-found",
		"This user's account is not linked to the identity provider.").
		Advising("Reload the user: the link has been removed.")
)

// linkRequestTime is the lifetime of a link request.
const linkRequestTime = 7 * 24 * time.Hour

// LinkRequest is the first sign-in of an existing account through the organization's identity
// provider. The account's owner or a second administrator must confirm that the provider means this
// account.
type LinkRequest struct {
	OrganizationID uuid.UUID `gorm:"primaryKey"`
	ID             uuid.UUID `gorm:"primaryKey"`
	Issuer         string
	Subject        string // the provider's name for the person
	UserID         uuid.UUID
	RequestedAt    time.Time
	ExpiresAt      time.Time
	CodeHash       []byte     // SHA-256 of the code of the last sign-in; nil: used up
	Challenge      *string    // of that code, see [Service.BeginOpenID]
	CodeExpiresAt  *time.Time // of that code
}

// TableName names the table for gorm.
func (LinkRequest) TableName() string { return "provider_link_requests" }

// unlinkable returns why an identity provider may not sign the user in, "" if it may. An
// organization's administrators choose its provider, which could claim to recognize any user. So it
// never signs in users with permissions beyond the organization.
func (u User) unlinkable() string {
	if u.out() == "" && slices.Contains(u.Roles, SuperAdmin) {
		return "super-admin"
	}
	return u.out()
}

// requestLink stores that a provider has recognized an account for the first time, in the
// transaction of the context. An open request for the same subject keeps its id.
func (s *Service) requestLink(ctx context.Context, r LinkRequest, u User) error {
	open, err := linkRequestOf(ctx, r.Issuer, r.Subject)
	if err != nil {
		return err
	}
	if open != nil && open.UserID == r.UserID && r.RequestedAt.Before(open.ExpiresAt) {
		r.ID, r.RequestedAt, r.ExpiresAt = open.ID, open.RequestedAt, open.ExpiresAt
		return saveLinkRequest(ctx, r)
	}
	if open != nil {
		if err := deleteLinkRequest(ctx, open.ID); err != nil {
			return err
		}
	}
	if err := saveLinkRequest(ctx, r); err != nil {
		return err
	}
	if err := s.recordLink(ctx, "user.request-provider-link", u, r.RequestedAt); err != nil {
		return err
	}
	return s.publishLink(ctx, EventLinkRequested, u, nil, r.RequestedAt)
}

// link links an account to a subject of the provider in the caller's name, in the transaction of the context, and
// removes all requests to link it.
func (s *Service) link(ctx context.Context, u User, issuer, subject string, now time.Time) error {
	caller, err := identity.From(ctx)
	if err != nil {
		return err
	}
	if err := deleteLinkRequestsOf(ctx, u.ID); err != nil {
		return err
	}
	err = insertSubject(ctx, subjectRow{u.OrganizationID, issuer, subject, u.ID, now, &caller.UserID})
	if err != nil {
		return err
	}
	if err := s.recordLink(ctx, "user.link-provider", u, now); err != nil {
		return err
	}
	return s.publishLink(ctx, EventLinked, u, &caller.UserID, now)
}

// LinkRequests lists the open link requests of the caller's organization after an id, sorted by id.
func (s *Service) LinkRequests(ctx context.Context, after uuid.UUID, limit int) ([]LinkRequest, error) {
	return db.Snapshot(ctx, s.database, "link-request.list", func(ctx context.Context) ([]LinkRequest, error) {
		return findLinkRequests(ctx, after, limit, s.now())
	})
}

// ConfirmLink confirms a link request on behalf of the account's owner: from now on the provider
// can sign in to that account. The caller must hold every permission that the account holds, and be
// neither its owner nor the user who set up the provider. Errors: [ErrLinkRequestNotFound],
// [ErrLinkNeedsAnother], [ErrBeyondOwn], [identity.ErrPeopleOnly].
func (s *Service) ConfirmLink(ctx context.Context, id uuid.UUID) error {
	caller, err := person(ctx)
	if err != nil {
		return err
	}
	now := s.now()
	// Without [db.ProvenBy]: a repeated request no longer finds the link request.
	_, err = db.Serializable(ctx, s.database, "link-request.confirm", func(ctx context.Context) (struct{}, error) {
		mine, err := s.callerHolds(ctx, permission.IdentityProviderManage)
		if err != nil {
			return struct{}{}, err
		}
		request, u, err := s.openLinkRequest(ctx, id, now)
		if err != nil {
			return struct{}{}, err
		}
		provider, err := takeProvider(ctx)
		if err != nil {
			return struct{}{}, err
		}
		if err := decideConfirmation(caller.UserID, provider, u); err != nil {
			return struct{}{}, err
		}
		theirs, err := heldBy(ctx, u.Roles)
		if err != nil {
			return struct{}{}, err
		}
		if err := mine.covers(theirs); err != nil {
			return struct{}{}, err
		}
		return struct{}{}, s.link(ctx, u, request.Issuer, request.Subject, now)
	}, db.RetryConstraint("provider_subjects_once", "provider_subjects_pkey"))
	return err
}

// decideConfirmation returns [ErrLinkNeedsAnother] unless the confirmer is a second person.
func decideConfirmation(confirmer uuid.UUID, p IdentityProvider, u User) error {
	switch {
	case confirmer == u.ID:
		return ErrLinkNeedsAnother.With(nil, "This is your own account. Sign in with the identity provider again and "+
			"confirm with your password, or ask another administrator.")
	case p.setBy == nil:
		return ErrLinkNeedsAnother.With(nil, "It is not known who set up the identity provider. "+
			"Save its settings again, then another administrator can confirm.")
	case confirmer == *p.setBy:
		return ErrLinkNeedsAnother.With(nil, "You set up this identity provider yourself. "+
			"Ask another administrator, or have the owner of the account confirm with the account's password.")
	}
	return nil
}

// openLinkRequest returns an open link request with its user.
func (s *Service) openLinkRequest(ctx context.Context, id uuid.UUID, now time.Time) (LinkRequest, User, error) {
	request, err := takeLinkRequest(ctx, id)
	if err != nil {
		return LinkRequest{}, User{}, err
	}
	if request == nil || !now.Before(request.ExpiresAt) {
		return LinkRequest{}, User{}, ErrLinkRequestNotFound
	}
	u, err := userOf(ctx, request.UserID)
	if err == nil && u.unlinkable() != "" {
		err = ErrLinkRequestNotFound
	}
	return *request, u, err
}

// DeclineLink removes a link request. The error is [ErrLinkRequestNotFound].
func (s *Service) DeclineLink(ctx context.Context, id uuid.UUID) error {
	_, err := db.Serializable(ctx, s.database, "link-request.decline", func(ctx context.Context) (struct{}, error) {
		if _, err := s.callerHolds(ctx, permission.IdentityProviderManage); err != nil {
			return struct{}{}, err
		}
		request, err := takeLinkRequest(ctx, id)
		if err == nil && request == nil {
			err = ErrLinkRequestNotFound
		}
		if err != nil {
			return struct{}{}, err
		}
		if err := deleteLinkRequest(ctx, id); err != nil {
			return struct{}{}, err
		}
		declined := User{ID: request.UserID, OrganizationID: request.OrganizationID}
		return struct{}{}, s.recordLink(ctx, "user.decline-provider-link", declined, s.now())
	})
	return err
}

// Unlink ends the link of a user's account to the identity provider, and the provider's sign-ins to
// it. Errors: [ErrUserNotFound], [ErrNotLinked], [ErrBeyondOwn] for a user with more permissions
// than the caller.
func (s *Service) Unlink(ctx context.Context, user uuid.UUID) error {
	caller, err := person(ctx)
	if err != nil {
		return err
	}
	now := s.now()
	// Without [db.ProvenBy]: a repeated request no longer finds the link.
	_, err = db.Serializable(ctx, s.database, "user.unlink-provider", func(ctx context.Context) (struct{}, error) {
		mine, err := s.callerHolds(ctx, permission.UserChange)
		if err != nil {
			return struct{}{}, err
		}
		u, err := userOf(ctx, user)
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
		ended, err := deleteProviderTraces(ctx, &user, now)
		if err == nil && ended.links == 0 {
			err = ErrNotLinked
		}
		if err != nil {
			return struct{}{}, err
		}
		if err := s.announceEnded(ctx, u.OrganizationID, ended.signIns, now); err != nil {
			return struct{}{}, err
		}
		if err := s.recordLink(ctx, "user.unlink-provider", u, now); err != nil {
			return struct{}{}, err
		}
		return struct{}{}, s.publishLink(ctx, EventUnlinked, u, &caller.UserID, now)
	})
	return err
}

// announceEnded makes every instance refuse the access tokens of ended sign-ins.
func (s *Service) announceEnded(ctx context.Context, organization uuid.UUID, signIns []uuid.UUID, now time.Time) error {
	if len(signIns) == 0 {
		return nil
	}
	changes := make([]change, len(signIns))
	for i, id := range signIns {
		changes[i] = change{subject{ofSignIn, id}, 1, now}
	}
	return s.announce(ctx, organization, changes...)
}

// recordLink records a change of the link of an account to the identity provider.
func (s *Service) recordLink(ctx context.Context, action string, u User, at time.Time) error {
	caller, err := identity.From(ctx)
	if err != nil {
		return err
	}
	e := trail.By(caller)
	e.Action, e.SubjectType, e.SubjectID, e.OccurredAt = action, "user", u.ID, at
	return s.audit.Record(ctx, []trail.Event{e})
}
