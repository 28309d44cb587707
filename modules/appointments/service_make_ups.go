package appointments

import (
	"context"
	"maps"
	"slices"

	"omnirapeutic/platform/record"
)

// missedKeys returns the missed appointments that the requests make up for: of bookings, and of make-ups
// whose time may change.
func missedKeys(requests []request, existing map[record.Key]Appointment) []record.Key {
	named := map[record.Key]bool{}
	for _, r := range flat(requests) {
		makeUpFor := r.booking.MakeUpFor
		if r.kind != book {
			makeUpFor = existing[r.key()].MakeUpFor
		}
		if makeUpFor != nil && (r.kind == book || r.kind == reschedule || r.kind == reopen) {
			named[record.Of(r.caller.OrganizationID, *makeUpFor)] = true
		}
	}
	return slices.SortedFunc(maps.Keys(named), record.Key.Compare)
}

// loadMissed reads the missed appointments that the requests make up for, with all their make-ups. It
// runs no statement if there are none.
func (s *commands) loadMissed(ctx context.Context, state *records, requests []request) error {
	keys := missedKeys(requests, state.appointments)
	missed, err := s.store.several(ctx, keys)
	if err != nil {
		return err
	}
	makeUps, err := s.store.makeUps(ctx, keys)
	for _, a := range makeUps {
		missed[a.key()] = a
	}
	state.missed = missed
	return err
}

// loadReasons reads the cancellation reasons that the requests name.
func (s *commands) loadReasons(ctx context.Context, state *records, requests []request) error {
	named := map[record.Key]bool{}
	for _, r := range requests {
		if r.cancellation != nil && r.cancellation.ReasonID != nil {
			named[record.Of(r.caller.OrganizationID, *r.cancellation.ReasonID)] = true
		}
	}
	if len(named) == 0 {
		return nil
	}
	var err error
	state.reasons, err = s.Directory.CancellationReasonsByKey(ctx, slices.SortedFunc(maps.Keys(named), record.Key.Compare))
	return err
}
