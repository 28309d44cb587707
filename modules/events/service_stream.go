package events

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/httpx"
	"omnirapeutic/platform/identity"
)

// maxPage is the number of events that a stream reads and writes at once.
const maxPage = 100

// opening returns the first event of a stream: after the requested position, or from now on if
// there is none.
func (s *Service) opening(ctx context.Context, requested *int64) (httpx.Event, error) {
	return db.Snapshot(ctx, s.database, "events.open", func(ctx context.Context) (httpx.Event, error) {
		oldest, newest, err := s.store.oldestAndNewest(ctx)
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
		if _, upTo, err = s.store.oldestAndNewest(ctx); err != nil || upTo <= after {
			return nil, err
		}
		return s.store.eventsAfter(ctx, after, upTo, types, readable(caller), maxPage)
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
