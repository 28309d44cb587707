package events

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/httpx"
	"omnirapeutic/platform/identity"
)

// OpeningType is the type of the first event of a stream.
type OpeningType string

// The types of the first event of a stream.
const (
	OpeningReady OpeningType = "ready" // The stream continues after this id.
	OpeningReset OpeningType = "reset" // Events after the requested id are no longer kept: read everything again.
)

// maxPage is how many events a stream reads and writes at once.
const maxPage = 100

// listen is one reader's stream, from the opening until the reader goes, the
// access token expires, or the server stops.
func (s *Service) listen(ctx context.Context, in streamRequest, out *httpx.Feed) error {
	caller, err := identity.From(ctx)
	if err != nil {
		return err
	}
	if caller.ExpiredAt(s.clock()) { // the clock of another server may be behind, and the token just pass; the stream would end at once
		return identity.ErrUnauthenticated.With(nil, "The access token has expired. Sign in again.")
	}
	if err := s.checkTypes(in.Types); err != nil {
		return err
	}
	// Before the position is read, so that nothing falls between the two.
	place, err := s.streams.watch(caller.OrganizationID, caller.UserID)
	if err != nil {
		return err
	}
	defer s.streams.leave(place)
	opening, err := s.opening(ctx, in.position())
	if err != nil {
		return err
	}
	if err := out.Send(opening); err != nil {
		return err
	}
	after := opening.ID
	heartbeat := time.NewTicker(s.tuning.Heartbeat)
	defer heartbeat.Stop()
	expired, stop := s.untilExpiry(caller)
	defer stop()
	for {
		if after, err = s.catchUpReader(ctx, caller, in.Types, after, out); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-expired:
			return nil
		case <-place.news:
		case <-heartbeat.C:
			if caller.ExpiredAt(s.clock()) { // timers do not know that a machine slept
				return nil
			}
			if err := out.Beat(after); err != nil {
				return err
			}
		}
	}
}

// untilExpiry returns a channel that tells when the caller's access token is over.
func (s *Service) untilExpiry(caller identity.Caller) (<-chan time.Time, func() bool) {
	if caller.Until.IsZero() {
		return nil, func() bool { return true }
	}
	timer := time.NewTimer(caller.Until.Sub(s.clock()))
	return timer.C, timer.Stop
}

// opening says where a stream begins: after the position that was asked for, or
// from now on where none was.
func (s *Service) opening(ctx context.Context, asked *int64) (httpx.Event, error) {
	return db.Snapshot(ctx, s.database, "events.open", func(ctx context.Context) (httpx.Event, error) {
		oldest, newest, err := s.store.span(ctx)
		opening := StreamOpening{ID: newest, Type: OpeningReady}
		switch {
		case asked == nil:
		case *asked+1 < oldest || *asked > newest: // swept meanwhile; or of another organization, or of a database that was restored
			opening.Type = OpeningReset
		default:
			opening.ID = *asked
		}
		return httpx.Event{ID: opening.ID, Name: string(opening.Type), Data: opening}, err
	})
}

// StreamOpening is the data of the first event of a stream.
type StreamOpening struct {
	ID   int64       `json:"id"` // The position after which the stream continues.
	Type OpeningType `json:"type"`
}

// catchUpReader writes everything after a position that the caller may see, page
// by page, and returns how far it came.
func (s *Service) catchUpReader(ctx context.Context, caller identity.Caller, types []string, after int64, out *httpx.Feed) (int64, error) {
	for {
		page, upTo, err := s.page(ctx, caller, types, after)
		if err != nil {
			return after, err
		}
		shown := make([]httpx.Event, len(page))
		for i, e := range page {
			shown[i] = httpx.Event{ID: e.Position, Name: e.Type, Data: e}
		}
		if err := out.Send(shown...); err != nil {
			return after, err
		}
		after = upTo
		if len(page) < maxPage {
			return after, nil
		}
	}
}

// readable are the permissions whose events the caller may read: those that they hold
// for the whole organization, as an event says nothing of whose it is. Sorted, so that
// statements are the same each time.
func readable(caller identity.Caller) []identity.Permission {
	held := make([]identity.Permission, 0, len(caller.Permissions))
	for p, scope := range caller.Permissions {
		if scope.Has(identity.Organization) {
			held = append(held, p)
		}
	}
	slices.Sort(held)
	return held
}

// page reads some events after a position and says up to which position these are all.
func (s *Service) page(ctx context.Context, caller identity.Caller, types []string, after int64) (page []Event, upTo int64, err error) {
	select {
	case s.readers <- struct{}{}:
		defer func() { <-s.readers }()
	case <-ctx.Done():
		return nil, after, ctx.Err()
	}
	page, err = db.Snapshot(ctx, s.database, "events.read", func(ctx context.Context) ([]Event, error) {
		if _, upTo, err = s.store.span(ctx); err != nil || upTo <= after {
			return nil, err
		}
		return s.store.after(ctx, after, upTo, types, readable(caller), maxPage)
	})
	if len(page) == maxPage {
		upTo = page[maxPage-1].Position
	}
	return page, max(upTo, after), err
}

// checkTypes refuses types of events that there are not: a filter that is
// misspelt must not become silence.
func (s *Service) checkTypes(types []string) error {
	names := make([]string, len(s.types))
	for i, t := range s.types {
		names[i] = t.Name
	}
	var wrong []fault.Field
	for i, t := range types {
		if !slices.Contains(names, t) {
			wrong = append(wrong, fault.Field{
				Field: fmt.Sprintf("types[%d]", i), Code: "oneof", Message: "must be one of " + strings.Join(names, ", "),
			})
		}
	}
	if len(wrong) > 0 {
		return fault.InvalidFields(wrong...)
	}
	return nil
}
