package events

import (
	"cmp"
	"slices"

	"github.com/google/uuid"
)

// How many webhooks an instance sends to at once, see [slots].
const (
	maxServed          = 32
	maxPerOrganization = 8 // of one organization
	maxSlow            = 8 // of those whose last attempts failed
	maxSlowOfOne       = 2 // … of one organization
	// keptForOthers is how many of the slots only organizations get that have none.
	keptForOthers = 8
)

// slots share out the deliveries of an instance among webhooks, so that one
// organization's receivers that do not answer hold up neither those of others nor its own
// that do. A webhook whose last attempts failed is slow, until one succeeds: slow webhooks
// have few slots together. Not safe for concurrent use.
type slots struct {
	busy    map[dueWebhook]bool // whether it was slow when it got its slot
	failing map[dueWebhook]bool
	turn    map[uuid.UUID]int64 // when the organization last got a slot
	turns   int64
}

func newSlots() *slots {
	return &slots{busy: map[dueWebhook]bool{}, failing: map[dueWebhook]bool{}, turn: map[uuid.UUID]int64{}}
}

// take gives slots to some of the webhooks that have something due: one after the other to
// the organization that has waited longest, to those first that answer.
func (s *slots) take(due []dueWebhook) (taken []dueWebhook) {
	s.forget(due)
	for {
		next := -1
		for i, w := range due {
			if _, busy := s.busy[w]; !busy && s.fits(w) && (next < 0 || s.compare(w, due[next]) < 0) { //nolint:gosec // next is an index of due
				next = i
			}
		}
		if next < 0 {
			return taken
		}
		w := due[next]
		s.turns++
		s.turn[w.OrganizationID] = s.turns
		s.busy[w] = s.failing[w]
		taken = append(taken, w)
	}
}

// compare orders webhooks by who gets a slot first.
func (s *slots) compare(x, y dueWebhook) int {
	switch {
	case s.failing[x] == s.failing[y]:
		return cmp.Compare(s.turn[x.OrganizationID], s.turn[y.OrganizationID])
	case s.failing[x]:
		return 1
	}
	return -1
}

// fits reports whether there is a slot for the webhook.
func (s *slots) fits(w dueWebhook) bool {
	var own, slow, ownSlow int
	for b, isSlow := range s.busy {
		if b.OrganizationID == w.OrganizationID {
			own++
		}
		if isSlow {
			slow++
			if b.OrganizationID == w.OrganizationID {
				ownSlow++
			}
		}
	}
	switch {
	case len(s.busy) >= maxServed, own >= maxPerOrganization:
		return false
	case own > 0 && len(s.busy) >= maxServed-keptForOthers:
		return false
	case s.failing[w]:
		return slow < maxSlow && ownSlow < maxSlowOfOne
	case own-ownSlow >= maxPerOrganization-maxSlowOfOne: // what is left is for its slow ones
		return false
	}
	return true
}

// give returns the slot of a webhook, all of whose last attempts failed, or not.
func (s *slots) give(w dueWebhook, failed bool) {
	delete(s.busy, w)
	if failed {
		s.failing[w] = true
	} else {
		delete(s.failing, w)
	}
}

// maxRemembered bounds what is remembered of webhooks and organizations without work.
const maxRemembered = 10_000

// forget drops what is remembered of those that have nothing due, where it has become much.
func (s *slots) forget(due []dueWebhook) {
	if len(s.failing) < maxRemembered && len(s.turn) < maxRemembered {
		return
	}
	for w := range s.failing {
		if !slices.Contains(due, w) {
			delete(s.failing, w)
		}
	}
	clear(s.turn)
}
