package command

import (
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
