// Package postgres runs a private PostgreSQL server as a child process on a unix socket
// in a data folder. It serves users who want to start with one command, and tests. It
// uses the machine's binaries.
//
// It never deletes data: it refuses an unusable cluster and leaves it unchanged. The
// server ends with the program, also when the program is killed. A killed cluster
// recovers at the next start.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/sirupsen/logrus"
)

// The roles of a private cluster.
const (
	// OwnerRole owns the databases and migrates them. It is not a superuser.
	OwnerRole = "omni_owner"
	// AppRole is the program's role: it owns nothing and bypasses nothing.
	AppRole = "omni_app"

	superuser       = "omni_superuser" // created by initdb; creates the other roles
	defaultDatabase = "omnirapeutic"
)

// Options configure the server.
type Options struct {
	Dir            string             // the data folder; created if missing
	Bin            string             // the folder of PostgreSQL's programs; empty: search for them
	Binaries       string             // the folder of downloaded binaries; empty: binaries in Dir
	NoFetch        bool               // do not download binaries if none are found
	Volatile       bool               // for tests only: fast, and lost with the machine
	MaxConnections int                // 0 means 100
	Logger         logrus.FieldLogger // may be nil
}

// fetch returns the function that downloads binaries, or nil if that is forbidden.
func (o Options) fetch() func(context.Context) error {
	if o.NoFetch {
		return nil
	}
	return func(ctx context.Context) error {
		_, err := NewFetcher(o.Binaries, o.Logger).Fetch(ctx)
		return err
	}
}

// Server is a running private server. Safe for concurrent use.
type Server struct {
	options Options
	cluster cluster
	lock    *os.File

	mu      sync.Mutex
	process *process

	stopping context.Context // ends when Stop is called; bounds the work of watch
	stop     context.CancelFunc

	done chan struct{}
	err  error // set before done is closed
}

// Start creates the cluster if there is none, starts the server and waits until it
// answers. Errors: [ErrLocked], *[NoBinaries], *[VersionMismatch], *[Unreachable],
// *[ServerEnded].
func Start(ctx context.Context, o Options) (*Server, error) {
	if o.Logger == nil {
		silent := logrus.New()
		silent.SetLevel(logrus.PanicLevel)
		o.Logger = silent
	}
	if o.MaxConnections == 0 {
		o.MaxConnections = 100
	}
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, err
	}
	o.Dir = dir
	if o.Binaries == "" {
		o.Binaries = filepath.Join(dir, "binaries")
	}
	account, err := serverAccount(dir)
	if err != nil {
		return nil, err
	}
	if err := account.makeDir(dir); err != nil {
		return nil, err
	}
	lock, err := lockDir(dir)
	if err != nil {
		return nil, err
	}
	account.warn(o)
	s := &Server{options: o, lock: lock, done: make(chan struct{})}
	s.stopping, s.stop = context.WithCancel(context.WithoutCancel(ctx))
	if err := s.start(ctx, account); err != nil {
		return nil, errors.Join(err, unlock(lock))
	}
	go s.watch()
	return s, nil
}

func (s *Server) start(ctx context.Context, account account) error {
	started := time.Now()
	c, err := openCluster(ctx, s.options, account)
	if err != nil {
		return err
	}
	s.cluster = c
	s.options.Logger.WithFields(logrus.Fields{
		"event": "postgres_starting", "version": c.version,
	}).Info("starting the private PostgreSQL")
	if s.process, err = c.launch(ctx); err != nil {
		return err
	}
	if err := c.makeRoles(ctx); err != nil {
		s.process.stop()
		return err
	}
	s.options.Logger.WithFields(logrus.Fields{
		"event": "postgres_started", "version": c.version, "dir": s.options.Dir,
		"duration_ms": time.Since(started).Milliseconds(),
	}).Info("the private PostgreSQL is ready")
	return nil
}

// OwnerURL returns the owner's URL of a database of the cluster.
func (s *Server) OwnerURL(database string) string { return s.cluster.url(OwnerRole, database) }

// AppURL returns the program's URL of a database of the cluster.
func (s *Server) AppURL(database string) string { return s.cluster.url(AppRole, database) }

// Database returns the name of the default database.
func (s *Server) Database() string { return defaultDatabase }

// Dir returns the data folder.
func (s *Server) Dir() string { return s.options.Dir }

// Bin returns the folder of PostgreSQL's programs.
func (s *Server) Bin() string { return s.cluster.binaries.dir }

// Version returns PostgreSQL's major version.
func (s *Server) Version() int { return s.cluster.version }

// Done returns a channel that is closed once the server has ended for good: by Stop, or
// unexpectedly and without a successful restart.
func (s *Server) Done() <-chan struct{} { return s.done }

// Err returns, once Done is closed, nil after Stop and a *[ServerEnded] otherwise.
func (s *Server) Err() error {
	select {
	case <-s.done:
		return s.err
	default:
		return nil
	}
}

// Stop shuts the server down and rolls back open transactions. It may be called more
// than once. It returns the context's error if the context ends first.
func (s *Server) Stop(ctx context.Context) error {
	s.stop()
	s.current().interrupt()
	select {
	case <-s.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("stop the private PostgreSQL: %w", ctx.Err())
	}
}

// Limits for restarts of a server that ended unexpectedly. The count restarts after the
// server has run for a while.
const (
	maxRestarts  = 3
	restartDelay = 200 * time.Millisecond // doubles each time
	ranWell      = 5 * time.Minute
)

// watch restarts the server when it ends unexpectedly. While a disk is full it keeps retrying, with
// growing delays.
func (s *Server) watch() {
	defer close(s.done)
	defer func() { _ = unlock(s.lock) }() // the server has ended; nothing depends on it
	var failed error
	waits := 0
	for restarts := 0; ; restarts++ {
		began := time.Now()
		<-s.current().ended // closed already if the restart failed
		if time.Since(began) > ranWell {
			restarts = 0
		}
		switch {
		case s.stopping.Err() != nil:
			return
		case s.cluster.diskIsFull(failed):
			restarts = -1 // such restarts do not count
			s.waitForRoom(waits)
			waits++
			if failed = s.relaunch(); failed == nil {
				waits = 0
			}
			continue
		case restarts == maxRestarts:
			s.err = failed
			if !errors.As(failed, new(*ServerEnded)) {
				s.err = &ServerEnded{Log: s.cluster.logTail(), cause: failed}
			}
			return
		}
		s.options.Logger.WithFields(logrus.Fields{"event": "postgres_restarting", "attempt": restarts + 1}).
			Warn("the private PostgreSQL ended unexpectedly and is restarted")
		select {
		case <-time.After(restartDelay << restarts):
			failed = s.relaunch()
		case <-s.stopping.Done():
		}
	}
}

// Delays while a disk is full. The delay doubles from the first to the longest.
const (
	roomDelay    = time.Second
	maxRoomDelay = 15 * time.Second
)

// waitForRoom waits for the delay, or until the server is stopped.
func (s *Server) waitForRoom(waits int) {
	delay := min(roomDelay<<min(waits, 5), maxRoomDelay)
	s.options.Logger.WithFields(logrus.Fields{
		"event": "postgres_disk_full", "dir": s.options.Dir, "delay_ms": delay.Milliseconds(),
	}).
		Error("a disk of the private PostgreSQL is full: make room, and the program restarts it")
	select {
	case <-time.After(delay):
	case <-s.stopping.Done():
	}
}

func (s *Server) current() *process {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.process
}

func (s *Server) relaunch() error {
	p, err := s.cluster.launch(s.stopping)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.process = p
	if s.stopping.Err() != nil {
		p.interrupt() // Stop was called while it was starting
	}
	return nil
}

// url returns a role's URL on the socket. It includes the port, which would otherwise
// be taken from PGPORT.
func (c cluster) url(role, database string) string {
	query := url.Values{"host": {c.socketDir}, "port": {"5432"}, "sslmode": {"disable"}}.Encode()
	u := url.URL{
		Scheme: "postgres", User: url.UserPassword(role, c.passwords[role]), Path: "/" + database,
		RawQuery: strings.ReplaceAll(query, "+", "%20"), // PostgreSQL's clients read a plus literally
	}
	return u.String()
}
