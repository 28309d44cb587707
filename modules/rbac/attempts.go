package rbac

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"time"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/trail"
)

// ErrSignInDelayed says that too many attempts have failed. It is the same for
// addresses that nobody has.
var ErrSignInDelayed = fault.Define(fault.TooMany, "sign-in-delayed", "Too many attempts to sign in have failed. Wait before the next one; until then no password is looked at.").
	Carrying(delayed{}).Advising("Tell the person to wait as `Retry-After` says.")

// delayed are the details of [ErrSignInDelayed].
type delayed struct{ wait time.Duration }

// RetryAfter says when the next attempt is looked at.
func (d delayed) RetryAfter() time.Duration { return d.wait }

// place stands for an e-mail address and the network from which somebody has signed in
// with it.
func (k key) place(email, address string) []byte {
	return k.throttleKey("place", email, trail.Network(address))
}

// The purposes of throttle keys.
const (
	countsSignIns     = "sign-in"
	countsOwnPassword = "own password"
)

// throttleKey stands for what attempts are counted by: the purpose, and for whom and from
// where. It can be compared and reveals nothing: most of what is typed into the field of
// an e-mail address is one, and some of it is a password. Parts are written with their
// lengths, so no two lists of parts have the same key.
func (k key) throttleKey(purpose string, parts ...string) []byte {
	mac := hmac.New(sha256.New, k.places)
	for _, part := range append([]string{purpose}, parts...) {
		fmt.Fprintf(mac, "%d:%s", len(part), part)
	}
	return mac.Sum(nil)
}

// attempt counts an attempt before anything is looked at. [forgetAttempts] takes it back
// where it leads to a sign-in. The error is [ErrSignInDelayed].
func (s *Service) attempt(ctx context.Context, counted []byte) error {
	now := s.now()
	wait, err := db.ReadCommitted(ctx, s.database, "user.attempt", func(ctx context.Context) (time.Duration, error) {
		before, err := lockAttempts(ctx, counted, now)
		if err != nil {
			return 0, err
		}
		after, wait := before.try(now)
		if wait > 0 {
			return wait, nil
		}
		return 0, updateAttempts(ctx, counted, after)
	})
	if err == nil && wait > 0 {
		err = ErrSignInDelayed.With(delayed{wait}, "Too many attempts to sign in have failed. Wait before the next one; until then no password is looked at.")
	}
	return err
}
