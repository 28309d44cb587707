package rbac

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"net/netip"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/fault"
)

// ErrSignInDelayed says that too many attempts have failed. It is the same for
// addresses that nobody has.
var ErrSignInDelayed = fault.Define(fault.TooMany, "sign-in-delayed", "Too many attempts to sign in have failed. Wait before the next one; until then no password is looked at.").
	Carrying(delayed{}).Advising("Tell the person to wait as `Retry-After` says.")

// delayed are the details of [ErrSignInDelayed].
type delayed struct{ wait time.Duration }

// RetryAfter says when the next attempt is looked at.
func (d delayed) RetryAfter() time.Duration { return d.wait }

// signInPlace identifies the attempts to sign in with the text that was typed as an
// e-mail address, from a network address; "" for any. It is a keyed hash: some of what
// is typed into that field is a password.
func (k key) signInPlace(email, address string) []byte {
	return k.place("sign-in", email, network(address))
}

// proofPlace identifies the attempts of a user who is signed in to prove something
// about themselves, such as their password.
func (k key) proofPlace(user uuid.UUID) []byte { return k.place("proof", user.String()) }

// place is the keyed hash of what the label and the parts say. Lengths keep parts apart,
// and labels keep the counts of different purposes apart.
func (k key) place(label string, parts ...string) []byte {
	mac := hmac.New(sha256.New, k.places)
	for _, part := range append([]string{label}, parts...) {
		_ = binary.Write(mac, binary.BigEndian, uint64(len(part))) // never fails: hashes take all bytes
		mac.Write([]byte(part))
	}
	return mac.Sum(nil)
}

// network is what one holder of an address has: an IPv6 address is its /64.
func network(address string) string {
	const ofOneHolder = 64
	ip, err := netip.ParseAddr(address)
	if err != nil || ip.Unmap().Is4() {
		return address
	}
	prefix, err := ip.Prefix(ofOneHolder)
	if err != nil {
		return address
	}
	return prefix.String()
}

// accountPlace identifies the attempts to sign in to an account, from a network address;
// "" for any.
func (k key) accountPlace(user uuid.UUID, address string) []byte {
	return k.place("account", user.String(), network(address))
}

// noAccountPlace is in place of accountPlace for text that no account has as its address.
func (k key) noAccountPlace(typed, address string) []byte {
	return k.place("no account", typed, network(address))
}

// attempt counts an attempt of the place before anything is looked at. [forgetAttempts]
// takes it back if it leads to a sign-in. The error is [ErrSignInDelayed].
func (s *Service) attempt(ctx context.Context, place []byte) error {
	_, err := s.attemptEach(ctx, [][]byte{place})
	return err
}

// attemptAccounts is attempt for an address and its accounts. It delays those candidates
// at which too many attempts have failed.
func (s *Service) attemptAccounts(ctx context.Context, try *signInTry) error {
	closed, err := s.attemptEach(ctx, try.counters())
	try.delay(closed)
	return err
}

// attemptEach counts an attempt of the places, except of those at which too many have
// failed, which it returns. If the first is one of those it counts none, and the error is
// [ErrSignInDelayed].
func (s *Service) attemptEach(ctx context.Context, places [][]byte) (closed [][]byte, err error) {
	now := s.now()
	type outcome struct {
		closed [][]byte
		wait   time.Duration // of the first
	}
	done, err := db.ReadCommitted(ctx, s.database, "user.attempt", func(ctx context.Context) (outcome, error) {
		before, err := lockAttempts(ctx, places, now)
		if err != nil {
			return outcome{}, err
		}
		var out outcome
		counted := map[string]attempts{}
		for i, place := range places {
			after, wait := before[string(place)].try(now)
			switch {
			case wait > 0 && i == 0:
				return outcome{wait: wait}, nil
			case wait > 0:
				out.closed = append(out.closed, place)
			default:
				counted[string(place)] = after
			}
		}
		return out, updateAttempts(ctx, counted)
	})
	if err == nil && done.wait > 0 {
		err = ErrSignInDelayed.With(delayed{done.wait}, "Too many attempts to sign in have failed. Wait before the next one; until then no password is looked at.")
	}
	return done.closed, err
}
