package events

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/sirupsen/logrus"

	"omnirapeutic/platform/db"
)

// channel is where instances tell each other how far streams have come.
const channel = "omnirapeutic_events"

// Bounds of one transaction of the relay.
const (
	maxStreams = 100
	maxBatch   = 500 // events of one stream
)

// relay moves what is published into the streams until the context ends. It is
// woken by publishers of its own process, after their commit. Once in a while it
// looks by itself: for what an instance has left behind that was killed after a
// commit, and for what other instances have moved.
func (s *Service) relay(ctx context.Context) {
	poll := time.NewTicker(s.tuning.Poll)
	defer poll.Stop()
	for {
		n, err := s.Relay(ctx)
		if n > 0 {
			s.pace.moved()
		}
		if err == nil {
			err = s.catchUp(ctx)
		}
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			s.logger.WithFields(logrus.Fields{"event": "relay_failed", "error": err}).Warn("events could not be moved; they wait in the outbox")
		}
		wake := s.outbox
		if err != nil {
			wake = nil // not before the next look, however much is published
		}
		select {
		case <-ctx.Done():
			return
		case <-poll.C:
		case <-wake: // what else is committed meanwhile goes in the same transaction
			if !s.pace.rest(ctx) {
				return
			}
		}
	}
}

// Relay moves everything that waits in the outbox and that no other instance is
// moving, and returns in how many transactions it moved something.
//
// They are READ COMMITTED: the outbox is a queue, written by SERIALIZABLE
// transactions that must not meet its reader (as predicate locks of one would
// make the other fail). Instances exclude each other by the row of the stream.
// Telling other instances is left to this transaction, since a NOTIFY holds a
// lock of the whole server from before its COMMIT to after it, behind which the
// transactions of users would queue.
func (s *Service) Relay(ctx context.Context) (int, error) {
	for n := 1; ; n++ {
		full := false
		done, err := db.ReadCommitted(ctx, s.database, "events.relay", func(ctx context.Context) ([]moved, error) {
			locked, err := s.store.lockStreams(ctx, maxStreams)
			if err != nil || len(locked) == 0 {
				return nil, err
			}
			full = len(locked) == maxStreams
			return s.store.move(ctx, locked, maxBatch, s.now())
		}, db.AllOrganizations())
		if err != nil || len(done) == 0 {
			return n - 1, err
		}
		for _, m := range done {
			s.streams.advance(m.head())
			full = full || m.Events == maxBatch
			if m.Deliveries > 0 {
				signal(s.due)
			}
		}
		if !full {
			return n, nil // what has come meanwhile wakes the relay again
		}
	}
}

// catchUp tells streams of what other instances have moved, in case their
// notifications were lost. It asks nothing while nobody listens.
func (s *Service) catchUp(ctx context.Context) error {
	watched := s.streams.watched()
	if len(watched) == 0 {
		return nil
	}
	found, err := db.Snapshot(ctx, s.database, "events.heads", func(ctx context.Context) ([]head, error) {
		return s.store.heads(ctx, watched)
	}, db.AllOrganizations())
	s.streams.advance(found...)
	return err
}

// listener is the service as it is told of what other instances have moved.
type listener Service

// Connected implements [db.Listener].
func (l *listener) Connected() { l.streams.wakeAll() }

// Notified implements [db.Listener].
func (l *listener) Notified(payload string) {
	if h, ok := parseHead(payload); ok {
		l.pace.movedElsewhere()
		l.streams.advance(h) // who moved them delivers them to webhooks
	}
}

// Lost implements [db.Listener].
func (l *listener) Lost(err error) {
	l.logger.WithFields(logrus.Fields{"event": "listen_lost", "error": err}).
		Warn("other instances cannot be heard for now; events of theirs come a little later")
}

// parseHead reads what [store.move] tells other instances.
func parseHead(text string) (head, bool) {
	id, position, _ := strings.Cut(text, " ")
	organization, err := uuid.Parse(id)
	if err != nil {
		return head{}, false
	}
	last, err := strconv.ParseInt(position, 10, 64)
	return head{organization, last}, err == nil
}
