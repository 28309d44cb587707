package db

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/sirupsen/logrus"
)

const (
	// watchInterval is the interval between two looks at both servers. It is also the accuracy of lags.
	watchInterval = 250 * time.Millisecond
	// watchTimeout limits one look at one server.
	watchTimeout = time.Second
)

// watch samples the primary and looks at the standby until the context ends. While the standby cannot be
// used, no read waits for it. When it stops answering, running reads end.
func (s *standby) watch(ctx context.Context) {
	interval := min(watchInterval, max(s.maxLag/4, time.Millisecond))
	var own *pgx.Conn // of the looks, so that they do not wait for reads
	for {
		_ = s.bounded(ctx, s.history.sample) // without a sample, lags grow
		err := s.bounded(ctx, func(ctx context.Context) (err error) {
			own, err = s.look(ctx, own)
			return err
		})
		if ctx.Err() != nil {
			break
		}
		s.record(lookReason(err), err)
		if sleep(ctx, interval) != nil {
			break
		}
	}
	if own != nil {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), watchTimeout)
		defer cancel()
		_ = own.Close(closing) // the program ends
	}
}

func (s *standby) bounded(ctx context.Context, look func(ctx context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, watchTimeout)
	defer cancel()
	return look(ctx)
}

// look asks the standby for its lag, on a connection of its own. It returns the connection for the next look, or
// nil if it cannot be used again.
func (s *standby) look(ctx context.Context, own *pgx.Conn) (*pgx.Conn, error) {
	var err error
	if own == nil {
		settings := s.pool.Config().ConnConfig.Copy()
		settings.Tracer = nil
		s.password.apply(settings)
		if own, err = pgx.ConnectConfig(ctx, settings); err != nil {
			return nil, err
		}
	}
	lag, err := s.lagOf(ctx, own)
	refused, isRefused := errors.AsType[*refusedStandby](err)
	if err == nil || isRefused && refused.reason == Lagging {
		s.counters.setLag(lag)
		return own, err
	}
	_ = own.Close(ctx) // the next look may find another server
	return nil, err
}

func lookReason(err error) FallbackReason {
	if err == nil {
		return ""
	}
	if refused, ok := errors.AsType[*refusedStandby](err); ok {
		return refused.reason
	}
	return Down
}

// record stores the result of a look, and logs a change.
func (s *standby) record(reason FallbackReason, err error) {
	s.counters.setUsable(reason == "")
	s.mu.Lock()
	before := s.down
	s.down = reason
	if reason == Down {
		for read := range s.running {
			read.cancel(errStandbyDown)
		}
	}
	s.mu.Unlock()
	if before == reason || s.logger == nil {
		return
	}
	log := s.logger.WithFields(logrus.Fields{"reason": string(reason)})
	if reason == "" {
		log.WithField("event", "standby_usable").Info("the standby answers reads")
		return
	}
	log.WithFields(logrus.Fields{"event": "standby_unusable", "error": err}).
		Warn("the standby cannot be used, so the primary answers all reads")
}
