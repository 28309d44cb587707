package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime/pprof"
	"strconv"
	"time"

	"github.com/sirupsen/logrus"

	"omnirapeutic/app"
	"omnirapeutic/config"
)

// scratch is one or several servers, each in a process of its own, on a temporary but
// durable private PostgreSQL. Measured servers must not share a process with the load
// generator, because memory and CPU time could not be attributed.
type scratch struct {
	dir     string
	storage *app.Storage
	servers []*child
}

// openScratch starts the servers with demo data in a new folder next to the data
// folder, and so on the same disk. It writes a CPU profile of each server if a file for
// it is named.
func openScratch(e environment, c config.Config, instances int, profile string) (*scratch, error) {
	if err := os.MkdirAll(c.DataDir, 0o755); err != nil { //nolint:gosec // the private server's user must be able to enter
		return nil, err
	}
	dir, err := os.MkdirTemp(c.DataDir, "scratch-")
	if err != nil {
		return nil, err
	}
	s := &scratch{dir: dir}
	if err := s.start(e, c, instances, profile); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

func (s *scratch) start(e environment, c config.Config, instances int, profile string) error {
	if err := os.Chmod(s.dir, 0o755); err != nil { //nolint:gosec // as above
		return err
	}
	logger := e.logger(c)
	logger.SetLevel(logrus.WarnLevel) // a line per request would hide the progress
	c.Database.MaxConns *= instances
	storage, err := app.OpenScratch(e.context, filepath.Join(s.dir, "postgres"), c, logger)
	if err != nil {
		return err
	}
	s.storage = storage
	settings := []string{
		"OMNI_PROFILE=development", "OMNI_DEMO=true", "OMNI_ADDR=127.0.0.1:0", "OMNI_LOG_LEVEL=warn", "OMNI_LOG_FORMAT=text",
		"OMNI_DATABASE_URL=" + storage.URL, "OMNI_MIGRATE_URL=" + storage.OwnerURL,
		"OMNI_TLS_CERTIFICATE=none", "OMNI_TLS_KEY=none", "OMNI_METRICS_ADDR=none",
		"OMNI_DATABASE_URL_FILE=", "OMNI_MIGRATE_URL_FILE=", "OMNI_DB_AUTO_MIGRATE=true",
		"OMNI_RATE_LIMIT=0", "OMNI_TOKEN_RATE_LIMIT=0", // rate limits must not limit the measurement
		"OMNI_DB_SLOW_QUERY=0", // the latencies show slow queries
		fmt.Sprint("OMNI_COMMAND_BATCH_LIMIT=", c.Commands.BatchLimit),
		fmt.Sprint("OMNI_COMMAND_BATCHES=", c.Commands.Batches),
		fmt.Sprint("OMNI_COMMAND_LOCK=", c.Commands.Lock),
	}
	var file []string
	if e.file != "" {
		file = []string{"--config", e.file}
	}
	if err := seedApart(e.context, file, settings); err != nil {
		return err
	}
	for i := range instances {
		arguments := append([]string{"measured"}, file...)
		if profile != "" {
			arguments = append(arguments, "--cpu-profile", numbered(profile, i, instances))
		}
		server, err := startChild(e.context, arguments, settings)
		if err != nil {
			return fmt.Errorf("start the measured server: %w", err)
		}
		s.servers = append(s.servers, server)
	}
	return nil
}

// seedApart loads the demo data in a separate process. Hashing the passwords takes more
// memory and time than a small load and would distort its figures.
func seedApart(ctx context.Context, file, settings []string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	seed := exec.CommandContext(ctx, self, append([]string{"seed"}, file...)...) //nolint:gosec // this program
	seed.Env = append(os.Environ(), settings...)
	if out, err := seed.CombinedOutput(); err != nil {
		return fmt.Errorf("load the demo practice: %w\n%s", err, out)
	}
	return nil
}

// numbered returns the name of one of several files.
func numbered(path string, i, of int) string {
	if path == "" || of == 1 {
		return path
	}
	return withSuffix(path, strconv.Itoa(i+1))
}

// urls and processes return the URLs and process ids of the servers.
func (s *scratch) urls() (urls []string) {
	for _, server := range s.servers {
		urls = append(urls, server.url)
	}
	return urls
}

func (s *scratch) processes() (ids []int) {
	for _, server := range s.servers {
		ids = append(ids, server.command.Process.Pid)
	}
	return ids
}

// close stops the servers and removes their database.
func (s *scratch) close() error {
	var failed []error
	for _, server := range s.servers {
		failed = append(failed, server.stop())
	}
	if s.storage != nil {
		failed = append(failed, s.storage.Close())
	}
	return errors.Join(append(failed, os.RemoveAll(s.dir))...)
}

// child is a server in a child process of this program. It ends when the pipe to its
// standard input closes, and therefore whenever this process ends.
type child struct {
	command *exec.Cmd
	input   io.Closer
	url     string
	ended   chan error
}

// startChild starts a server and returns once it has printed its address.
func startChild(ctx context.Context, arguments, settings []string) (*child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	output := &addressFinder{listens: make(chan string, 1)}
	command := exec.Command(self, arguments...) //nolint:gosec,noctx // this program; stopped in order, see stop
	c := &child{command: command, ended: make(chan error, 1)}
	c.command.Env = append(os.Environ(), settings...)
	c.command.Stdout, c.command.Stderr = output, os.Stderr
	if c.input, err = c.command.StdinPipe(); err != nil {
		return nil, err
	}
	if err := c.command.Start(); err != nil {
		return nil, err
	}
	go func() { c.ended <- c.command.Wait() }()
	select {
	case c.url = <-output.listens:
		return c, nil
	case err := <-c.ended:
		return nil, fmt.Errorf("the server ended before it was ready: %w", err)
	case <-ctx.Done():
		return nil, errors.Join(ctx.Err(), c.stop())
	}
}

// stop shuts the server down gracefully and waits for its process.
func (c *child) stop() error {
	const patience = 30 * time.Second
	_ = c.input.Close() // the process may have ended already
	select {
	case err := <-c.ended:
		return err
	case <-time.After(patience):
		return errors.Join(errors.New("the server did not stop and was killed"), c.command.Process.Kill())
	}
}

// addressFinder reads the server's address from its output.
type addressFinder struct {
	text    []byte
	found   bool // the address was found
	listens chan string
}

var listensLine = regexp.MustCompile(`(?m)^Omnirapeutic listens on (\S+)\n`)

// Write searches the output for the address.
func (g *addressFinder) Write(text []byte) (int, error) {
	if g.found {
		return len(text), nil
	}
	g.text = append(g.text, text...)
	if found := listensLine.FindSubmatch(g.text); found != nil {
		g.listens <- string(bytes.Clone(found[1]))
		g.found, g.text = true, nil
	}
	return len(text), nil
}

// measuredCommand serves until its standard input ends.
type measuredCommand struct {
	CPUProfile string `name:"cpu-profile" type:"path"`
}

// Run serves.
func (m measuredCommand) Run(e environment) (err error) {
	ctx, stop := context.WithCancel(e.context)
	defer stop()
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // any end of the input counts
		stop()
	}()
	if m.CPUProfile != "" {
		file, failed := os.Create(m.CPUProfile)
		if failed != nil {
			return failed
		}
		defer func() { err = errors.Join(err, file.Close()) }()
		if err := pprof.StartCPUProfile(file); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	return serveCommand{}.Run(environment{context: ctx, file: e.file, loggers: e.loggers})
}
