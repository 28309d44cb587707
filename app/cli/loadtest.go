package cli

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"omnirapeutic/bench/loadtest"
)

type loadtestCommand struct {
	Scenario   string        `default:"high-contention" help:"One of ${scenarios}; or all, or two-instances."`
	URL        []string      `help:"Servers to measure, all on one database; default: a private server." placeholder:"URL"`
	Email      string        `default:"admin@demo.test" help:"The e-mail address to sign in with."`
	Password   string        `default:"${demo_password}" help:"The password." env:"OMNI_LOADTEST_PASSWORD"`
	Clients    int           `help:"The number of concurrent clients; the default depends on the scenario."`
	Duration   time.Duration `default:"10s" help:"The measured time."`
	Rate       float64       `help:"Requests per second, regardless of the answers (open loop); default: closed loop."`
	Separate   bool          `help:"Private servers only: one transaction per request, without the lock, several at once."`
	Instances  int           `help:"The number of private servers; default 1, and 2 in two-instances." placeholder:"N"`
	CPUProfile string        `name:"cpu-profile" help:"Private servers only: write a CPU profile." type:"path" placeholder:"FILE"`
	JSON       string        `help:"Write the result to this file as JSON." type:"path" placeholder:"FILE"`
}

// Help explains the command.
func (loadtestCommand) Help() string {
	return `Prints latencies, the numbers of accepted, refused and failed requests, retries, and an integrity check.
"Not enough units" is a valid answer. A failure is any answer except acceptance and this refusal.
Exit code 0: the integrity check passed and no request failed, even if a latency or memory target is MISSED;
3: units are wrong or requests failed.

two-instances runs high-contention, high-throughput and mixed on two servers with one database. Private
servers are started on a scratch database; each writes its own CPU profile, for go tool pprof. In a closed
loop each client waits for its answer before it sends again. go run ./bench/report FILE draws plots of a
result in JSON.`
}

// Validate rejects invalid options before a server is started.
func (l loadtestCommand) Validate() error {
	urls := l.URL
	if len(urls) == 0 {
		urls = []string{"http://localhost"}
	}
	for _, name := range l.scenarios() {
		if err := l.options(name, urls).Check(); err != nil {
			return err
		}
	}
	const most = 16
	if l.Instances < 0 || l.Instances > most {
		return fmt.Errorf("--instances must be from 1 to %d, not %d", most, l.Instances)
	}
	return nil
}

// separateAtOnce is the number of concurrent transactions with --separate.
const separateAtOnce = 8

// onTwo are the scenarios of two-instances.
var onTwo = []string{"high-contention", "high-throughput", "mixed"}

const twoInstances = "two-instances"

// instances returns the number of private servers to start.
func (l loadtestCommand) instances() int {
	if l.Scenario == twoInstances {
		return max(2, l.Instances)
	}
	return max(1, l.Instances)
}

// checkOwnership rejects options that apply only to private servers, and an invalid
// pair of servers.
func (l loadtestCommand) checkOwnership() error {
	switch {
	case len(l.URL) == 0:
		return nil
	case l.Separate:
		return errors.New("--separate applies to private servers only: configure other servers with OMNI_COMMAND_BATCH_LIMIT")
	case l.Instances != 0:
		return errors.New("--instances applies to private servers only: name other servers in --url, separated by commas")
	case l.CPUProfile != "":
		return errors.New("--cpu-profile applies to private servers only")
	case l.Scenario == twoInstances && len(l.URL) < 2:
		return errors.New("two-instances needs two servers on one database: --url A,B")
	}
	return nil
}

// scenarios returns the names of the scenarios to run.
func (l loadtestCommand) scenarios() []string {
	switch l.Scenario {
	case "all":
	case twoInstances:
		return onTwo
	default:
		return []string{l.Scenario}
	}
	var names []string
	for _, s := range loadtest.Scenarios() {
		names = append(names, s.Name)
	}
	return names
}

func (l loadtestCommand) options(scenario string, urls []string) loadtest.Options {
	return loadtest.Options{
		Scenario: scenario, URLs: urls, Email: l.Email, Password: l.Password, Clients: l.Clients,
		Duration: l.Duration, Rate: l.Rate, Progress: os.Stderr, Mode: l.mode(),
	}
}

// mode returns how the private server executes concurrent requests. It is unknown for
// other servers.
func (l loadtestCommand) mode() string {
	switch {
	case len(l.URL) > 0:
		return ""
	case l.Separate:
		return "one transaction per request"
	default:
		return "shared transactions"
	}
}

// Run runs the load tests.
func (l loadtestCommand) Run(e environment) error {
	for _, check := range []func() error{l.checkOwnership, l.checkFiles} {
		if err := check(); err != nil {
			return exitError{err, ExitUsage}
		}
	}
	urls := l.URL
	var processes []int
	if len(urls) == 0 {
		c, err := e.settings()
		if err != nil {
			return err
		}
		if l.Separate {
			c.Commands.BatchLimit, c.Commands.Batches, c.Commands.Lock = 1, separateAtOnce, false
		}
		scratch, err := openScratch(e, c, l.instances(), l.CPUProfile)
		if err != nil {
			return err
		}
		defer func() {
			if err := scratch.close(); err != nil {
				fmt.Fprintln(os.Stderr, "clean up the scratch server:", err)
			}
		}()
		urls, processes = scratch.urls(), scratch.processes()
	}
	var bad []string
	for _, name := range l.scenarios() {
		options := l.options(name, urls)
		options.Processes = processes
		result, err := loadtest.Run(e.context, options)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if err := l.write(result, name); err != nil {
			return err
		}
		if failed := result.Wrong(); len(failed) > 0 {
			bad = append(bad, fmt.Sprintf("%s (%s)", name, strings.Join(failed, "; ")))
		}
	}
	if len(bad) > 0 {
		return exitError{errors.New("integrity check or requests failed in " + strings.Join(bad, ", ")), ExitUnclean}
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

// fileOf returns the file for the result of a scenario. With several scenarios, the
// name contains the scenario's.
func (l loadtestCommand) fileOf(path, scenario string) string {
	if path == "" || len(l.scenarios()) == 1 {
		return path
	}
	return withSuffix(path, scenario)
}

func withSuffix(path, suffix string) string {
	extension := filepath.Ext(path)
	return strings.TrimSuffix(path, extension) + "-" + suffix + extension
}

// checkFiles checks that the results can be written before the measurement starts.
// Existing content is kept until there is a new result.
func (l loadtestCommand) checkFiles() error {
	var paths []string
	for _, name := range l.scenarios() {
		paths = append(paths, l.fileOf(l.JSON, name))
	}
	for i := range l.instances() {
		paths = append(paths, numbered(l.CPUProfile, i, l.instances()))
	}
	for _, path := range paths {
		if path == "" {
			continue
		}
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o644) //nolint:gosec // the figures are no secret
		if err != nil {
			return err
		}
		if err := f.Close(); err != nil {
			return err
		}
	}
	return nil
}

// write prints the table, and writes the file.
func (l loadtestCommand) write(result loadtest.Result, name string) error {
	if err := result.WriteTable(os.Stdout); err != nil || l.JSON == "" {
		return err
	}
	f, err := os.Create(l.fileOf(l.JSON, name))
	if err != nil {
		return err
	}
	if err := errors.Join(result.WriteJSON(f), f.Close()); err != nil {
		return err
	}
	fmt.Println("Wrote", f.Name())
	return nil
}
