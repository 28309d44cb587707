package events

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sirupsen/logrus"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/httpx"
	"omnirapeutic/platform/identity"
)

// Numbers of events that are read at once: for one listener, and for the tail of all listeners.
const (
	maxPage     = 100
	maxTailPage = 500
)

// opening returns the first event of a stream, after the requested position or from now on if there is
// none. It also returns the newest position.
func (s *Service) opening(ctx context.Context, requested *int64) (opening StreamOpening, newest int64, err error) {
	opening, err = db.Snapshot(ctx, s.database, "events.open", func(ctx context.Context) (StreamOpening, error) {
		oldest, last, err := s.store.oldestAndNewest(ctx)
		newest = last
		opening := StreamOpening{ID: newest, Type: OpeningReady}
		switch {
		case requested == nil:
		// no longer kept, or from another organization or a restored database
		case *requested+1 < oldest || *requested > newest:
			opening.Type = OpeningReset
		default:
			opening.ID = *requested
		}
		return opening, err
	})
	return opening, newest, err
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

// page reads some events of the caller's organization after a position that pass the filter. Without a
// filter it reads all. upTo is the position up to which they are complete.
func (s *Service) page(
	ctx context.Context, filter *streamFilter, after int64, limit int,
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
		return s.store.eventsAfter(ctx, after, upTo, filter, limit)
	})
	if len(page) == limit {
		upTo = page[limit-1].Position
	}
	return page, max(upTo, after), err
}

// readTime limits one read of a stream for its listeners.
const readTime = 10 * time.Second

// extend reads the new events of streams in the background, once for all listeners of a stream.
func (s *Service) extend(streams ...*liveStream) {
	for _, stream := range streams {
		go s.extendOne(stream)
	}
}

// extendOne reads until the stream's tail has all events. It acts for the program itself: each listener
// filters the events by its own permissions. After a failure, the next look of the relay starts it again.
func (s *Service) extendOne(stream *liveStream) {
	for {
		after, head := s.streams.wanted(stream)
		page, upTo, err := s.readTail(stream, after)
		if err != nil {
			if s.streams.stopped(stream) {
				s.logger.WithFields(logrus.Fields{
					"event": "stream_read_failed", "organization_id": stream.organization, "error": err,
				}).Warn("cannot read new events for listeners; they arrive later")
			}
			return
		}
		if !s.streams.extend(stream, page, upTo, head, len(page) == maxTailPage) {
			return
		}
	}
}

// readTail reads and encodes some events of a stream after a position.
func (s *Service) readTail(stream *liveStream, after int64) (events []tailEvent, upTo int64, err error) {
	ctx, cancel := context.WithTimeout(identity.With(context.Background(), identity.System(stream.organization)), readTime)
	defer cancel()
	page, upTo, err := s.page(ctx, nil, after, maxTailPage)
	if err != nil {
		return nil, after, err
	}
	events = make([]tailEvent, len(page))
	for i, e := range page {
		frame, err := httpx.Encode(httpx.Event{ID: e.Position, Name: e.Type, Data: e})
		if err != nil {
			return nil, after, err
		}
		events[i] = tailEvent{position: e.Position, kind: e.Type, permission: e.Permission, frame: frame}
	}
	return events, upTo, nil
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
