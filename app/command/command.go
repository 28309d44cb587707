// Package command is the command line: what each command is called, explains and
// does.
package command

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"github.com/alecthomas/kong"
	"github.com/sirupsen/logrus"

	"omnirapeutic/app"
	"omnirapeutic/app/demo"
	"omnirapeutic/config"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/invoked"
	"omnirapeutic/platform/telemetry"
)

// Exit codes, for scripts.
const (
	ExitOK      = 0
	ExitFailed  = 1 // the command was carried out and found or met a problem
	ExitUsage   = 2 // the command line or the configuration is wrong
	ExitUnclean = 3 // verify: the books do not agree; loadtest: units are not right, or requests failed
)

type commandLine struct {
	Config string `help:"Read the configuration from this YAML file; environment variables (OMNI_…) win over it." placeholder:"FILE" type:"path"`

	Serve    serveCommand    `cmd:"" default:"withargs" help:"Serve the API (the default). Starts a private PostgreSQL where no database is configured."`
	Migrate  migrateCommand  `cmd:"" help:"Bring the database schema up to date, back, or tell where it stands."`
	Seed     seedCommand     `cmd:"" help:"Load the demo practice into an empty database."`
	Verify   verifyCommand   `cmd:"" help:"Check that the unit ledger, the reservations and the counters agree, and the audit trail."`
	Audit    auditCommand    `cmd:"" help:"Remove what is old from the audit trail."`
	Loadtest loadtestCommand `cmd:"" help:"Measure a server under load and check its integrity afterwards."`
	User     userCommand     `cmd:"" help:"Make users."`
	Conf     configCommand   `cmd:"" name:"config" help:"Show the configuration."`
	Postgres postgresCommand `cmd:"" help:"Get PostgreSQL binaries for the private server."`
	Version  versionCommand  `cmd:"" help:"Tell which version this is."`
	Measured measuredCommand `cmd:"" hidden:"" help:"Serve for a load test; loadtest starts it."`
}

// environment is what every command works with.
type environment struct {
	context context.Context
	file    string
	loggers *[]*logrus.Logger // all loggers of the command
}

// settings loads the configuration.
func (e environment) settings() (config.Config, error) {
	return config.Load(e.file, os.Environ())
}

// logger returns a logger that writes to standard error. The end of the command writes its
// remaining counts.
func (e environment) logger(c config.Config) *logrus.Logger {
	l := telemetry.NewLogger(os.Stderr, c.Log.Level, c.Log.Format)
	*e.loggers = append(*e.loggers, l)
	return l
}

// Main carries out the program's command line and returns the exit code. The
// first SIGINT or SIGTERM ends it in order, a second one at once. A reader of its
// output that closes the pipe does not end it; later writes fail.
func Main() int {
	// Unhandled it ends the program; ignored it would also be ignored in child processes.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)
	return Run(ctx, os.Args[1:])
}

// Run carries out one command line and returns the exit code.
func Run(ctx context.Context, arguments []string) int {
	var line commandLine
	parser := kong.Must(&line, kong.Name(invoked.As("")),
		kong.Description("A backend for ABA-therapy practices that keeps authorized units exact. "+
			"Started without a command it serves. Settings are environment variables OMNI_… or a file: see config show."),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		kong.Vars{"scenarios": scenarioNames(), "roles": roleNames(), "demo_password": demo.Password})
	if len(arguments) > 0 && arguments[0] == "help" { // as git and go have it
		arguments = append(slices.Clone(arguments[1:]), "--help")
	}
	command, err := parser.Parse(arguments)
	if err != nil {
		report(fmt.Sprintf("%v\nTry %s", err, invoked.As("--help")), config.LogFormat(line.Config, os.Environ()))
		return ExitUsage
	}
	var loggers []*logrus.Logger
	err = command.Run(environment{context: ctx, file: line.Config, loggers: &loggers})
	for _, l := range loggers {
		telemetry.Flush(l)
	}
	if err == nil {
		return ExitOK
	}
	report(failure(err), config.LogFormat(line.Config, os.Environ()))
	return exitCode(err)
}

// failure returns the text of an error, with all invalid fields if there are several.
func failure(err error) string {
	text := err.Error()
	refusal, ok := fault.From(err)
	if !ok {
		return text
	}
	if fields, ok := refusal.Details().(fault.Fields); ok && len(fields.Errors) > 1 {
		for _, f := range fields.Errors {
			text += fmt.Sprintf("\n  %s %s", f.Field, f.Message)
		}
	}
	return text
}

// report prints why a command failed: as text for people, or as a JSON log line if the log is JSON.
func report(text, format string) {
	if format == "json" {
		telemetry.NewLogger(os.Stderr, "error", format).WithField("event", "command_failed").Error(text)
		return
	}
	fmt.Fprintf(os.Stderr, "%s: %s\n", invoked.As(""), text)
}

func exitCode(err error) int {
	if problems := (*config.Problems)(nil); errors.As(err, &problems) {
		return ExitUsage
	}
	if end := (ending{}); errors.As(err, &end) {
		return end.code
	}
	return ExitFailed
}

// ending is an error that says which exit code it means. It is a type of our own:
// the errors of other programs that were run have exit codes too.
type ending struct {
	error
	code int
}

// withStorage opens the storage as configured, and closes it again.
func (e environment) withStorage(fn func(*app.Storage) error) error {
	c, err := e.settings()
	if err != nil {
		return err
	}
	s, err := app.OpenStorage(e.context, c, e.logger(c))
	if err != nil {
		return err
	}
	return errors.Join(fn(s), s.Close())
}

// withProgram opens the program as configured, and closes it again. In production
// it does not migrate: a command that looks something up or adds a row must not
// change the schema under the programs that serve.
func (e environment) withProgram(fn func(*app.Program) error) error {
	c, err := e.settings()
	if err != nil {
		return err
	}
	if c.Profile == config.Production {
		c.Database.AutoMigrate = false
	}
	p, err := app.Open(e.context, c, e.logger(c))
	if err != nil {
		return err
	}
	return errors.Join(fn(p), p.Close())
}
