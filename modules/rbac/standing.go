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

// ErrTokenNotChecked says that this instance has not heard for too long what was
// revoked. It would rather let nobody in than somebody whose token was.
var ErrTokenNotChecked = fault.Define(fault.Unavailable, "token-not-checked", "Whether the access token still holds cannot be found out at this moment. Nothing has been changed; try again soon.").
	Advising("Wait as `Retry-After` says and send the same request with the same `Idempotency-Key`.")

// kind says of what a [change] is.
type kind string

const (
	ofUser   kind = "user"    // the level is the least epoch of tokens that is good
	ofSignIn kind = "sign-in" // at level 1 it is over
	// ofOrganization: whether anybody is let in. The level rises with each switch; while it
	// is odd, nobody is. See [Service.Switched].
	ofOrganization kind = "organization"
	// ofPermissions: what roles may do in an organization. Tokens hold on, and are worth
	// something else; the level counts the changes.
	ofPermissions kind = "permissions"
)

// subject is what changes are of.
type subject struct {
	kind kind
	id   uuid.UUID
}

// change says that of the subject nothing below the level is good any more. Levels
// only rise, so it does not matter how often one is heard, nor in which order.
type change struct {
	subject
	level int64
	at    time.Time
}

// isShut reports whether the change is one of an organization that was disabled.
func (c change) isShut() bool { return c.level%2 == 1 }

// switchLevel is the level of an organization that was disabled, or enabled, by the
// change that made it the version.
func switchLevel(version int, disabled bool) int64 {
	level := 2 * int64(version)
	if disabled {
		level++
	}
	return level
}

// Times of the knowledge of changes.
const (
	// pollEvery is how often an instance looks for changes that it was not told of.
	pollEvery = time.Second
	// pollTimeout is how long one look may take.
	pollTimeout = 3 * time.Second
	// maxSilence is for how long nothing may be heard before tokens are checked no more.
	maxSilence = 5 * time.Second
	// keepChanges is how long changes are kept: longer than the longest access token
	// that may be configured, 24 hours, lives.
	keepChanges = 25 * time.Hour
)

// standing is what this instance knows of who may not do any more what their token
// says. It is in memory, so that to check a token asks no database. It is right at
// once about what this instance has changed, and about others' a moment later, see
// [Service.Run]. The zero value knows of no change and never falls silent. Safe
// for concurrent use.
type standing struct {
	mu      sync.RWMutex
	least   map[subject]change
	heard   time.Time // real time of the last complete look; zero: nobody looks, see follow
	follows bool
	upTo    uint64 // the oldest transaction that may not have been seen
	streams map[*stream]struct{}
	told    map[kind][]func(id uuid.UUID)
}

// stream is a caller whose request goes on for long.
type stream struct {
	caller identity.Caller
	end    context.CancelFunc
}

// on has fn called whenever something of the kind has changed, with its id, or with
// [uuid.Nil] where anything may have. fn must not block, and may be called several
// times for one change. To be called before anything else.
func (s *standing) on(k kind, fn func(id uuid.UUID)) {
	if s.told == nil {
		s.told = map[kind][]func(uuid.UUID){}
	}
	s.told[k] = append(s.told[k], fn)
}

// check returns an error unless what the caller's token says still holds.
func (s *standing) check(c identity.Caller) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.isSilent() {
		return ErrTokenNotChecked
	}
	if s.isOver(c) {
		return identity.ErrUnauthenticated.With(nil, "The access token holds no more: somebody has signed out, or what it says has changed. Sign in again.")
	}
	return nil
}

// isFollowed reports whether somebody looks for what was changed.
func (s *standing) isFollowed() bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.follows
}

// isSilent reports whether nothing was heard for too long. Of real time: whatever
// the clock says, it goes on.
func (s *standing) isSilent() bool { return s.follows && time.Since(s.heard) > maxSilence }

func (s *standing) isOver(c identity.Caller) bool {
	return s.least[subject{ofUser, c.UserID}].level > c.Epoch || s.least[subject{ofSignIn, c.SignInID}].level > 0 ||
		s.least[subject{ofOrganization, c.OrganizationID}].isShut()
}

// apply takes note of changes, ends the streams that they concern, and tells those
// who want to know.
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
		for _, fn := range s.told[c.kind] {
			fn(c.id)
		}
	}
	s.endChanged(news)
}

// endChanged ends the streams of those who may do something else now, once whoever
// comes back is let in by that.
func (s *standing) endChanged(news []change) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for st := range s.streams {
		if isMeant(st.caller, news) {
			st.end()
		}
	}
}

// isMeant reports whether what the caller may do is among the changes: a stream was
// opened by what they could do before.
func isMeant(c identity.Caller, changes []change) bool {
	return slices.ContainsFunc(changes, func(each change) bool { return each.kind == ofPermissions && each.id == c.OrganizationID })
}

// follow says from when on somebody looks: at the time given everything was known
// but what transactions from the given one on do.
func (s *standing) follow(at time.Time, upTo uint64) {
	s.mu.Lock()
	missed := s.follows && at.Sub(s.heard) > keepChanges
	s.follows, s.heard, s.upTo = true, at, upTo
	s.mu.Unlock()
	if missed { // what changed meanwhile is kept nowhere; tokens of that time are over by themselves
		for _, each := range s.told {
			for _, fn := range each {
				fn(uuid.Nil)
			}
		}
	}
}

// next is the oldest transaction that may not have been seen.
func (s *standing) next() uint64 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.upTo
}

// tidy removes what is older than any token, and ends every stream when nothing
// was heard for too long: nobody can tell whether they may go on.
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

// while returns a context that ends when the caller's token is revoked, and how to
// give it back.
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
