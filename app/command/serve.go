package command

import (
	"context"
	"errors"
	"fmt"
	"os"

	"omnirapeutic/app"
	"omnirapeutic/config"
)

type serveCommand struct{}

// Help explains the command.
func (serveCommand) Help() string {
	return `Without OMNI_DATABASE_URL a private PostgreSQL is started in the data folder (OMNI_DATA_DIR)
and stops with the program. In the development profile the schema is brought up to date and,
on the first start, a demo practice is loaded; in production migrate first, and a database with
the demo practice is refused. Ctrl-C or SIGTERM stop gracefully, a second one at once.
With OMNI_TLS_CERTIFICATE and OMNI_TLS_KEY it speaks HTTPS, and reads both files again when they
change, and on SIGHUP. OMNI_METRICS_ADDR is a listener of its own for metrics and profiles.`
}

// Run serves until the program is told to stop.
func (serveCommand) Run(e environment) error {
	c, err := e.settings()
	if err != nil {
		return err
	}
	relaxGarbage()
	listeners, err := app.Listen(e.context, c)
	if err != nil {
		return err
	}
	defer listeners.Close()
	p, err := app.Open(e.context, c, newLogger(c))
	if err != nil {
		return err
	}
	return errors.Join(serve(e.context, p, c, listeners), p.Close())
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
	if err := p.Greet(ctx, os.Stdout, l); err != nil {
		return err
	}
	return p.Serve(ctx, l)
}
