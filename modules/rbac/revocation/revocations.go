package rbac

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
	// disabled. See [Service.Switched].
	ofOrganization kind = "organization"
	// ofPermissions: the permission sets of an organization. Tokens stay valid with other
	// permissions; the level counts the changes.
	ofPermissions kind = "permissions"
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

// switchLevel returns the level of an organization that was disabled or enabled with the given
// version.
func switchLevel(version int, disabled bool) int64 {
	level := 2 * int64(version)
	if disabled {
		level++
	}
	return level
}

// Intervals for loading changes.
const (
	// pollEvery is the interval for loading changes without a notification.
	pollEvery = time.Second
	// pollTimeout limits one load.
	pollTimeout = 3 * time.Second
	// maxSilence is the time after the last successful load at which tokens are refused.
	maxSilence = 5 * time.Second
	// keepChanges is how long changes are kept: longer than the maximum lifetime of an access token,
	// 24 hours.
	keepChanges = 25 * time.Hour
)

// standing holds the revocations that this instance knows, in memory, so that checking a token
// needs no query. Its own changes apply immediately, those of other instances a moment later, see
// [Service.Run]. The zero value has no changes and does not expire. Safe for concurrent use.
type standing struct {
	mu        sync.RWMutex
	least     map[subject]change
	heard     time.Time // real time of the last successful load; zero: no loading, see follow
	follows   bool
	upTo      uint64 // the oldest transaction that may not have been loaded
	streams   map[*stream]struct{}
	listeners map[kind][]func(id uuid.UUID)
}

// stream is a caller with a long-running response.
type stream struct {
	caller identity.Caller
	end    context.CancelFunc
}

// on registers fn for changes of the kind. fn gets the changed id, or [uuid.Nil] if any may have
// changed. It must not block, and may be called several times for one change. Call on before all
// other methods.
func (s *standing) on(k kind, fn func(id uuid.UUID)) {
	if s.listeners == nil {
		s.listeners = map[kind][]func(uuid.UUID){}
	}
	s.listeners[k] = append(s.listeners[k], fn)
}

// check returns an error if the caller's token is revoked.
func (s *standing) check(c identity.Caller) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.isSilent() {
		return ErrTokenNotChecked
	}
	if s.isOver(c) {
		return identity.ErrUnauthenticated.With(nil,
			"The access token was revoked: the session has ended or your access has changed. Sign in again.")
	}
	return nil
}

// isFollowed reports whether revocations are being loaded.
func (s *standing) isFollowed() bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.follows
}

// isSilent reports whether the last load is too long ago. It uses real time, not the
// clock.
func (s *standing) isSilent() bool { return s.follows && time.Since(s.heard) > maxSilence }

func (s *standing) isOver(c identity.Caller) bool {
	return s.least[subject{ofUser, c.UserID}].level > c.Epoch || s.least[subject{ofSignIn, c.SignInID}].level > 0 ||
		s.least[subject{ofOrganization, c.OrganizationID}].isDisabled()
}

// apply stores changes, ends the affected streams, and calls the registered functions.
func (s *standing) apply(changes ...change) {
	s.mu.Lock()
	if s.least == nil {
		s.least = map[subject]change{}
	}
	var news []change
	for _, c := range changes {
		if c.level > s.least[c.subject].level {
			s.least[c.subject] = c
			news = append(news, c)
		}
	}
	for st := range s.streams {
		if s.isOver(st.caller) {
			st.end()
		}
	}
	s.mu.Unlock()
	for _, c := range changes {
		for _, fn := range s.listeners[c.kind] {
			fn(c.id)
		}
	}
	s.endChanged(news)
}

// endChanged ends the streams of callers whose access has changed, after new requests get the new
// access.
func (s *standing) endChanged(news []change) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for st := range s.streams {
		if isAffected(st.caller, news) {
			st.end()
		}
	}
}

// isAffected reports whether a change affects what the caller may do.
func isAffected(c identity.Caller, changes []change) bool {
	return slices.ContainsFunc(changes, func(each change) bool { return each.kind == ofPermissions && each.id == c.OrganizationID })
}

// follow starts the expiry of the revocations: at the given time all changes were loaded except
// those of transactions from upTo on.
func (s *standing) follow(at time.Time, upTo uint64) {
	s.mu.Lock()
	missed := s.follows && at.Sub(s.heard) > keepChanges
	s.follows, s.heard, s.upTo = true, at, upTo
	s.mu.Unlock()
	if missed { // changes in the gap are no longer stored; tokens of that time have expired
		for _, each := range s.listeners {
			for _, fn := range each {
				fn(uuid.Nil)
			}
		}
	}
}

// next returns the oldest transaction that may not have been loaded.
func (s *standing) next() uint64 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.upTo
}

// tidy removes changes that are older than every token. It ends all streams if the last load is
// too long ago, because their tokens may be revoked.
func (s *standing) tidy(before time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for of, c := range s.least {
		if c.at.Before(before) {
			delete(s.least, of)
		}
	}
	if s.isSilent() {
		for st := range s.streams {
			st.end()
		}
	}
}

// while returns a context that ends when the caller's token is revoked, and a function that
// releases it.
func (s *standing) while(ctx context.Context, c identity.Caller) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	st := &stream{c, cancel}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.streams == nil {
		s.streams = map[*stream]struct{}{}
	}
	s.streams[st] = struct{}{}
	if s.isOver(c) {
		cancel()
	}
	return ctx, func() {
		s.mu.Lock()
		delete(s.streams, st)
		s.mu.Unlock()
		cancel()
	}
}
