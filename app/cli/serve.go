package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/sirupsen/logrus"

	"omnirapeutic/app"
	"omnirapeutic/config"
)

type serveCommand struct{}

// Help explains the command.
func (serveCommand) Help() string {
	return `Without OMNI_DATABASE_URL a private PostgreSQL is started in the data folder (OMNI_DATA_DIR)
and stops with the program. In the development profile the schema is migrated and, on the first
start, a demo practice is loaded. In production migrate first; a database with the demo practice
is refused. Ctrl-C or SIGTERM stop gracefully, a second one at once. With OMNI_TLS_CERTIFICATE and
OMNI_TLS_KEY the server uses HTTPS, and reloads both files when they change and on SIGHUP. Without
them SIGHUP stops it gracefully. OMNI_METRICS_ADDR is a separate listener for metrics and profiles.`
}

// Run serves until the program is stopped.
func (serveCommand) Run(e environment) error {
	c, err := e.settings()
	if err != nil {
		return err
	}
	logger := e.logger(c)
	logger.WithFields(logrus.Fields{"event": "starting", "profile": c.Profile}).Info("Omnirapeutic is starting")
	if len(c.Ignored) > 0 {
		logger.WithFields(logrus.Fields{"event": "variables_ignored", "variables": c.Ignored}).
			Warn("Kubernetes sets these environment variables for a service called omni, and the program ignores them; " +
				"enableServiceLinks: false removes them")
	}
	ctx, stop := untilHangUp(e.context, c)
	defer stop()
	defer tuneGC()()
	listeners, err := app.Listen(ctx, c)
	if err != nil {
		return err
	}
	defer listeners.Close()
	p, err := app.Open(ctx, c, logger)
	if err != nil {
		return err
	}
	return errors.Join(serve(ctx, p, c, listeners), p.Close())
}

// untilHangUp returns a context that SIGHUP ends, like SIGTERM: running requests finish. With a
// certificate, SIGHUP reloads it instead. SIGHUP stays ignored in a program started with nohup.
func untilHangUp(ctx context.Context, c config.Config) (context.Context, context.CancelFunc) {
	if c.HTTP.TLS.Given() || signal.Ignored(syscall.SIGHUP) {
		return context.WithCancel(ctx)
	}
	return signal.NotifyContext(ctx, syscall.SIGHUP)
}

func serve(ctx context.Context, p *app.Program, c config.Config, l *app.Listeners) error {
	if err := p.CheckServable(ctx); err != nil {
		return err
	}
	if c.Demo {
		if _, err := p.LoadDemo(ctx); err != nil {
			return fmt.Errorf("load the demo practice: %w", err)
		}
	}
	if err := p.PrintBanner(ctx, os.Stdout, l); err != nil {
		return err
	}
	return p.Serve(ctx, l)
}
