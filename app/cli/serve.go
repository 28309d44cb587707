package cli

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/sirupsen/logrus"

	"omnirapeutic/app"
	"omnirapeutic/config"
	"omnirapeutic/platform/systemd"
	"omnirapeutic/platform/version"
)

type serveCommand struct{}

// Help explains the command.
func (serveCommand) Help() string {
	return `Without OMNI_DATABASE_URL a private PostgreSQL is started in the data folder (OMNI_DATA_DIR)
and stops with the program. In the development profile the schema is migrated and, on the first
start, a demo practice is loaded. In production migrate first; a database with the demo practice
is refused. Ctrl-C or SIGTERM stop gracefully, a second one at once. SIGHUP reloads the configuration
file and the certificate; the log names settings that need a restart. A terminal that closes stops the
server gracefully. With OMNI_TLS_CERTIFICATE and OMNI_TLS_KEY the server uses HTTPS.
OMNI_METRICS_ADDR is a separate listener for metrics and profiles.`
}

// Run serves until the program is stopped.
func (serveCommand) Run(e environment) error {
	c, err := e.settings()
	if err != nil {
		return err
	}
	logger := e.logger(c)
	logger.WithFields(logrus.Fields{
		"event": "starting", "profile": c.Profile, "version": version.Version(), "revision": version.Revision(),
	}).Info("Omnirapeutic is starting")
	if len(c.Ignored) > 0 {
		logger.WithFields(logrus.Fields{"event": "variables_ignored", "variables": c.Ignored}).
			Warn("Kubernetes sets these environment variables for a service called omni, and the program ignores them; " +
				"enableServiceLinks: false removes them")
	}
	notifier := systemd.NewNotifier() // before a child process inherits its variables
	ctx, reloads, stop := watchHangUps(e.context)
	defer stop()
	defer tuneGC()()
	listeners, err := app.Listen(ctx, c)
	if err != nil {
		return err
	}
	defer listeners.Close()
	extendStart(notifier, c)
	p, err := app.Open(ctx, c, logger)
	if err != nil {
		return err
	}
	p.Notifier = notifier
	defer e.reload(p, listeners, logger, reloads)()
	return errors.Join(serve(ctx, p, c, listeners), p.Close())
}

// extendStart allows a start under systemd the time of the wait for the database, in addition to the
// unit's own limit.
func extendStart(n *systemd.Notifier, c config.Config) {
	if c.Database.Wait > 0 {
		_ = n.Starting("Connecting to the database", c.Database.Wait) // the unit's own limit remains
	}
}

// reload reloads the configuration at each request, until stop is called. An invalid configuration is
// logged, and changes nothing.
func (e environment) reload(
	p *app.Program, l *app.Listeners, logger *logrus.Logger, requests <-chan struct{},
) (stop func()) {
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-end:
				return
			case <-requests:
			}
			next, err := e.settings()
			if err != nil {
				logger.WithFields(logrus.Fields{"event": "reload_refused", "error": err}).
					Error("the configuration was not reloaded, and the current one remains in use")
				continue
			}
			if level, err := logrus.ParseLevel(next.Log.Level); err == nil {
				logger.SetLevel(level)
			}
			p.ReloadConfiguration(next, l)
		}
	}()
	return func() { close(end); <-ended }
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
