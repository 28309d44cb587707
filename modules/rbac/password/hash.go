package password

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"

	"github.com/alexedwards/argon2id"
	"golang.org/x/crypto/argon2"
	"golang.org/x/sync/semaphore"
	"golang.org/x/text/unicode/norm"

	"omnirapeutic/platform/fault"
)

// ErrBusy is returned if too many passwords are waiting to be hashed.
var ErrBusy = fault.Define(fault.Unavailable, "sign-in-busy",
	"Too many people are signing in right now. Try again in a few seconds.").
	Advising("Wait a few seconds and sign in again.")

// production are the second recommended parameters of RFC 9106, section 4 (64 MiB, three passes),
// with one thread instead of four: a hash must not use more processors
// than [hasher] has reserved for it. The work is the same.
var production = argon2id.Params{Memory: 64 * 1024, Iterations: 3, Parallelism: 1, SaltLength: 16, KeyLength: 32}

// quick are the smallest parameters that argon2 accepts.
var quick = argon2id.Params{Memory: 8, Iterations: 1, Parallelism: 1, SaltLength: 16, KeyLength: 32}

// queuePerSlot is the number of requests that may wait for each running hash: about ten seconds
// of work.
const queuePerSlot = 64

// hasher hashes and compares passwords. All hashes together use at most half of the processors (at
// least one), so that other requests are served meanwhile. Each hash uses 64 MiB. Safe for
// concurrent use.
type hasher struct {
	params    argon2id.Params
	size      int64 // number of threads that may hash at once
	threads   *semaphore.Weighted
	queued    atomic.Int64 // running and waiting hashes
	maxQueued int64
	// dummy is a hash that matches no password, compared for unknown users.
	dummy   string
	compute func(password, salt []byte, p argon2id.Params) []byte
}

// newHasher returns a hasher. A minimal one does as little work as possible, for tests.
func newHasher(minimal bool) *hasher {
	size := max(int64(runtime.GOMAXPROCS(0))/2, 1)
	h := &hasher{
		params: production, size: size, threads: semaphore.NewWeighted(size), maxQueued: size * (1 + queuePerSlot),
		compute: argon2Key,
	}
	if minimal {
		h.params = quick
	}
	h.dummy = h.unusable(h.newSalt())
	return h
}

func argon2Key(password, salt []byte, p argon2id.Params) []byte {
	return argon2.IDKey(password, salt, p.Iterations, p.Memory, p.Parallelism, p.KeyLength)
}

func randomBytes(n uint32) []byte {
	random := make([]byte, n)
	_, _ = rand.Read(random) // never fails: see crypto/rand
	return random
}

// encodeHash writes a hash in the PHC string format.
func encodeHash(p argon2id.Params, salt, key []byte) string {
	text := base64.RawStdEncoding.EncodeToString
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, p.Memory, p.Iterations, p.Parallelism, text(salt), text(key))
}

// newSalt returns a random salt for [hasher.hash].
func (h *hasher) newSalt() []byte { return randomBytes(h.params.SaltLength) }

// unusable returns a hash with the salt that matches no password. It is constant, not computed.
// Comparing a password with it takes as long as with any other hash.
func (h *hasher) unusable(salt []byte) string {
	return encodeHash(h.params, salt, randomBytes(h.params.KeyLength))
}

// hash returns the password's hash with the salt. All accounts of an e-mail address share a salt,
// see [hasher.matching]. Errors: [ErrBusy], the context's error.
func (h *hasher) hash(ctx context.Context, password string, salt []byte) (hash string, err error) {
	err = h.whenFree(ctx, h.params, func() error {
		hash = encodeHash(h.params, salt, h.compute([]byte(normalize(password)), salt, h.params))
		return nil
	})
	return hash, err
}

// matches reports whether the hash belongs to the password. Errors: [ErrBusy], the context's
// error, an error for a malformed hash.
func (h *hasher) matches(ctx context.Context, password, hash string) (bool, error) {
	matched, err := h.matching(ctx, password, []string{hash})
	return len(matched) == 1 && matched[0], err
}

// matching reports for each hash whether it belongs to the password. It computes one hash for all
// hashes with the same salt and parameters, and one if there are no hashes. Errors: as for
// [hasher.matches].
func (h *hasher) matching(ctx context.Context, password string, hashes []string) ([]bool, error) {
	matched := make([]bool, len(hashes))
	if len(hashes) == 0 {
		hashes = []string{h.dummy}
	}
	computed := map[string][]byte{} // by parameters and salt
	for i, hash := range hashes {
		params, salt, key, err := argon2id.DecodeHash(hash)
		if err != nil {
			return nil, fmt.Errorf("rbac: read a password hash: %w", err)
		}
		settings := hash[:strings.LastIndexByte(hash, '$')]
		if computed[settings] == nil {
			err := h.whenFree(ctx, *params, func() error {
				computed[settings] = h.compute([]byte(normalize(password)), salt, *params)
				return nil
			})
			if err != nil {
				return nil, err
			}
		}
		if i < len(matched) {
			matched[i] = subtle.ConstantTimeCompare(key, computed[settings]) == 1
		}
	}
	return matched, nil
}

// renew returns a hash of the password that has just matched, with the current parameters and the
// same salt. It returns "" if the hash already has them. Errors: as for hash.
func (h *hasher) renew(ctx context.Context, password, hash string) (string, error) {
	params, salt, _, err := argon2id.DecodeHash(hash)
	if err != nil || *params == h.params {
		return "", err
	}
	return h.hash(ctx, password, salt)
}

// whenFree runs work when as many threads are free as its parameters need.
func (h *hasher) whenFree(ctx context.Context, params argon2id.Params, work func() error) error {
	defer h.queued.Add(-1)
	if h.queued.Add(1) > h.maxQueued {
		return ErrBusy
	}
	threads := min(int64(params.Parallelism), h.size)
	if err := h.threads.Acquire(ctx, threads); err != nil {
		return err
	}
	defer h.threads.Release(threads)
	return work()
}

// normalize returns the same bytes for the same characters, independent of the keyboard (Unicode
// normalization form KC).
func normalize(password string) string { return norm.NFKC.String(password) }
