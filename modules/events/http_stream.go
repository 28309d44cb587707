package events

import (
	"context"
	"net/http"
	"slices"
	"time"

	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/httpx"
	"omnirapeutic/platform/identity"
)

type streamRequest struct {
	LastEventID *int64 `header:"Last-Event-ID" validate:"omitempty,min=0"`
	// The id of the last received event, for clients that cannot set headers on the first
	// connect.
	After *int64 `query:"lastEventId" validate:"omitempty,min=0"`
	// The types of the events to stream. The default is all.
	Types []string `query:"types" validate:"max=50"`
}

// position returns the header's position if both are given: a reconnecting client sends the
// header along with its original URL.
func (r streamRequest) position() *int64 {
	if r.LastEventID != nil {
		return r.LastEventID
	}
	return r.After
}

// OpeningType is the type of the first event of a stream.
type OpeningType string

// The types of the first event of a stream.
const (
	OpeningReady OpeningType = "ready" // The stream continues after this id.
	OpeningReset OpeningType = "reset" // Events after the requested id are no longer kept: read everything again.
)

// StreamOpening is the data of the first event of a stream.
type StreamOpening struct {
	ID   int64       `json:"id"`   // The position after which the stream continues.
	Type OpeningType `json:"type"` // The type of the event.
}

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
	watch, err := s.streams.add(caller.OrganizationID, caller.UserID)
	if err != nil {
		return err
	}
	defer s.streams.remove(watch)
	opening, newest, err := s.opening(ctx, in.position())
	if err != nil {
		return err
	}
	if err := out.Send(httpx.Event{ID: opening.ID, Name: string(opening.Type), Data: opening}); err != nil {
		return err
	}
	if s.streams.start(watch, newest) {
		s.extend(watch.stream)
	}
	filter := streamFilter{types: in.Types, permissions: readable(caller)}
	after := opening.ID
	heartbeat := time.NewTicker(s.tuning.Heartbeat)
	defer heartbeat.Stop()
	expired, stop := s.untilExpiry(caller)
	defer stop()
	for {
		if after, err = s.catchUpReader(ctx, watch, filter, after, out); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-expired:
			return nil
		case <-watch.wake:
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

// catchUpReader writes all events after a position that pass the filter, and returns the last position.
// It takes them from the stream's tail. Events before the tail come from the database, page by page.
func (s *Service) catchUpReader(
	ctx context.Context, watch *watcher, filter streamFilter, after int64, out *httpx.Feed,
) (int64, error) {
	for {
		if events, upTo, ok := watch.after(after); ok {
			for part := range slices.Chunk(events, maxPage) {
				if err := out.SendFrames(filter.framesOf(part)...); err != nil {
					return after, err
				}
			}
			return upTo, nil
		}
		page, upTo, err := s.page(ctx, &filter, after, maxPage)
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
		if upTo == after { // the tail is newer than the database, which was restored
			return after, nil
		}
		after = upTo
	}
}

func (s *Service) streamRoute() httpx.Route {
	return httpx.Route{
		Reads: "event", Name: "listenToEvents", Method: http.MethodGet, Path: "/events", Permission: httpx.SignedIn,
		Summary: "Listen to events",
		Description: "Server-sent events about changes in the caller's organization, in the order of their commits. " +
			"The stream contains the events that the caller may read. Each event has an `id`. " +
			"A client that reconnects with `Last-Event-ID` receives every later event exactly once. " +
			"The first event is `ready`, which contains the current position, or `reset` when missed events are no longer " +
			"kept: then read everything again. The stream ends when the access token expires. " +
			"The schema describes the JSON in `data`.",
		Refusals: []*fault.Error{ErrTooManyStreams}, Endpoint: httpx.Stream(s.tuning.Patience, s.listen),
	}
}
