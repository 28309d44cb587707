package revocation

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/identity"
)

// ErrTokenNotChecked is returned while this instance cannot load revocations. It refuses all
// tokens rather than accept a revoked one.
var ErrTokenNotChecked = fault.Define(fault.Unavailable, "token-not-checked",
	"The access token cannot be verified right now. Nothing was changed. Try again shortly.").
	Advising("Wait for the time in `Retry-After`, then send the same request with the same `Idempotency-Key`.")

// kind is the kind of a [change].
type kind string

const (
	ofUser   kind = "user"    // level: the lowest valid epoch of tokens
	ofSignIn kind = "sign-in" // level 1: it has ended
	// ofOrganization: the level rises when the organization is disabled or enabled; odd levels mean
	// disabled. See [Service.SetOrganizationDisabled].
	ofOrganization kind = "organization"
	// ofPermissions: the permission sets of an organization. Tokens stay valid with other
	// permissions; the level counts the changes.
	ofPermissions kind = "permissions"
	// ofAccount: the name of a user. Tokens stay valid; the level counts the changes.
	ofAccount kind = "account"
)

// subject is the subject of a change.
type subject struct {
	kind kind
	id   uuid.UUID
}

// change invalidates everything of its subject below the level. Levels only rise, so changes can
// be applied repeatedly and in any order.
type change struct {
	subject
	level int64
	at    time.Time
}

// isDisabled reports whether an organization was disabled.
func (c change) isDisabled() bool { return c.level%2 == 1 }

const (
	// maxLoadAge is the time after the last successful load at which tokens are refused.
	maxLoadAge = 5 * time.Second
	// Keep is how long revocations are kept: longer than the maximum lifetime of an access token,
	// 24 hours.
	Keep = 25 * time.Hour
)

// revocations holds the revocations that this instance knows, in memory, so that checking a token
// needs no query. The instance's own revocations apply immediately, revocations of other
// instances a moment later, see [Service.LoadRevocations]. The zero value has none and does not
// expire. Safe for concurrent use.
type revocations struct {
	mu        sync.RWMutex
	levels    map[subject]change
	loadedAt  time.Time // real time of the last successful load
	loads     bool      // whether loading has started
	upTo      uint64    // the oldest transaction that may not have been loaded
	streams   map[*stream]struct{}
	listeners []func(organization uuid.UUID) // of changed permissions
	accounts  []func(user uuid.UUID)         // listeners of changed accounts
}

// stream is a caller with a long-running response.
type stream struct {
	caller identity.Caller
	end    context.CancelFunc
}

// check returns an error if the caller's token is revoked.
func (r *revocations) check(c identity.Caller) error {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if r.isOutdated() {
		return ErrTokenNotChecked
	}
	if r.isRevoked(c) {
		return identity.ErrUnauthenticated.With(nil,
			"The access token was revoked: the session has ended or your access has changed. Sign in again.")
	}
	return nil
}

// hasLoaded reports whether revocations of other instances are being loaded.
func (r *revocations) hasLoaded() bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.loads
}

// isOutdated reports whether the last load is too long ago. It uses real time, not the clock.
func (r *revocations) isOutdated() bool { return r.loads && time.Since(r.loadedAt) > maxLoadAge }

func (r *revocations) isRevoked(c identity.Caller) bool {
	return r.levels[subject{ofUser, c.UserID}].level > c.Epoch || r.levels[subject{ofSignIn, c.SignInID}].level > 0 ||
		r.levels[subject{ofOrganization, c.OrganizationID}].isDisabled()
}

// apply stores changes, ends the affected streams, and calls the listeners.
func (r *revocations) apply(changes ...change) {
	r.mu.Lock()
	if r.levels == nil {
		r.levels = map[subject]change{}
	}
	var news []change
	for _, c := range changes {
		if c.level > r.levels[c.subject].level {
			r.levels[c.subject] = c
			news = append(news, c)
		}
	}
	for st := range r.streams {
		if r.isRevoked(st.caller) {
			st.end()
		}
	}
	r.mu.Unlock()
	for _, c := range changes {
		if c.kind == ofPermissions {
			r.notify(c.id)
		}
	}
	for _, c := range news {
		for _, fn := range r.accounts {
			if c.kind == ofAccount {
				fn(c.id)
			}
		}
	}
	r.endChanged(news)
}

// notify calls the listeners for an organization, or for all with [uuid.Nil].
func (r *revocations) notify(organization uuid.UUID) {
	for _, fn := range r.listeners {
		fn(organization)
	}
}

// endChanged ends the streams of callers whose permissions have changed. Call it when new requests
// already get the new permissions.
func (r *revocations) endChanged(news []change) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	for st := range r.streams {
		permissions := subject{ofPermissions, st.caller.OrganizationID}
		if slices.ContainsFunc(news, func(c change) bool { return c.subject == permissions }) {
			st.end()
		}
	}
}

// loaded stores that all changes before the mark upTo were loaded at the given time. From the
// first call on, the revocations expire.
func (r *revocations) loaded(at time.Time, upTo uint64) {
	r.mu.Lock()
	missed := r.loads && at.Sub(r.loadedAt) > Keep
	r.loads, r.loadedAt, r.upTo = true, at, upTo
	r.mu.Unlock()
	if missed { // changes in the gap are no longer stored; tokens of that time have expired
		r.notify(uuid.Nil)
	}
}

// next returns the mark since which changes may not have been loaded.
func (r *revocations) next() uint64 {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.upTo
}

// tidy removes changes that are older than every token. It ends all streams if the last load is
// too long ago, because their tokens may be revoked.
func (r *revocations) tidy(before time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for of, c := range r.levels {
		if c.at.Before(before) {
			delete(r.levels, of)
		}
	}
	if r.isOutdated() {
		for st := range r.streams {
			st.end()
		}
	}
}

// contextUntilRevoked returns a context that ends when the caller's token is revoked, and a function
// that releases it.
func (r *revocations) contextUntilRevoked(
	ctx context.Context, c identity.Caller,
) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	st := &stream{c, cancel}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.streams == nil {
		r.streams = map[*stream]struct{}{}
	}
	r.streams[st] = struct{}{}
	if r.isRevoked(c) {
		cancel()
	}
	return ctx, func() {
		r.mu.Lock()
		delete(r.streams, st)
		r.mu.Unlock()
		cancel()
	}
}
