package command

import (
	"errors"
	"fmt"
	"os"

	"omnirapeutic/app"
)

type serveCommand struct{}

// Help explains the command.
func (serveCommand) Help() string {
	return `Without OMNI_DATABASE_URL a private PostgreSQL is started in the data folder (OMNI_DATA_DIR)
and stops with the program. In the development profile the schema is brought up to date and,
on the first start, a demo practice is loaded. Ctrl-C or SIGTERM stop gracefully.`
}

// Run serves until the program is told to stop.
func (serveCommand) Run(e environment) error {
	c, err := e.settings()
	if err != nil {
		return err
	}
	p, err := app.Open(e.context, c, newLogger(c))
	if err != nil {
		return err
	}
	if c.Demo {
		if _, err := p.LoadDemo(e.context); err != nil {
			return errors.Join(fmt.Errorf("load the demo practice: %w", err), p.Close())
		}
	}
	err = p.Serve(e.context, func(address string) { app.Greet(os.Stdout, address, c, p.Storage) })
	return errors.Join(err, p.Close())
}
