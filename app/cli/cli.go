// Package cli implements the command line: names, help and actions of the commands.
package cli

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
	"omnirapeutic/platform/programname"
	"omnirapeutic/platform/telemetry"
)

// Exit codes, for scripts.
const (
	ExitOK      = 0
	ExitFailed  = 1 // the command ran and found or had a problem
	ExitUsage   = 2 // the command line or the configuration is invalid
	ExitUnclean = 3 // verify: the ledger is inconsistent; loadtest: units are wrong, or requests failed
)

type commandLine struct {
	Config string `help:"The YAML file of the configuration; environment variables override it." placeholder:"FILE" type:"path"`

	Serve    serveCommand    `cmd:"" default:"withargs" help:"Serve the API (the default)."`
	Migrate  migrateCommand  `cmd:"" help:"Migrate the database schema up or down, or show its status."`
	Seed     seedCommand     `cmd:"" help:"Load the demo practice into an empty database."`
	Verify   verifyCommand   `cmd:"" help:"Verify the unit ledger, the reservations, the counters and the audit trail."`
	Audit    auditCommand    `cmd:"" help:"Archive, remove and restore events of the audit trail."`
	Backup   backupCommand   `cmd:"" help:"Back up the private PostgreSQL, also while the program serves."`
	Restore  restoreCommand  `cmd:"" help:"Restore a backup into an empty data folder."`
	Loadtest loadtestCommand `cmd:"" help:"Measure a server under load and check its integrity afterwards."`
	User     userCommand     `cmd:"" help:"Manage users."`
	Conf     configCommand   `cmd:"" name:"config" help:"Show or check the configuration."`
	Health   healthCommand   `cmd:"" name:"healthcheck" help:"Probe the server; the exit code is its state."`
	Postgres postgresCommand `cmd:"" help:"Download PostgreSQL binaries for the private server."`
	Version  versionCommand  `cmd:"" help:"Print the version."`

	Completion completionCommand `cmd:"" help:"Print a script that completes commands in a shell."`
	Man        manCommand        `cmd:"" help:"Print the manual page."`

	Measured measuredCommand `cmd:"" hidden:"" help:"Serve for a load test; loadtest starts it."`
}

// environment is the shared context of all commands.
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

// Main runs the program's command line and returns the exit code. The first SIGINT or
// SIGTERM stops it gracefully, a second one at once. It continues if a reader closes
// the pipe of its output; later writes fail.
func Main() int {
	// Unhandled, SIGPIPE ends the program. If it were ignored, child processes would ignore it too.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)
	return Run(ctx, os.Args[1:])
}

// Run runs one command line and returns the exit code.
func Run(ctx context.Context, arguments []string) int {
	var line commandLine
	parser := kong.Must(&line, kong.Name(programname.Command("")),
		kong.Description("A backend for ABA-therapy practices that keeps authorized units exact. "+
			"Started without a command it serves. Settings are environment variables OMNI_… or a file: see config show."),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		kong.Vars{"scenarios": scenarioNames(), "roles": roleNames(), "demo_password": demo.Password})
	if len(arguments) > 0 && arguments[0] == "help" { // as in git and go
		arguments = append(slices.Clone(arguments[1:]), "--help")
	}
	command, err := parser.Parse(arguments)
	if err != nil {
		report(fmt.Sprintf("%v\nTry %s", err, programname.Command("--help")), config.LogFormat(line.Config, os.Environ()))
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
	fmt.Fprintf(os.Stderr, "%s: %s\n", programname.Command(""), text)
}

func exitCode(err error) int {
	if problems := (*config.Problems)(nil); errors.As(err, &problems) {
		return ExitUsage
	}
	if end := (exitError{}); errors.As(err, &end) {
		return end.code
	}
	return ExitFailed
}

// exitError is an error with an exit code. It is a separate type, because errors of other
// programs have exit codes too.
type exitError struct {
	error
	code int
}

// withStorage opens the configured storage, calls the function and closes it.
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

// withProgram opens the configured program, calls the function and closes it. In
// production it does not migrate: such a command must not change the schema under
// running servers.
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
