package rbac

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/telemetry"
	"omnirapeutic/platform/trail"
)

// ErrRefreshRefused is the same for unknown and used refresh tokens and for tokens of ended
// sign-ins.
var ErrRefreshRefused = fault.Define(fault.Unauthenticated, "refresh-refused", "The refresh token is invalid or expired. Sign in again.").
	Advising("Let the person sign in again.")

// refreshGrace is how long a used refresh token gets the same answer again, from the same network
// and unless its successor was used. It is for clients that lost the answer or sent the request
// twice.
const refreshGrace = 30 * time.Second

// refreshToken refreshes a sign-in, once: 256 random bits.
type refreshToken [32]byte

func newRefreshToken() (t refreshToken) {
	_, _ = rand.Read(t[:]) // never fails: see crypto/rand
	return t
}

const refreshPrefix = "omr_" // makes a leaked token recognizable

// String returns the token in the form that clients receive.
func (t refreshToken) String() string {
	return refreshPrefix + base64.RawURLEncoding.EncodeToString(t[:])
}

// Format keeps the token out of logs.
func (t refreshToken) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("***")) }

func parseRefreshToken(text string) (t refreshToken, ok bool) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(cutPrefix(text))
	if err != nil || len(raw) != len(t) {
		return t, false
	}
	copy(t[:], raw)
	return t, true
}

func cutPrefix(text string) string {
	if len(text) < len(refreshPrefix) || text[:len(refreshPrefix)] != refreshPrefix {
		return ""
	}
	return text[len(refreshPrefix):]
}

// hash returns the stored hash of the token. It needs no salt, because the token cannot be
// guessed.
func (t refreshToken) hash() []byte {
	sum := sha256.Sum256(t[:])
	return sum[:]
}

// successor returns the token that replaces this one. It is derived, so a repeated exchange
// returns the same token without storing it.
func (k key) successor(t refreshToken) (next refreshToken) {
	mac := hmac.New(sha256.New, k.refresh)
	mac.Write(t[:])
	copy(next[:], mac.Sum(nil))
	return next
}

// Refresh exchanges a refresh token for an access token with the current roles and for the next
// refresh token. The given token is used up. A second use means that two clients have it, and ends
// the sign-in for both. Exception: within [refreshGrace] the same network gets the same answer
// again. The repetition is recorded in the audit trail and in the list of sessions. Refresh needs
// no caller in the context. The error is [ErrRefreshRefused], or the error of the [FailureLimit]
// after too many tokens that were never issued.
func (s *Service) Refresh(ctx context.Context, token string) (SignedIn, error) {
	return limited(ctx, s, failedRefresh, networkSource(ctx), func() (SignedIn, error) { return s.refresh(ctx, token) })
}

func (s *Service) refresh(ctx context.Context, token string) (SignedIn, error) {
	given, ok := parseRefreshToken(token)
	if !ok {
		return SignedIn{}, s.refuseUnknownRefresh(ctx)
	}
	next := s.keys[0].successor(given)
	now, from := s.now(), trail.Network(trail.Address(ctx))
	stored := func(ctx context.Context) (bool, error) {
		found, err := takeRefreshToken(ctx, next.hash())
		return err == nil && found.UsedAt == nil, ignoreNotFound(err)
	}
	type outcome struct {
		user    User
		signIn  signIn
		refused string // the reason, for the audit trail; empty: not refused
	}
	done, err := db.Serializable(ctx, s.database, "user.refresh", func(ctx context.Context) (outcome, error) {
		found, err := takeRefreshToken(ctx, given.hash())
		if db.IsNotFound(err) {
			return outcome{refused: refusedUnknown}, nil
		}
		if err != nil {
			return outcome{}, err
		}
		out := outcome{user: found.Found.user(), signIn: found.In}
		out.user.enrolOnly = found.In.mustEnrol(found.Asks, out.user.SecondFactor)
		if reason := out.signIn.overAt(now, out.user); reason != "" {
			out.refused = reason
			return out, s.recordRefresh(ctx, out.user, out.signIn.ID, reason)
		}
		if found.UsedAt == nil {
			out.signIn.use(now, s.idle)
			if err := rotate(ctx, out.signIn, given, next, from, now); err != nil {
				return outcome{}, err
			}
			return out, s.recordRefresh(ctx, out.user, out.signIn.ID, "")
		}
		if found.repeatable(from, now) {
			if same, err := stored(ctx); err != nil {
				return out, err
			} else if same {
				if err := markRepeated(ctx, out.signIn, now); err != nil {
					return outcome{}, err
				}
				return out, s.recordRepeat(ctx, out.user, out.signIn.ID)
			}
		}
		out.refused = "reused"
		if err := s.endSignIn(ctx, out.signIn, now); err != nil {
			return outcome{}, err
		}
		return out, s.recordRefresh(ctx, out.user, out.signIn.ID, out.refused)
	}, db.ProvenBy(stored), db.AllOrganizations())
	if err != nil {
		return SignedIn{}, err
	}
	if done.refused == refusedUnknown {
		return SignedIn{}, s.refuseUnknownRefresh(ctx)
	}
	if done.refused != "" {
		s.refusal(ctx, "refresh_refused", done.user, done.refused).Warn("refresh token refused")
		return SignedIn{}, ErrRefreshRefused
	}
	return s.issue(done.user, done.signIn, next)
}

// repeatable reports whether a used token may be answered again: within the grace period and to the
// same network.
func (f foundRefresh) repeatable(from string, now time.Time) bool {
	return now.Sub(*f.UsedAt) <= refreshGrace && (f.UsedFrom == nil || *f.UsedFrom == from)
}

const refusedUnknown = "unknown"

// refuseUnknownRefresh logs a refresh token that was never issued, and returns the refusal. It
// concerns no organization; [limited] counts it.
func (s *Service) refuseUnknownRefresh(ctx context.Context) error {
	s.refusal(ctx, "refresh_refused", User{}, refusedUnknown).Warn("refresh token refused")
	return ErrRefreshRefused.Because(errGuess)
}

// issue creates the tokens of a new or refreshed sign-in.
func (s *Service) issue(u User, in signIn, refresh refreshToken) (SignedIn, error) {
	u.epoch = in.Epoch // tokens of an ended sign-in must not get the current epoch
	token, err := s.tokens.issue(u, in.ID)
	if err != nil {
		return SignedIn{}, fmt.Errorf("sign an access token: %w", err)
	}
	return SignedIn{
		Token: token, Expires: s.tokens.lifetime, User: u,
		Refresh: refresh.String(), RefreshExpires: in.IdleUntil.Sub(in.UsedAt), Ends: in.EndsAt,
	}, nil
}

func ignoreNotFound(err error) error {
	if db.IsNotFound(err) {
		return nil
	}
	return err
}

// recordRefresh records that a sign-in was refreshed, or why it was refused.
func (s *Service) recordRefresh(ctx context.Context, u User, id uuid.UUID, refused string) error {
	e := s.refreshEvent(ctx, u, id)
	if refused != "" {
		e.ActorID, e.Outcome, e.After = uuid.Nil, trail.Denied, refusedSignIn{refused}
	}
	return s.audit.Record(ctx, []trail.Event{e})
}

// repeatedRefresh is the After value of a refresh whose token was used before.
type repeatedRefresh struct {
	Repeated bool `json:"repeated"`
}

// recordRepeat records that a used refresh token was answered again. Either the client lost the
// first answer, or another client in the same network has the token.
func (s *Service) recordRepeat(ctx context.Context, u User, id uuid.UUID) error {
	e := s.refreshEvent(ctx, u, id)
	e.After = repeatedRefresh{true}
	return s.audit.Record(ctx, []trail.Event{e})
}

func (s *Service) refreshEvent(ctx context.Context, u User, id uuid.UUID) trail.Event {
	return trail.Event{
		OrganizationID: u.OrganizationID, ActorID: u.ID, RequestID: telemetry.RequestID(ctx), Address: trail.Address(ctx),
		Action: "sign-in.refresh", SubjectType: "sign-in", SubjectID: id, OccurredAt: s.now(),
	}
}
