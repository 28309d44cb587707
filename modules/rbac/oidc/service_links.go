package oidc

import (
	"context"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/modules/rbac"
	"omnirapeutic/modules/rbac/account"
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

// Links manages the links of accounts to identity providers. It is safe for concurrent use.
type Links struct {
	Dependencies

	store store
}

// request stores that a provider has recognized an account for the first time, in the
// transaction of the context. An open request for the same subject keeps its id.
func (s *Links) request(ctx context.Context, r LinkRequest, u rbac.User) error {
	open, err := s.store.requestOf(ctx, r.Issuer, r.Subject)
	if err != nil {
		return err
	}
	if open != nil && open.UserID == r.UserID && r.RequestedAt.Before(open.ExpiresAt) {
		r.ID, r.RequestedAt, r.ExpiresAt = open.ID, open.RequestedAt, open.ExpiresAt
		return s.store.saveRequest(ctx, r)
	}
	if open != nil {
		if err := s.store.deleteRequest(ctx, open.ID); err != nil {
			return err
		}
	}
	if err := s.store.saveRequest(ctx, r); err != nil {
		return err
	}
	if err := s.record(ctx, "user.request-provider-link", u, r.RequestedAt); err != nil {
		return err
	}
	return s.publish(ctx, EventLinkRequested, u, nil, r.RequestedAt)
}

// link links an account to a subject of the provider in the caller's name, in the transaction of the
// context, and removes all requests to link it.
func (s *Links) link(ctx context.Context, u rbac.User, issuer, subject string, now time.Time) error {
	caller, err := identity.From(ctx)
	if err != nil {
		return err
	}
	if err := s.store.deleteRequestsOf(ctx, u.ID); err != nil {
		return err
	}
	err = s.store.insertSubject(ctx, subjectRow{u.OrganizationID, issuer, subject, u.ID, now, &caller.UserID})
	if err != nil {
		return err
	}
	if err := s.record(ctx, "user.link-provider", u, now); err != nil {
		return err
	}
	return s.publish(ctx, EventLinked, u, &caller.UserID, now)
}

// List lists the open link requests of the caller's organization after an id, sorted by id.
func (s *Links) List(ctx context.Context, after uuid.UUID, limit int) ([]LinkRequest, error) {
	return db.Snapshot(ctx, s.Database, "link-request.list", func(ctx context.Context) ([]LinkRequest, error) {
		return s.store.requests(ctx, after, limit, s.Clock.Now())
	})
}

// Confirm confirms a link request on behalf of the account's owner: from now on the provider
// can sign in to that account. The caller must hold every permission that the account holds, and be
// neither its owner nor the user who set up the provider. Errors: [ErrLinkRequestNotFound],
// [ErrLinkNeedsAnother], [identity.ErrBeyondOwn], [identity.ErrPeopleOnly].
func (s *Links) Confirm(ctx context.Context, id uuid.UUID) error {
	caller, err := account.Person(ctx)
	if err != nil {
		return err
	}
	now := s.Clock.Now()
	// Without [db.ProvenBy]: a repeated request no longer finds the link request.
	_, err = db.Serializable(ctx, s.Database, "link-request.confirm", func(ctx context.Context) (struct{}, error) {
		held, err := s.Accounts.CallerHolds(ctx, permission.IdentityProviderManage)
		if err != nil {
			return struct{}{}, err
		}
		request, u, err := s.openRequest(ctx, id, now)
		if err != nil {
			return struct{}{}, err
		}
		provider, err := s.store.provider(ctx)
		if err != nil {
			return struct{}{}, err
		}
		if err := decideConfirmation(caller.UserID, provider, u); err != nil {
			return struct{}{}, err
		}
		needed, err := s.Accounts.HeldBy(ctx, u.Roles)
		if err != nil {
			return struct{}{}, err
		}
		if err := held.Covers(needed); err != nil {
			return struct{}{}, err
		}
		return struct{}{}, s.link(ctx, u, request.Issuer, request.Subject, now)
	}, db.RetryConstraint("provider_subjects_once", "provider_subjects_pkey"))
	return err
}

// openRequest returns an open link request with its user.
func (s *Links) openRequest(ctx context.Context, id uuid.UUID, now time.Time) (LinkRequest, rbac.User, error) {
	request, err := s.store.request(ctx, id)
	if err != nil {
		return LinkRequest{}, rbac.User{}, err
	}
	if request == nil || !now.Before(request.ExpiresAt) {
		return LinkRequest{}, rbac.User{}, ErrLinkRequestNotFound
	}
	u, err := s.Accounts.User(ctx, request.UserID)
	if err == nil && refusalReason(u) != "" {
		err = ErrLinkRequestNotFound
	}
	return *request, u, err
}

// Decline removes a link request. The error is [ErrLinkRequestNotFound].
func (s *Links) Decline(ctx context.Context, id uuid.UUID) error {
	_, err := db.Serializable(ctx, s.Database, "link-request.decline", func(ctx context.Context) (struct{}, error) {
		if _, err := s.Accounts.CallerHolds(ctx, permission.IdentityProviderManage); err != nil {
			return struct{}{}, err
		}
		request, err := s.store.request(ctx, id)
		if err == nil && request == nil {
			err = ErrLinkRequestNotFound
		}
		if err != nil {
			return struct{}{}, err
		}
		if err := s.store.deleteRequest(ctx, id); err != nil {
			return struct{}{}, err
		}
		declined := rbac.User{ID: request.UserID, OrganizationID: request.OrganizationID}
		return struct{}{}, s.record(ctx, "user.decline-provider-link", declined, s.Clock.Now())
	})
	return err
}

// Unlink ends the link of a user's account to the identity provider, and the provider's sessions of
// it. Errors: [rbac.ErrUserNotFound], [ErrNotLinked], [identity.ErrBeyondOwn] for a user with more
// permissions than the caller.
func (s *Links) Unlink(ctx context.Context, user uuid.UUID) error {
	caller, err := account.Person(ctx)
	if err != nil {
		return err
	}
	now := s.Clock.Now()
	// Without [db.ProvenBy]: a repeated request no longer finds the link.
	_, err = db.Serializable(ctx, s.Database, "user.unlink-provider", func(ctx context.Context) (struct{}, error) {
		u, err := s.Accounts.AdministeredUser(ctx, user)
		if err != nil {
			return struct{}{}, err
		}
		ended, err := s.end(ctx, &user, now)
		if err == nil && ended.links == 0 {
			err = ErrNotLinked
		}
		if err != nil {
			return struct{}{}, err
		}
		if err := s.record(ctx, "user.unlink-provider", u, now); err != nil {
			return struct{}{}, err
		}
		return struct{}{}, s.publish(ctx, EventUnlinked, u, &caller.UserID, now)
	})
	return err
}

// endedLinks counts the links and sessions that ended.
type endedLinks struct{ links, sessions int }

// end deletes the links, link requests and codes of a user, and ends the provider's sessions, in the
// transaction of the context. If user is nil, it concerns all users of the caller's organization.
func (s *Links) end(ctx context.Context, user *uuid.UUID, now time.Time) (ended endedLinks, err error) {
	if ended.links, err = s.store.deleteLinks(ctx, user); err != nil {
		return ended, err
	}
	ended.sessions, err = s.Sessions.EndProviderSessions(ctx, user, now)
	return ended, err
}

// record records a change of the link of an account to the identity provider.
func (s *Links) record(ctx context.Context, action string, u rbac.User, at time.Time) error {
	return trail.RecordBy(ctx, s.Audit, trail.Event{Action: action, SubjectType: "user", SubjectID: u.ID, OccurredAt: at})
}
