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

// ErrSignInNotFound is returned where the user has no such sign-in, or it has ended.
var ErrSignInNotFound = fault.Define(fault.NotFound, "sign-in-not-found", "Session not found, or it has ended.")

// signIn is one sign-in on one device, from the password on: the family of its
// refresh tokens.
type signIn struct {
	OrganizationID uuid.UUID `gorm:"primaryKey"`
	ID             uuid.UUID `gorm:"primaryKey"`
	UserID         uuid.UUID
	Epoch          int64 // of the user; once theirs is another, this is over
	StartedAt      time.Time
	UsedAt         time.Time // when it was refreshed last
	IdleUntil      time.Time // unless it is refreshed before
	EndsAt         time.Time // whatever is done
	EndedAt        *time.Time
	Address        string
	Place          []byte // stands for user and address together
	ByProvider     bool   // an identity provider has said who it is
	RepeatedAt     *time.Time
}

// TableName names the table for gorm.
func (signIn) TableName() string { return "sign_ins" }

// overAt returns why the sign-in does not go on, "" where it does.
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

// mustEnrol reports whether the sign-in can do nothing but set up a second factor. Who
// comes from an identity provider was asked there for whatever it wants.
func (in signIn) mustEnrol(asks, has bool) bool { return asks && !has && !in.ByProvider }

// use has the sign-in last for the idle time from now on, and not past its end.
func (in *signIn) use(now time.Time, idle time.Duration) {
	in.UsedAt, in.IdleUntil = now, now.Add(idle)
	if in.IdleUntil.After(in.EndsAt) {
		in.IdleUntil = in.EndsAt
	}
}

// begin makes a sign-in of a user who has proven who they are.
func (s *Service) begin(u User, address string, place []byte) signIn {
	now := s.now()
	in := signIn{
		OrganizationID: u.OrganizationID, ID: s.newID(), UserID: u.ID, Epoch: u.epoch,
		StartedAt: now, EndsAt: now.Add(s.longest), Address: address, Place: place,
	}
	in.use(now, s.idle)
	return in
}

// endSignIn ends a sign-in in the transaction of the context: nothing refreshes it,
// and its access tokens hold no more.
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

// Sessions returns the caller's sign-ins that go on, the newest first.
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

// SignOut ends the caller's sign-in. The error is [identity.ErrUnauthenticated] where
// nobody is signed in.
func (s *Service) SignOut(ctx context.Context) error {
	caller, err := identity.From(ctx)
	if err != nil {
		return err
	}
	err = s.end(ctx, caller, caller.SignInID, "user.sign-out")
	if errors.Is(err, ErrSignInNotFound) {
		return identity.ErrUnauthenticated // it was over when this was asked
	}
	return err
}

// end ends one of the caller's sign-ins, and records it as the action. Without
// [db.ProvenBy]: it can be asked again when nobody knows whether it was committed.
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
