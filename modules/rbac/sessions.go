package rbac

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/identity"
)

// ErrSignInNotFound is returned if the user has no such sign-in, or it has ended.
var ErrSignInNotFound = fault.Define(fault.NotFound, "sign-in-not-found", "Session not found, or it has ended.").
	Advising("Reload the sessions.")

// signIn is one sign-in on one device: a family of refresh tokens.
type signIn struct {
	OrganizationID uuid.UUID `gorm:"primaryKey"`
	ID             uuid.UUID `gorm:"primaryKey"`
	UserID         uuid.UUID
	Epoch          int64 // of the user at its start; with a later epoch the sign-in has ended
	StartedAt      time.Time
	UsedAt         time.Time // the last refresh
	IdleUntil      time.Time // end, unless it is refreshed before
	EndsAt         time.Time // latest end
	EndedAt        *time.Time
	Address        string
	Place          []byte // the throttle key of the user's address and network
	ByProvider     bool   // through an identity provider
	RepeatedAt     *time.Time
}

// TableName names the table for gorm.
func (signIn) TableName() string { return "sign_ins" }

// overAt returns why the sign-in has ended, "" if it is active.
func (in signIn) overAt(now time.Time, u User) string {
	switch {
	case u.out() != "":
		return u.out()
	case in.EndedAt != nil || in.Epoch != u.epoch:
		return "revoked"
	case !now.Before(in.EndsAt):
		return "ended"
	case !now.Before(in.IdleUntil):
		return "idle"
	}
	return ""
}

// mustEnrol reports whether the sign-in can only set up a second factor. Identity providers check
// second factors themselves.
func (in signIn) mustEnrol(asks, has bool) bool { return asks && !has && !in.ByProvider }

// use extends the sign-in by the idle time, but not past its latest end.
func (in *signIn) use(now time.Time, idle time.Duration) {
	in.UsedAt, in.IdleUntil = now, now.Add(idle)
	if in.IdleUntil.After(in.EndsAt) {
		in.IdleUntil = in.EndsAt
	}
}

// begin creates a sign-in of a user who has proven their identity.
func (s *Service) begin(u User, address string, networkKey []byte) signIn {
	now := s.now()
	in := signIn{
		OrganizationID: u.OrganizationID, ID: s.newID(), UserID: u.ID, Epoch: u.epoch,
		StartedAt: now, EndsAt: now.Add(s.longest), Address: address, Place: networkKey,
	}
	in.use(now, s.idle)
	return in
}

// endSignIn ends a sign-in and invalidates its tokens, in the transaction of the context.
func (s *Service) endSignIn(ctx context.Context, in signIn, now time.Time) error {
	if err := markEnded(ctx, in.OrganizationID, in.ID, now); err != nil {
		return err
	}
	return s.announce(ctx, in.OrganizationID, change{subject{ofSignIn, in.ID}, 1, now})
}

// UserSession is a sign-in that has not ended.
type UserSession struct {
	ID         uuid.UUID  `json:"id"`
	StartedAt  time.Time  `json:"startedAt"`
	UsedAt     time.Time  `json:"usedAt"`     // of the last refresh
	RepeatedAt *time.Time `json:"repeatedAt"` // when a used refresh token was last answered again; null: never
	IdleUntil  time.Time  `json:"idleUntil"`  // end, unless it is refreshed before
	EndsAt     time.Time  `json:"endsAt"`     // latest end, however often it is refreshed
	Address    string     `json:"address"`    // the network address at its start
}

// MySession is a session as its user sees it.
type MySession struct {
	UserSession
	Current bool `json:"current"` // the session of this request
}

func sessionOf(in signIn) UserSession {
	return UserSession{in.ID, in.StartedAt.UTC(), in.UsedAt.UTC(), inUTC(in.RepeatedAt), in.IdleUntil.UTC(), in.EndsAt.UTC(), in.Address}
}

// Sessions returns the caller's active sign-ins, the newest first.
func (s *Service) Sessions(ctx context.Context) ([]MySession, error) {
	caller, err := identity.From(ctx)
	if err != nil {
		return nil, err
	}
	found, err := db.Snapshot(ctx, s.database, "sign-in.list", func(ctx context.Context) ([]signIn, error) {
		return signInsOf(ctx, caller.OrganizationID, caller.UserID, s.now())
	})
	if err != nil {
		return nil, err
	}
	sessions := make([]MySession, len(found))
	for i, in := range found {
		sessions[i] = MySession{sessionOf(in), in.ID == caller.SignInID}
	}
	return sessions, nil
}

// EndSession ends one of the caller's sign-ins. The error is [ErrSignInNotFound].
func (s *Service) EndSession(ctx context.Context, id uuid.UUID) error {
	caller, err := identity.From(ctx)
	if err != nil {
		return err
	}
	return s.end(ctx, caller, id, "sign-in.end")
}

// SignOut ends the caller's sign-in. The error is [identity.ErrUnauthenticated] if the caller is
// not signed in.
func (s *Service) SignOut(ctx context.Context) error {
	caller, err := identity.From(ctx)
	if err != nil {
		return err
	}
	err = s.end(ctx, caller, caller.SignInID, "user.sign-out")
	if errors.Is(err, ErrSignInNotFound) {
		return identity.ErrUnauthenticated // it has already ended
	}
	return err
}

// end ends one of the caller's sign-ins and records the action. It works without [db.ProvenBy]:
// the caller can repeat it after an unknown outcome.
func (s *Service) end(ctx context.Context, caller identity.Caller, id uuid.UUID, action string) error {
	now := s.now()
	_, err := db.Serializable(ctx, s.database, action, func(ctx context.Context) (struct{}, error) {
		found, err := takeSignIn(ctx, caller.OrganizationID, caller.UserID, id, now)
		if db.IsNotFound(err) {
			return struct{}{}, ErrSignInNotFound
		}
		if err != nil {
			return struct{}{}, err
		}
		if err := s.endSignIn(ctx, found, now); err != nil {
			return struct{}{}, err
		}
		return struct{}{}, s.recordSignOut(ctx, caller, action, "sign-in", id)
	})
	return err
}
