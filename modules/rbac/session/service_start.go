package session

import (
	"context"
	"fmt"
	"time"

	"omnirapeutic/modules/rbac"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/trail"
)

// SignedIn is the result of a successful sign-in.
type SignedIn struct {
	Token          string        // access token for every request, see [Service.Authenticate]
	Expires        time.Duration // how long it is valid
	Refresh        string        // works once, see [Service.Refresh]
	RefreshExpires time.Duration // lifetime of Refresh
	Ends           time.Time     // the latest end of the session
	User           rbac.User
	EnrolOnly      bool // the session can only set up a second factor
	// RecoveryCodesLeft is the number of unused codes after a sign-in with a second factor.
	RecoveryCodesLeft *int
	// Device is the device token after a sign-in with a password.
	Device string
}

// Started is a new session with its first refresh token.
type Started struct {
	Session

	user    rbac.User
	refresh refreshToken
}

// User returns the user of the session.
func (st Started) User() rbac.User { return st.user }

// Start creates a session of a user who has proven their identity. It is not yet stored.
func (s *Service) Start(ctx context.Context, u rbac.User, byProvider bool) Started {
	now := s.Clock.Now()
	in := Session{
		OrganizationID: u.OrganizationID, ID: s.NewID(), UserID: u.ID, Epoch: u.Epoch,
		StartedAt: now, EndsAt: now.Add(s.Longest), ByProvider: byProvider,
		Address: trail.Address(ctx), ThrottleKey: s.Throttle.Network(u.Email, trail.Address(ctx)),
	}
	in.extend(now, s.Idle)
	return Started{in, u, newRefreshToken()}
}

// Store stores a session, in the transaction of the context.
func (s *Service) Store(ctx context.Context, st Started) error {
	return s.store.insert(ctx, st.Session, st.refresh)
}

// IsStored reports whether the session is stored. It needs a transaction that reaches its
// organization.
func (s *Service) IsStored(ctx context.Context, st Started) (bool, error) {
	_, err := s.store.refreshToken(ctx, st.refresh.hash())
	return err == nil, ignoreNotFound(err)
}

// Issue creates the tokens of a stored session.
func (s *Service) Issue(st Started) (SignedIn, error) {
	return s.issue(st.user, st.Session, st.refresh)
}

func (s *Service) issue(u rbac.User, in Session, refresh refreshToken) (SignedIn, error) {
	signed, err := s.IssueAccessToken(u, in)
	signed.Refresh, signed.RefreshExpires = refresh.String(), in.IdleUntil.Sub(in.UsedAt)
	return signed, err
}

// IssueAccessToken creates another access token of a session, which keeps its refresh token.
func (s *Service) IssueAccessToken(u rbac.User, in Session) (SignedIn, error) {
	token, err := s.tokens.issue(u, in, in.EnrolOnly(u))
	if err != nil {
		return SignedIn{}, fmt.Errorf("sign an access token: %w", err)
	}
	return SignedIn{Token: token, Expires: s.Lifetime, User: u, EnrolOnly: in.EnrolOnly(u), Ends: in.EndsAt}, nil
}

// Current returns the caller's session, in the transaction of the context. The error is
// [identity.ErrUnauthenticated] if it has just ended.
func (s *Service) Current(ctx context.Context, caller identity.Caller) (Session, error) {
	in, err := s.store.one(ctx, caller.OrganizationID, caller.UserID, caller.SignInID, s.Clock.Now())
	if db.IsNotFound(err) {
		return Session{}, identity.ErrUnauthenticated
	}
	return in, err
}

// EndOthers ends all sessions of the caller but the current one, in the transaction of the context.
// All access tokens become invalid; the current session gets a new one by
// [Service.IssueAccessToken]. The error is [identity.ErrUnauthenticated] if it has just ended.
func (s *Service) EndOthers(ctx context.Context, caller identity.Caller) (Session, error) {
	in, err := s.Current(ctx, caller)
	if err != nil {
		return Session{}, err
	}
	if in.Epoch, err = s.Revocations.RevokeUser(ctx, caller.OrganizationID, caller.UserID); err != nil {
		return Session{}, err
	}
	return in, s.store.setEpoch(ctx, in)
}

func ignoreNotFound(err error) error {
	if db.IsNotFound(err) {
		return nil
	}
	return err
}
