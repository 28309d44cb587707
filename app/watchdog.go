package app

import (
	"context"
	"net/http"
	"time"

	"omnirapeutic/platform/systemd"
)

// feedWatchdog resets systemd's watchdog while the server answers probes, until stop is called. systemd
// restarts a program that is stuck, such as by a deadlock.
func (p *Program) feedWatchdog(n *systemd.Notifier) (stop func()) {
	limit := n.Watchdog()
	if limit == 0 {
		return func() {}
	}
	const share = 3 // two probes may be late
	ticker := time.NewTicker(limit / share)
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			if p.server.answersProbe(limit / share) {
				p.warnOf(n.Alive())
			}
			select {
			case <-ticker.C:
			case <-end:
				return
			}
		}
	}()
	return func() {
		ticker.Stop()
		close(end)
		<-ended
	}
}

// warnOf logs that a state could not be sent to systemd.
func (p *Program) warnOf(err error) {
	if err != nil {
		p.logger.WithField("event", "notify_failed").WithError(err).Warn("systemd does not know the state of the program")
	}
}

// answersProbe reports whether the server answers a liveness probe within the time. It uses no
// connection, so that many clients do not make the program look stuck.
func (s *Server) answersProbe(limit time.Duration) bool {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, pathAlive, nil)
	if err != nil {
		return false
	}
	answered := make(chan struct{})
	go func() {
		s.echo.ServeHTTP(&discardedAnswer{header: http.Header{}}, r)
		close(answered)
	}()
	select {
	case <-answered:
		return true
	case <-ctx.Done():
		return false
	}
}

// discardedAnswer is a response that is not read.
type discardedAnswer struct{ header http.Header }

// Header returns the header.
func (d *discardedAnswer) Header() http.Header { return d.header }

// Write discards the body.
func (d *discardedAnswer) Write(b []byte) (int, error) { return len(b), nil }

// WriteHeader discards the status.
func (d *discardedAnswer) WriteHeader(int) {}
