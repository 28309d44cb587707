package revocation

import (
	"context"
	"time"

	"github.com/sirupsen/logrus"

	"omnirapeutic/platform/db"
)

// loadTimeout limits one load.
const loadTimeout = 3 * time.Second

// LoadRevocations loads the revocations since the last call. After the first call it must be repeated
// every second: if no call succeeds for five seconds, [Service.Check] refuses all tokens.
func (s *Service) LoadRevocations(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, loadTimeout)
	defer cancel()
	began := time.Now() //nolint:forbidigo // real time, independent of the clock
	since := s.known.next()
	found, upTo, err := s.changesSince(ctx, since)
	if err == nil && upTo < since { // another or restored database: transaction numbers start over
		found, upTo, err = s.changesSince(ctx, 0)
	}
	if err != nil {
		return err
	}
	s.known.apply(found...)
	s.known.loaded(began, upTo)
	s.known.tidy(s.clock.Now().Add(-Keep))
	return nil
}

func (s *Service) changesSince(ctx context.Context, mark uint64) (found []change, upTo uint64, err error) {
	load := func(ctx context.Context) (found []change, err error) {
		found, upTo, err = s.store.changesSince(ctx, mark)
		return found, err
	}
	found, err = db.Snapshot(ctx, s.database, "access.load-revocations", load, db.AllOrganizations())
	return found, upTo, err
}

// Announced signals that another instance has announced revocations; see [Service.Listen].
func (s *Service) Announced() <-chan struct{} { return s.announced }

// Listen receives notifications of other instances until the context ends. Without it their
// revocations arrive up to a second late.
func (s *Service) Listen(ctx context.Context) {
	s.database.Listen(ctx, notifyChannel, listener{s.announced, s.logger})
}

// listener signals that another instance has announced revocations.
type listener struct {
	announced chan<- struct{}
	logger    logrus.FieldLogger
}

func (l listener) signal() {
	select {
	case l.announced <- struct{}{}:
	default: // a signal is already pending
	}
}

// Connected implements [db.Listener].
func (l listener) Connected() { l.signal() }

// Notified implements [db.Listener].
func (l listener) Notified(string) { l.signal() }

// Lost implements [db.Listener].
func (l listener) Lost(err error) {
	l.logger.WithFields(logrus.Fields{"event": "listen_lost", "error": err}).
		Warn("cannot receive notifications of other instances; their revocations arrive up to a second late")
}
