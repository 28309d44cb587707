package rbac

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/trail"
)

// ErrSignInDelayed is returned after too many failed attempts. It does not reveal whether the
// address has an account.
var ErrSignInDelayed = fault.Define(fault.TooMany, "sign-in-delayed", "Too many failed sign-in attempts. Wait before you try again.").
	Carrying(delayed{}).Advising("Ask the user to wait for the time in `Retry-After`. Until then passwords are not checked.")

// delayed are the details of [ErrSignInDelayed].
type delayed struct{ wait time.Duration }

// RetryAfter returns the time until the next attempt is checked.
func (d delayed) RetryAfter() time.Duration { return d.wait }

// throttleKey identifies a count of attempts: by purpose, subject and source. Keys can be compared
// and reveal nothing, because people sometimes type a password into the e-mail field. Each part is
// written with its length, so two different lists of parts never share a key.
func (k key) throttleKey(purpose string, parts ...string) []byte {
	mac := hmac.New(sha256.New, k.counters)
	for _, part := range append([]string{purpose}, parts...) {
		_ = binary.Write(mac, binary.BigEndian, uint64(len(part))) // never fails: hashes take all bytes
		mac.Write([]byte(part))
	}
	return mac.Sum(nil)
}

// networkKey identifies an e-mail address and the network of a sign-in.
func (k key) networkKey(email, address string) []byte {
	return k.throttleKey("place", email, trail.Network(address))
}

// addressCounter counts attempts to sign in with the typed e-mail address, from a source, since the
// lift; "" if no lift applies.
func (k key) addressCounter(typed, from, lift string) []byte {
	return k.throttleKey("sign-in", typed, from, lift)
}

// accountCounter counts attempts to sign in to an account, likewise.
func (k key) accountCounter(user uuid.UUID, from, lift string) []byte {
	return k.throttleKey("account", user.String(), from, lift)
}

// noAccountCounter replaces accountCounter for text that is no account's address.
func (k key) noAccountCounter(typed, from string) []byte {
	return k.throttleKey("no account", typed, from)
}

// proofCounter counts attempts of a signed-in user to prove something, such as the current
// password. Each sign-in has its own count, so guesses with a stolen token do not block the user's
// other devices.
func (k key) proofCounter(user, signIn uuid.UUID) []byte {
	return k.throttleKey("proof", user.String(), signIn.String())
}

// attempt counts an attempt before any check. [forgetAttempts] removes it again after
// a successful sign-in. The error is [ErrSignInDelayed].
func (s *Service) attempt(ctx context.Context, counter []byte) error {
	_, err := s.attemptEach(ctx, [][]byte{counter})
	return err
}

// attemptAccounts is attempt for an address and its accounts. It delays candidates with too many
// failed attempts.
func (s *Service) attemptAccounts(ctx context.Context, try *signInTry) error {
	closed, err := s.attemptEach(ctx, try.counters())
	try.delay(closed)
	return err
}

// attemptEach counts an attempt for each counter without too many failures, and returns the other
// counters. If the first counter has too many failures, it counts none and returns [ErrSignInDelayed].
func (s *Service) attemptEach(ctx context.Context, counters [][]byte) (closed [][]byte, err error) {
	now := s.now()
	type outcome struct {
		closed [][]byte
		wait   time.Duration // for the first counter
	}
	done, err := db.ReadCommitted(ctx, s.database, "user.attempt", func(ctx context.Context) (outcome, error) {
		before, err := lockAttempts(ctx, counters, now)
		if err != nil {
			return outcome{}, err
		}
		var out outcome
		counted := map[string]attempts{}
		for i, counter := range counters {
			after, wait := before[string(counter)].try(now)
			switch {
			case wait > 0 && i == 0:
				return outcome{wait: wait}, nil
			case wait > 0:
				out.closed = append(out.closed, counter)
			default:
				counted[string(counter)] = after
			}
		}
		return out, updateAttempts(ctx, counted)
	})
	if err == nil && done.wait > 0 {
		err = ErrSignInDelayed.With(delayed{done.wait},
			"Too many attempts to sign in have failed. Wait before you try again; until then every attempt is refused.")
	}
	return done.closed, err
}
