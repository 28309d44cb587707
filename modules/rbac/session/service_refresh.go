package session

import (
	"context"

	"github.com/google/uuid"

	"omnirapeutic/modules/rbac"
	"omnirapeutic/modules/rbac/throttle"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/telemetry"
	"omnirapeutic/platform/trail"
)

// ErrRefreshRefused is the same for unknown and used refresh tokens and for tokens of ended
// sessions.
var ErrRefreshRefused = fault.Define(fault.Unauthenticated, "refresh-refused",
	"The refresh token is invalid or expired. Sign in again.").
	Advising("Let the person sign in again.")

// Refresh exchanges a refresh token for an access token with the current roles and for the next
// refresh token. The given token is used up. A second use means that two clients have it, and ends
// the session for both. Exception: within [refreshGrace] the same network gets the same answer
// again. The repetition is recorded in the audit trail and in the list of sessions. Refresh needs
// no caller in the context. The error is [ErrRefreshRefused], or the error of the
// [throttle.FailureLimit] after too many tokens that were never issued.
func (s *Service) Refresh(ctx context.Context, token string) (SignedIn, error) {
	return throttle.Limited(ctx, s.Throttle, throttle.Refresh, throttle.NetworkSource(ctx),
		func() (SignedIn, error) { return s.refresh(ctx, token) })
}

// refreshed is the outcome of a refresh.
type refreshed struct {
	user    rbac.User
	session Session
	refused string // the reason, for the audit trail; empty: not refused
}

func (s *Service) refresh(ctx context.Context, token string) (SignedIn, error) {
	given, ok := parseRefreshToken(token)
	if !ok {
		return SignedIn{}, s.refuseUnknownToken(ctx)
	}
	next := given.successor(s.refreshKey)
	stored := func(ctx context.Context) (bool, error) { return s.isUnused(ctx, next) }
	done, err := db.Serializable(ctx, s.Database, "user.refresh", func(ctx context.Context) (refreshed, error) {
		return s.rotate(ctx, given, next)
	}, db.ProvenBy(stored), db.AllOrganizations())
	if err != nil {
		return SignedIn{}, err
	}
	if done.refused == throttle.ReasonUnknown {
		return SignedIn{}, s.refuseUnknownToken(ctx)
	}
	if done.refused != "" {
		s.signIns.LogRefusal(ctx, "refresh_refused", done.user, done.refused).Warn("refresh token refused")
		return SignedIn{}, ErrRefreshRefused
	}
	return s.issue(done.user, done.session, next)
}

// isUnused reports whether the token is stored and was not used.
func (s *Service) isUnused(ctx context.Context, token refreshToken) (bool, error) {
	found, err := s.store.refreshToken(ctx, token.hash())
	return err == nil && found.UsedAt == nil, ignoreNotFound(err)
}

// rotate uses the given token up and stores the next one, in the transaction of the context.
func (s *Service) rotate(ctx context.Context, given, next refreshToken) (refreshed, error) {
	now, from := s.Clock.Now(), trail.Network(trail.Address(ctx))
	found, err := s.store.refreshToken(ctx, given.hash())
	if db.IsNotFound(err) {
		return refreshed{refused: throttle.ReasonUnknown}, nil
	}
	if err != nil {
		return refreshed{}, err
	}
	out := refreshed{session: found.Session}
	if out.user, err = s.Accounts.WithOrganization(ctx, found.Found.User()); err != nil {
		return refreshed{}, err
	}
	if reason := out.session.endReason(now, out.user); reason != "" {
		out.refused = reason
		return out, s.recordRefresh(ctx, out, nil)
	}
	if found.UsedAt == nil {
		out.session.extend(now, s.Idle)
		if err := s.store.rotate(ctx, out.session, given, next, from, now); err != nil {
			return refreshed{}, err
		}
		return out, s.recordRefresh(ctx, out, nil)
	}
	if found.canRepeat(from, now) {
		if same, err := s.isUnused(ctx, next); err != nil {
			return refreshed{}, err
		} else if same {
			if err := s.store.markRepeated(ctx, out.session, now); err != nil {
				return refreshed{}, err
			}
			return out, s.recordRefresh(ctx, out, repeatedRefresh{true})
		}
	}
	out.refused = "reused"
	if err := s.revoke(ctx, out.session, now); err != nil {
		return refreshed{}, err
	}
	return out, s.recordRefresh(ctx, out, nil)
}

// refuseUnknownToken logs a refresh token that was never issued, and returns the refusal. It
// concerns no organization; [throttle.Limited] counts it.
func (s *Service) refuseUnknownToken(ctx context.Context) error {
	s.signIns.LogRefusal(ctx, "refresh_refused", rbac.User{}, throttle.ReasonUnknown).Warn("refresh token refused")
	return ErrRefreshRefused.Because(throttle.ErrGuess)
}

// repeatedRefresh is the After value of a refresh whose token was used before. Either the client
// lost the first answer, or another client in the same network has the token.
type repeatedRefresh struct {
	Repeated bool `json:"repeated"`
}

// recordRefresh records that a session was refreshed, or why it was refused.
func (s *Service) recordRefresh(ctx context.Context, r refreshed, after any) error {
	e := trail.Event{
		OrganizationID: r.user.OrganizationID, ActorID: r.user.ID,
		RequestID: telemetry.RequestID(ctx), Address: trail.Address(ctx),
		Action: "sign-in.refresh", SubjectType: "sign-in", SubjectID: r.session.ID, OccurredAt: s.Clock.Now(), After: after,
	}
	if r.refused != "" {
		e.ActorID, e.Outcome, e.After = uuid.Nil, trail.Denied, RefusedSignIn{r.refused}
	}
	return s.Audit.Record(ctx, []trail.Event{e})
}
