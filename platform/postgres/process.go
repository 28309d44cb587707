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

	"github.com/jackc/pgx/v5"
)

// startTimeout is how long a server may take until it answers; recovery after a
// crash is part of it.
const startTimeout = 2 * time.Minute

// process is a running server.
type process struct {
	command *exec.Cmd
	ended   chan struct{} // closed once it has
}

// interrupt asks for a fast shutdown (SIGINT): connections are closed, open
// transactions rolled back.
func (p *process) interrupt() {
	_ = p.command.Process.Signal(syscall.SIGINT) // it may have ended already
}

// stop shuts the server down and waits.
func (p *process) stop() {
	p.interrupt()
	<-p.ended
}

// launch starts the server and waits until it answers.
func (c *cluster) launch(ctx context.Context) (*process, error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	if err := c.awaitPredecessor(ctx); err != nil {
		return nil, err
	}
	if err := c.writeSettings(); err != nil {
		return nil, err
	}
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
		return nil, &ServerEnded{Log: c.logTail(), cause: err}
	}
	return p, nil
}

// run starts the command and reaps it. The kernel sends the signal of our own
// death when the thread ends that started the child, so that thread waits with it.
func run(command *exec.Cmd) (*process, error) {
	p := &process{command: command, ended: make(chan struct{})}
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		err := command.Start()
		started <- err
		if err == nil {
			_ = command.Wait() // how it ended stands in its log
			close(p.ended)
		}
	}()
	return p, <-started
}

func (c *cluster) awaitAnswer(ctx context.Context, p *process) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		conn, err := pgx.Connect(ctx, c.url(superuser, "postgres"))
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-p.ended:
			return errors.New("it ended while starting")
		case <-ctx.Done():
			return fmt.Errorf("it did not answer in time: %w", err)
		case <-tick.C:
		}
	}
}

// awaitPredecessor waits until a server that an earlier run of this program
// left behind has shut down, and removes the note of one that is gone.
//
// This program holds the lock of the data folder, so whatever postmaster.pid
// names is either such a server, or, the number being used again, somebody else;
// PostgreSQL itself would refuse to start in both cases.
func (c *cluster) awaitPredecessor(ctx context.Context) error {
	path := filepath.Join(c.dir, "postmaster.pid")
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		content, err := os.ReadFile(path)
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		line, _, _ := strings.Cut(string(content), "\n")
		pid, err := strconv.Atoi(strings.TrimSpace(line))
		if err != nil || !c.serves(pid) {
			return os.Remove(path)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("a server of an earlier run (process %d) still uses %s: %w", pid, c.dir, ctx.Err())
		case <-tick.C:
		}
	}
}

// serves reports whether the process is a server of this cluster: a postgres
// whose working directory, as PostgreSQL makes it, is the cluster's.
func (c *cluster) serves(pid int) bool {
	if syscall.Kill(pid, 0) != nil && !errors.Is(syscall.Kill(pid, 0), syscall.EPERM) {
		return false
	}
	at, err := os.Readlink(filepath.Join("/proc", strconv.Itoa(pid), "cwd"))
	if errors.Is(err, os.ErrNotExist) && runtime.GOOS != "linux" {
		return true // no /proc here: believe the file, and wait
	}
	if err != nil {
		return errors.Is(err, os.ErrPermission)
	}
	real, err := filepath.EvalSymlinks(c.dir)
	return err == nil && at == real
}

// maxLog is the size at which the log is set aside at the next start, in bytes.
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
