package revocation

import (
	"context"
	"time"

	"github.com/sirupsen/logrus"

	"omnirapeutic/platform/db"
)

const (
	// pollEvery is the interval for loading revocations without a notification.
	pollEvery = time.Second
	// pollTimeout limits one load.
	pollTimeout = 3 * time.Second
)

// LoadRevocations loads the revocations since the last call. After the first call, [Service.Run] must
// repeat it: if no call succeeds for five seconds, [Service.Check] refuses all tokens.
func (s *Service) LoadRevocations(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, pollTimeout)
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
	return nil
}

func (s *Service) changesSince(ctx context.Context, transaction uint64) (found []change, upTo uint64, err error) {
	found, err = db.Snapshot(ctx, s.database, "access.load-revocations", func(ctx context.Context) (found []change, err error) {
		found, upTo, err = s.store.changesSince(ctx, transaction)
		return found, err
	}, db.AllOrganizations())
	return found, upTo, err
}

// Run loads the revocations of other instances, each second and at every notification, until the
// context ends. Any number of instances may run at once.
func (s *Service) Run(ctx context.Context) {
	wake := make(chan struct{}, 1)
	listening := make(chan struct{})
	go func() {
		defer close(listening)
		s.database.Listen(ctx, notifyChannel, listener{wake, s.logger})
	}()
	defer func() { <-listening }()
	poll := time.NewTicker(pollEvery)
	defer poll.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-poll.C:
		case <-wake:
		}
		if err := s.LoadRevocations(ctx); err != nil && ctx.Err() == nil {
			s.logger.WithFields(logrus.Fields{"event": "access_unknown", "error": err}).
				Warn("cannot load the revocations of other instances; all access tokens will be refused soon")
		}
		s.known.tidy(s.clock.Now().Add(-Keep))
	}
}

// listener polls when another instance publishes a change.
type listener struct {
	wake   chan<- struct{}
	logger logrus.FieldLogger
}

func (l listener) signal() {
	select {
	case l.wake <- struct{}{}:
	default: // a poll is already due
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
