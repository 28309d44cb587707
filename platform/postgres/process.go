package postgres

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// startTimeout is the maximum time until a started server answers, including crash
// recovery.
const startTimeout = 2 * time.Minute

// process is a running server.
type process struct {
	command *exec.Cmd
	ended   chan struct{} // closed when the server has ended
}

// interrupt requests a fast shutdown (SIGINT): connections are closed, open
// transactions rolled back.
func (p *process) interrupt() {
	_ = p.command.Process.Signal(syscall.SIGINT) // it may have ended already
}

// stop shuts the server down and waits.
func (p *process) stop() {
	p.interrupt()
	<-p.ended
}

// launch starts the server and waits until it answers. It returns a *[ServerEnded] if
// it does not.
func (c *cluster) launch(ctx context.Context) (*process, error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for _, note := range []string{filepath.Join(c.dir, "postmaster.pid"), filepath.Join(c.socketDir, socketName+".lock")} {
		if err := c.awaitPredecessor(ctx, note); err != nil {
			return nil, err
		}
	}
	if err := c.writeSettings(); err != nil {
		return nil, err
	}
	for {
		p, err := c.tryLaunch(ctx)
		if !errors.Is(err, errSessionsLeft) {
			return p, err
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// errSessionsLeft is returned while sessions of a killed server are still ending.
// PostgreSQL refuses to start until they have.
var errSessionsLeft = errors.New("sessions of an earlier server have not ended yet")

func (c *cluster) tryLaunch(ctx context.Context) (*process, error) {
	log, err := c.openLog()
	if err != nil {
		return nil, err
	}
	defer log.Close()
	command := c.command(context.WithoutCancel(ctx), "postgres", "-D", c.dir)
	command.Stdout, command.Stderr = log, log
	p, err := run(command)
	if err != nil {
		return nil, err
	}
	if err := c.awaitAnswer(ctx, p); err != nil {
		p.stop()
		log := c.logTail()
		if strings.Contains(log, fmt.Sprintf("[%d] FATAL:  pre-existing shared memory block", command.Process.Pid)) {
			err = errSessionsLeft
		}
		return nil, &ServerEnded{Log: log, cause: err}
	}
	return p, nil
}

// run starts the command and reaps it. The kernel sends the parent-death signal when
// the thread that started the child ends, so run keeps that thread.
func run(command *exec.Cmd) (*process, error) {
	p := &process{command: command, ended: make(chan struct{})}
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		err := command.Start()
		started <- err
		if err == nil {
			_ = command.Wait() // the log has the reason
			close(p.ended)
		}
	}()
	return p, <-started
}

func (c *cluster) awaitAnswer(ctx context.Context, p *process) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		conn, err := c.connect(ctx)
		if err == nil {
			return conn.Close(ctx)
		}
		if answer := (*pgconn.PgError)(nil); errors.As(err, &answer) && answer.Code != startingUp {
			return err // a permanent failure, such as a rejected password
		}
		select {
		case <-p.ended:
			return errors.New("it ended while starting")
		case <-ctx.Done():
			return fmt.Errorf("it did not answer in time: %w (%w)", ctx.Err(), err)
		case <-tick.C:
		}
	}
}

const startingUp = "57P03" // cannot_connect_now

// awaitPredecessor shuts down a server left behind by an earlier run of this program,
// and waits for it. The note is the file in which PostgreSQL stores its process id.
//
// This program holds the lock of the data folder. The process in the note is therefore
// either such a server or an unrelated process with a reused id. PostgreSQL would
// refuse to start in both cases.
func (c *cluster) awaitPredecessor(ctx context.Context, note string) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		content, err := os.ReadFile(note)
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		line, rest, _ := strings.Cut(string(content), "\n")
		pid, err := strconv.Atoi(strings.TrimSpace(line))
		if err != nil || pid <= 0 {
			return os.Remove(note) // incomplete, and unreadable for PostgreSQL too
		}
		if !c.serves(pid) {
			return c.disown(note, rest)
		}
		_ = syscall.Kill(pid, syscall.SIGINT) // the process may have ended already
		select {
		case <-ctx.Done():
			return fmt.Errorf("a server of an earlier run (process %d) still uses %s: %w", pid, c.dir, ctx.Err())
		case <-tick.C:
		}
	}
}

// disown replaces the process id in the note by this program's, if that process is not
// a server of this cluster. PostgreSQL knows that its parent is not a server. The note
// is kept, because postmaster.pid also names the shared memory by which PostgreSQL
// finds sessions that outlived their server.
func (c *cluster) disown(note, rest string) error {
	content := strconv.Itoa(os.Getpid()) + "\n" + rest
	return errors.Join(os.WriteFile(note, []byte(content), 0o600), c.account.own(note))
}

// serves reports whether the process is a server of this cluster, according to its
// command line.
func (c *cluster) serves(pid int) bool {
	return strings.HasSuffix(commandLine(pid), " -D "+c.dir)
}

// maxLog is the size, in bytes, from which the log is rotated at the next start.
const maxLog = 10 << 20

func (c *cluster) openLog() (*os.File, error) {
	path := c.logPath()
	if info, err := os.Stat(path); err == nil && info.Size() > maxLog {
		if err := os.Rename(path, path+".1"); err != nil {
			return nil, err
		}
	}
	return os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
}
