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

// maxPage is the number of events that a stream reads and writes at once.
const maxPage = 100

// listen serves one stream until the reader disconnects, the access token expires, or the server
// stops.
func (s *Service) listen(ctx context.Context, in streamRequest, out *httpx.Feed) error {
	caller, err := identity.From(ctx)
	if err != nil {
		return err
	}
	// another server's clock may be behind, so the token was accepted; the stream would end immediately
	if caller.ExpiredAt(s.clock()) {
		return identity.ErrUnauthenticated.With(nil, "The access token has expired. Sign in again.")
	}
	if err := s.checkTypes(in.Types); err != nil {
		return err
	}
	// Before the position is read, so that no event is missed in between.
	watch, err := s.streams.watch(caller.OrganizationID, caller.UserID)
	if err != nil {
		return err
	}
	defer s.streams.leave(watch)
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
		case <-watch.news:
		case <-heartbeat.C:
			if caller.ExpiredAt(s.clock()) { // timers ignore the time during which a machine was suspended
				return nil
			}
			if err := out.Beat(after); err != nil {
				return err
			}
		}
	}
}

// untilExpiry returns a channel that signals the expiry of the caller's access token.
func (s *Service) untilExpiry(caller identity.Caller) (<-chan time.Time, func() bool) {
	if caller.Until.IsZero() {
		return nil, func() bool { return true }
	}
	timer := time.NewTimer(caller.Until.Sub(s.clock()))
	return timer.C, timer.Stop
}

// opening returns the first event of a stream: after the requested position, or from now on if
// there is none.
func (s *Service) opening(ctx context.Context, requested *int64) (httpx.Event, error) {
	return db.Snapshot(ctx, s.database, "events.open", func(ctx context.Context) (httpx.Event, error) {
		oldest, newest, err := s.store.span(ctx)
		opening := StreamOpening{ID: newest, Type: OpeningReady}
		switch {
		case requested == nil:
		// no longer kept, or from another organization or a restored database
		case *requested+1 < oldest || *requested > newest:
			opening.Type = OpeningReset
		default:
			opening.ID = *requested
		}
		return httpx.Event{ID: opening.ID, Name: string(opening.Type), Data: opening}, err
	})
}

// StreamOpening is the data of the first event of a stream.
type StreamOpening struct {
	ID   int64       `json:"id"`   // The position after which the stream continues.
	Type OpeningType `json:"type"` // The type of the event.
}

// catchUpReader writes all events after a position that the caller may read, page by page, and
// returns the last position.
func (s *Service) catchUpReader(
	ctx context.Context, caller identity.Caller, types []string, after int64, out *httpx.Feed,
) (int64, error) {
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

// readable returns the permissions whose events the caller may read. The caller must hold them for the
// whole organization, because an event does not name its owner. They are sorted, so that
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

// page reads some events after a position. upTo is the position up to which they are complete.
func (s *Service) page(
	ctx context.Context, caller identity.Caller, types []string, after int64,
) (page []Event, upTo int64, err error) {
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

// checkTypes refuses unknown event types. Otherwise a misspelled filter would silently match
// nothing.
func (s *Service) checkTypes(types []string) error {
	names := make([]string, len(s.types))
	for i, t := range s.types {
		names[i] = t.Name
	}
	var fieldErrors []fault.Field
	for i, t := range types {
		if !slices.Contains(names, t) {
			fieldErrors = append(fieldErrors, fault.Field{
				Field: fmt.Sprintf("types[%d]", i), Code: "oneof", Message: "must be one of " + strings.Join(names, ", "),
			})
		}
	}
	if len(fieldErrors) > 0 {
		return fault.InvalidFields(fieldErrors...)
	}
	return nil
}
