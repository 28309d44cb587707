package events

import (
	"context"
	"strconv"
	"strings"

	"github.com/google/uuid"
	"github.com/sirupsen/logrus"

	"omnirapeutic/platform/db"
)

// notifyChannel is the notification channel for the heads of streams.
const notifyChannel = "omnirapeutic_events"

// Limits of one transaction of the relay.
const (
	maxStreams = 100
	maxBatch   = 500 // events of one stream
)

// Published signals that this process has published events, after their commit.
func (s *Service) Published() <-chan struct{} { return s.outbox }

// Gather waits after [Service.Published] for more events. It returns false if the context ends.
func (s *Service) Gather(ctx context.Context) bool { return s.pace.wait(ctx) }

// Relay moves published events into the streams, and returns their number. It moves the events
// of this process and of killed instances. It also wakes streams whose events other instances have moved, in
// case notifications were lost. Any number of instances may run it at once.
func (s *Service) Relay(ctx context.Context) (int64, error) {
	events, err := s.move(ctx)
	if events > 0 {
		s.pace.moved()
	}
	if err != nil {
		return events, err
	}
	return events, s.catchUp(ctx)
}

// move moves all events in the outbox that no other instance is moving, and returns their number.
//
// Its transactions are READ COMMITTED: the outbox is a queue that SERIALIZABLE transactions
// write. The predicate locks of a SERIALIZABLE reader would make them fail. Instances exclude
// each other by the row of the stream. This transaction notifies the other instances, not the
// publishing one: a NOTIFY holds a server-wide lock during the COMMIT, and users' transactions
// would queue behind it.
func (s *Service) move(ctx context.Context) (events int64, err error) {
	for {
		full := false
		results, err := db.ReadCommitted(ctx, s.database, "events.relay", func(ctx context.Context) ([]moveResult, error) {
			locked, err := s.store.lockStreams(ctx, maxStreams)
			if err != nil || len(locked) == 0 {
				return nil, err
			}
			full = len(locked) == maxStreams
			return s.store.move(ctx, locked, maxBatch, s.now())
		}, db.AllOrganizations())
		if err != nil || len(results) == 0 {
			return events, err
		}
		for _, m := range results {
			s.extend(s.streams.advance(m.head())...)
			events += int64(m.Events)
			full = full || m.Events == maxBatch
			if m.Deliveries > 0 {
				signal(s.due)
			}
		}
		if !full {
			return events, nil // events that arrive meanwhile wake the relay again
		}
	}
}

// catchUp wakes streams whose events other instances have moved, in case notifications were lost.
// It makes no query while there are no streams.
func (s *Service) catchUp(ctx context.Context) error {
	watched := s.streams.organizations()
	if len(watched) == 0 {
		return nil
	}
	found, err := db.Snapshot(ctx, s.database, "events.heads", func(ctx context.Context) ([]head, error) {
		return s.store.heads(ctx, watched)
	}, db.AllOrganizations())
	s.extend(s.streams.advance(found...)...)
	return err
}

// listener receives notifications of events that other instances have moved.
type listener Service

// Connected implements [db.Listener].
func (l *listener) Connected() { (*Service)(l).extend(l.streams.all()...) }

// Notified implements [db.Listener].
func (l *listener) Notified(payload string) {
	if h, ok := parseHead(payload); ok {
		l.pace.movedElsewhere()
		(*Service)(l).extend(l.streams.advance(h)...) // the instance that moved them also delivers to webhooks
	}
}

// Lost implements [db.Listener].
func (l *listener) Lost(err error) {
	l.logger.WithFields(logrus.Fields{"event": "listen_lost", "error": err}).
		Warn("cannot receive notifications of other instances; their events arrive slightly later")
}

// parseHead parses a notification of [store.move].
func parseHead(text string) (head, bool) {
	id, position, _ := strings.Cut(text, " ")
	organization, err := uuid.Parse(id)
	if err != nil {
		return head{}, false
	}
	last, err := strconv.ParseInt(position, 10, 64)
	return head{organization, last}, err == nil
}
