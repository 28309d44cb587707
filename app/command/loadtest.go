package command

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/sirupsen/logrus"

	"omnirapeutic/app"
	"omnirapeutic/bench/loadtest"
)

type loadtestCommand struct {
	Scenario string        `default:"high-contention" help:"Which load: ${scenarios}, or all."`
	URL      string        `help:"Measure this running server; without it, one of its own on a scratch database."`
	Email    string        `default:"admin@demo.test" help:"Sign in as."`
	Password string        `default:"${demo_password}" help:"The password; for a server of your own use OMNI_LOADTEST_PASSWORD." env:"OMNI_LOADTEST_PASSWORD"`
	Clients  int           `help:"How many clients at once; default as the scenario says."`
	Duration time.Duration `default:"10s" help:"How long."`
	Rate     float64       `help:"Send this many requests a second, whatever the answers take (open loop); default: each client waits for its answer."`
	Combine  bool          `default:"true" negatable:"" help:"Of a server of its own: whether operations that arrive together share a transaction; --no-combine gives each its own."`
	JSON     string        `help:"Write the result to this file as JSON." type:"path" placeholder:"FILE"`
	HTML     string        `help:"Write the result to this file as a page with plots." type:"path" placeholder:"FILE"`
}

// Help explains the command.
func (loadtestCommand) Help() string {
	return `Ends with latencies, what was accepted, refused and failed, retries, and an integrity check.
"Not enough units" is an answer; a failure is anything that is neither yes nor no.
Exit code 0: integrity holds and nothing failed, whether or not a latency is printed as MISSED;
3: units are not right or requests failed.`
}

// Validate refuses what cannot be run before a server is started for it.
func (l loadtestCommand) Validate() error {
	for _, name := range l.scenarios() {
		if err := l.options(name, cmp.Or(l.URL, "http://localhost")).Check(); err != nil {
			return err
		}
	}
	return nil
}

// scenarios returns the names of those to run.
func (l loadtestCommand) scenarios() []string {
	if l.Scenario != "all" {
		return []string{l.Scenario}
	}
	var names []string
	for _, s := range loadtest.Scenarios() {
		names = append(names, s.Name)
	}
	return names
}

func (l loadtestCommand) options(scenario, url string) loadtest.Options {
	return loadtest.Options{
		Scenario: scenario, URL: url, Email: l.Email, Password: l.Password, Clients: l.Clients,
		Duration: l.Duration, Rate: l.Rate, Progress: os.Stderr, Mode: l.mode(),
	}
}

// mode says how the server carries out what arrives together; of another's server
// it is not known.
func (l loadtestCommand) mode() string {
	switch {
	case l.URL != "":
		return ""
	case l.Combine:
		return "combined"
	default:
		return "one transaction per request"
	}
}

// Run measures.
func (l loadtestCommand) Run(e environment) error {
	if l.URL != "" && !l.Combine {
		return ending{errors.New("--no-combine is for a server of its own: another's is told by its configuration, OMNI_COMBINE"), ExitUsage}
	}
	if err := l.checkFiles(); err != nil {
		return ending{err, ExitUsage}
	}
	url := l.URL
	if url == "" {
		c, err := e.settings()
		if err != nil {
			return err
		}
		l.Combine = l.Combine && c.Combine
		c.Combine = l.Combine
		relaxGarbage(4 * memoryBound) // as the server would; here its clients need memory too
		logger := newLogger(c)
		logger.SetLevel(logrus.WarnLevel) // a line for each request would drown the progress
		scratch, err := app.ServeScratch(e.context, c, logger)
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
	var bad []string
	for _, name := range l.scenarios() {
		result, err := loadtest.Run(e.context, l.options(name, url))
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if err := l.write(result, name); err != nil {
			return err
		}
		if wrong := result.Wrong(); len(wrong) > 0 {
			bad = append(bad, fmt.Sprintf("%s (%s)", name, strings.Join(wrong, "; ")))
		}
	}
	if len(bad) > 0 {
		return ending{errors.New("integrity or requests failed in " + strings.Join(bad, ", ")), ExitUnclean}
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

// fileOf returns where the result of a scenario is written: of several scenarios,
// each has its name in the files' names.
func (l loadtestCommand) fileOf(path, scenario string) string {
	if l.Scenario != "all" {
		return path
	}
	extension := filepath.Ext(path)
	return strings.TrimSuffix(path, extension) + "-" + scenario + extension
}

// checkFiles makes sure that the results can be written, before a minute of
// measuring is lost. What a file holds is kept until there is a new result.
func (l loadtestCommand) checkFiles() error {
	for _, path := range []string{l.JSON, l.HTML} {
		for _, name := range l.scenarios() {
			if path == "" {
				continue
			}
			f, err := os.OpenFile(l.fileOf(path, name), os.O_WRONLY|os.O_CREATE, 0o644) //nolint:gosec // figures for everybody
			if err != nil {
				return err
			}
			if err := f.Close(); err != nil {
				return err
			}
		}
	}
	return nil
}

// write prints the table and writes the files.
func (l loadtestCommand) write(result loadtest.Result, name string) error {
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
		f, err := os.Create(l.fileOf(path, name))
		if err != nil {
			return err
		}
		if err := errors.Join(write(f), f.Close()); err != nil {
			return err
		}
		fmt.Println("Wrote", f.Name())
	}
	return nil
}
