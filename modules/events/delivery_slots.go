package events

import (
	"cmp"
	"slices"

	"github.com/google/uuid"

	"omnirapeutic/platform/record"
)

// slotLimits are the numbers of slots of an instance: how many webhooks it sends to at once.
type slotLimits struct {
	total     int
	ofOne     int // for one organization
	slow      int // for webhooks whose last attempts failed
	slowOfOne int // … of one organization
	newcomers int // kept for organizations that have no slot
	tests     int // for test events; these are in addition to total
}

// slotLimitsOf derives the shares from the configuration: a quarter of all slots is for slow
// webhooks, a quarter is kept for newcomers, and an organization's slow webhooks use at
// most a quarter of its slots. Test events have further slots, a quarter as many. Each
// share has at least one slot.
func slotLimitsOf(l Limits) slotLimits {
	quarter := func(n int) int { return max(1, n/4) }
	return slotLimits{
		total: l.Slots, ofOne: l.SlotsPerOrganization,
		slow: quarter(l.Slots), slowOfOne: quarter(l.SlotsPerOrganization), newcomers: quarter(l.Slots),
		tests: quarter(l.Slots),
	}
}

// slots distribute the deliveries of an instance among webhooks. Receivers that do not
// answer delay neither other organizations' webhooks nor, for long, the other webhooks of
// their own organization. A webhook whose last attempts failed is slow until an attempt
// succeeds. Not safe for concurrent use.
type slots struct {
	shares   slotLimits
	busy     map[record.Key]bool // whether the webhook was slow when it got its slot
	failing  map[record.Key]bool
	lastTurn map[uuid.UUID]int64 // when the organization last got a slot
	turn     int64
}

func newSlots(s slotLimits) *slots {
	return &slots{shares: s, busy: map[record.Key]bool{}, failing: map[record.Key]bool{}, lastTurn: map[uuid.UUID]int64{}}
}

// take assigns slots to webhooks with due deliveries, one at a time: to responsive webhooks before
// slow ones, and among equals to the organization that has waited longest.
func (s *slots) take(due []record.Key) (taken []record.Key) {
	s.forget(due)
	for {
		next := -1
		for i, w := range due {
			//nolint:gosec // next is an index of due
			if _, busy := s.busy[w]; !busy && s.fits(w) && (next < 0 || s.compare(w, due[next]) < 0) {
				next = i
			}
		}
		if next < 0 {
			return taken
		}
		w := due[next]
		s.turn++
		s.lastTurn[w.OrganizationID] = s.turn
		s.busy[w] = s.failing[w]
		taken = append(taken, w)
	}
}

// compare orders webhooks by their claim to the next slot.
func (s *slots) compare(x, y record.Key) int {
	switch {
	case s.failing[x] == s.failing[y]:
		return cmp.Compare(s.lastTurn[x.OrganizationID], s.lastTurn[y.OrganizationID])
	case s.failing[x]:
		return 1
	}
	return -1
}

// fits reports whether there is a slot for the webhook.
func (s *slots) fits(w record.Key) bool {
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
	case len(s.busy) >= s.shares.total, own >= s.shares.ofOne:
		return false
	case own > 0 && len(s.busy) >= s.shares.total-s.shares.newcomers:
		return false
	case s.failing[w]:
		return slow < s.shares.slow && ownSlow < s.shares.slowOfOne
	case own-ownSlow >= s.shares.ofOne-s.shares.slowOfOne: // the rest is for its slow webhooks
		return false
	}
	return true
}

// release returns the slot of a webhook. failed reports that all of its last attempts failed.
func (s *slots) release(w record.Key, failed bool) {
	delete(s.busy, w)
	if failed {
		s.failing[w] = true
	} else {
		delete(s.failing, w)
	}
}

// maxRemembered limits the remembered webhooks and organizations without due deliveries.
const maxRemembered = 10_000

// forget removes webhooks and organizations without due deliveries once there are too many.
func (s *slots) forget(due []record.Key) {
	if len(s.failing) < maxRemembered && len(s.lastTurn) < maxRemembered {
		return
	}
	for w := range s.failing {
		if !slices.Contains(due, w) {
			delete(s.failing, w)
		}
	}
	clear(s.lastTurn)
}
