package rbac

import (
	"context"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/permission"
	"omnirapeutic/platform/trail"
)

// userInPower returns a user of the caller's organization whom the caller may change: the caller
// holds at least the user's permissions. Errors: [ErrUserNotFound], [ErrBeyondOwn], the errors of
// callerHolds.
func (s *Service) userInPower(ctx context.Context, id uuid.UUID) (User, error) {
	mine, err := s.callerHolds(ctx, permission.UserChange)
	if err != nil {
		return User{}, err
	}
	u, err := userOf(ctx, id)
	if err != nil {
		return User{}, err
	}
	theirs, err := heldBy(ctx, u.Roles)
	if err != nil {
		return User{}, err
	}
	return u, mine.covers(theirs)
}

// UserSessions returns the active sessions of a user, the newest first. Errors: [ErrUserNotFound],
// [ErrBeyondOwn] for a user with more permissions than the caller.
func (s *Service) UserSessions(ctx context.Context, user uuid.UUID) ([]UserSession, error) {
	return db.Snapshot(ctx, s.database, "user.list-sessions", func(ctx context.Context) ([]UserSession, error) {
		u, err := s.userInPower(ctx, user)
		if err != nil {
			return nil, err
		}
		found, err := signInsOf(ctx, u.OrganizationID, u.ID, s.now())
		sessions := make([]UserSession, len(found))
		for i, in := range found {
			sessions[i] = sessionOf(in)
		}
		return sessions, err
	})
}

// endedSession is the After value of a session that another user ended.
type endedSession struct {
	UserID uuid.UUID `json:"userId"`
}

// EndUserSession ends a session of a user. Errors: [ErrUserNotFound], [ErrBeyondOwn],
// [ErrSignInNotFound].
func (s *Service) EndUserSession(ctx context.Context, user, id uuid.UUID) error {
	caller, err := identity.From(ctx)
	if err != nil {
		return err
	}
	now := s.now()
	// Without [db.ProvenBy]: the caller can repeat it after an unknown outcome.
	_, err = db.Serializable(ctx, s.database, "user.end-session", func(ctx context.Context) (struct{}, error) {
		u, err := s.userInPower(ctx, user)
		if err != nil {
			return struct{}{}, err
		}
		found, err := takeSignIn(ctx, u.OrganizationID, u.ID, id, now)
		if db.IsNotFound(err) {
			return struct{}{}, ErrSignInNotFound
		}
		if err != nil {
			return struct{}{}, err
		}
		if err := s.endSignIn(ctx, found, now); err != nil {
			return struct{}{}, err
		}
		e := trail.By(caller)
		e.Action, e.SubjectType, e.SubjectID, e.OccurredAt, e.After = "sign-in.end", "sign-in", id, now, endedSession{u.ID}
		return struct{}{}, s.audit.Record(ctx, []trail.Event{e})
	})
	return err
}
