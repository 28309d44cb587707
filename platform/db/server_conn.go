package db

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgconn/ctxwatch"
)

// Timeouts of a connection whose other side has silently disappeared, as after a network was cut or
// a machine was paused.
const (
	keepAliveIdle     = 10 * time.Second
	keepAliveInterval = 5 * time.Second
	keepAliveCount    = 3
	// userTimeout is how long data may stay unacknowledged; keepalive does not detect that.
	userTimeout = 15 * time.Second
)

// dialer opens connections that detect within seconds that the server is gone.
var dialer = net.Dialer{
	KeepAliveConfig: net.KeepAliveConfig{
		Enable: true, Idle: keepAliveIdle, Interval: keepAliveInterval,
		Count: keepAliveCount,
	},
	Control: setUserTimeout,
}

// serverSettings makes the server detect as soon that a client is gone, and end its session.
// Unknown settings are skipped.
const serverSettings = `
	SELECT set_config(s.name, w.value, false)
	FROM (VALUES ('tcp_keepalives_idle', '10'), ('tcp_keepalives_interval', '5'), ('tcp_keepalives_count', '3'),
	             ('tcp_user_timeout', '15s'), ('client_connection_check_interval', '2s')) AS w (name, value)
	JOIN pg_settings s ON s.name = w.name`

// setKeepAlive asks the server to detect soon that this client is gone. A server or operating system
// without these settings keeps its defaults.
func setKeepAlive(ctx context.Context, c *pgx.Conn) error {
	_, err := c.Exec(ctx, serverSettings)
	var refused *pgconn.PgError
	if errors.As(err, &refused) {
		return nil
	}
	return err
}

// serverConn is a connection to the server with state that pgx does not track: whether a COMMIT is
// running, which must not be cancelled. If a COMMIT is cancelled while it waits for a synchronous
// standby, PostgreSQL reports success with a warning.
type serverConn struct {
	unanswered *unansweredCommits
	ahead      ahead
	// bypassed: batches do not pass through ahead, so nothing can be sent in front of them. In the mode exec,
	// pgx writes them directly to the connection.
	bypassed bool

	server *pgconn.PgConn // nil until there is a connection

	mu           sync.Mutex
	committing   bool
	unreplicated bool         // the server has warned, see errUnreplicated
	abandoned    bool         // the caller has stopped waiting for its COMMIT
	release      func() error // runs once the COMMIT is answered
}

var errCommitting = errors.New("db: a COMMIT must not be cancelled")

// errUnreplicated: this server has committed, but perhaps no standby has.
var errUnreplicated = errors.New("db: the server stopped waiting for its synchronous standby: a failover could " +
	"lose the commit")

// serverConnKey is the key of a serverConn in the custom data of its connection.
const serverConnKey = "omnirapeutic.serverConn"

// serverConnOf returns the serverConn of a connection of the pool.
func serverConnOf(c *pgx.Conn) *serverConn {
	return c.PgConn().CustomData()[serverConnKey].(*serverConn)
}

// instrument makes a new connection report to a serverConn.
func (u *unansweredCommits) instrument(c *pgx.ConnConfig) {
	s := &serverConn{unanswered: u}
	s.ahead.named, s.ahead.names = map[string]string{}, c.DefaultQueryExecMode == pgx.QueryExecModeCacheStatement
	s.bypassed = c.DefaultQueryExecMode == pgx.QueryExecModeExec
	c.DialFunc = s.dial
	c.BuildFrontend = s.ahead.frontend
	c.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) { s.notice(n) }
	c.BuildContextWatcherHandler = func(p *pgconn.PgConn) ctxwatch.Handler {
		s.server = p
		p.CustomData()[serverConnKey] = s
		// A statement whose context ends is cancelled at the server, and the connection is kept;
		// pgx's default destroys it.
		return &pgconn.CancelRequestContextWatcherHandler{Conn: p, DeadlineDelay: u.cancelDelay}
	}
}

// dial opens the connection, and later further ones for cancel requests, which pgx also sends when
// the connection breaks. It refuses to dial during a COMMIT.
func (s *serverConn) dial(ctx context.Context, network, address string) (net.Conn, error) {
	s.mu.Lock()
	committing := s.committing
	s.mu.Unlock()
	if committing {
		return nil, errCommitting
	}
	return dialer.DialContext(ctx, network, address)
}

// notice records the server's warning about a commit that may not have reached a standby. The
// SQLSTATE is not specific and the text is translated, so it identifies the warning by the server
// function that issues it.
func (s *serverConn) notice(n *pgconn.Notice) {
	if n.Routine == "SyncRepWaitForLSN" {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.unreplicated = true
	}
}

// commit sends a COMMIT and waits for its answer until the context ends. Then it returns the
// context's error, and the connection keeps waiting until the server answers. The COMMIT is never
// cancelled.
func (s *serverConn) commit(ctx context.Context, send func() error) error {
	s.mu.Lock()
	s.committing, s.unreplicated = true, false
	s.mu.Unlock()
	answered := make(chan error, 1)
	go func() { answered <- s.answered(send()) }()
	select {
	case err := <-answered:
		return err
	case <-ctx.Done():
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.committing {
		return <-answered
	}
	s.abandoned = true
	s.unanswered.add(s)
	return ctx.Err()
}

// endRead sends the COMMIT of a read-only transaction, and returns without the answer: the rows
// were read. The connection returns to the pool when the answer arrives.
func (s *serverConn) endRead(send func() error) {
	s.mu.Lock()
	s.committing, s.unreplicated, s.abandoned = true, false, true
	s.mu.Unlock()
	go func() { _ = s.answered(send()) }()
}

// answered ends the COMMIT, and returns the connection to the pool if its caller has stopped waiting.
func (s *serverConn) answered(err error) error {
	s.mu.Lock()
	if err == nil && s.unreplicated {
		err = errUnreplicated
	}
	s.committing = false
	release, abandoned := s.release, s.abandoned
	s.release, s.abandoned = nil, false
	s.mu.Unlock()
	if abandoned {
		s.unanswered.remove(s)
	}
	if release != nil {
		_ = release() // returns the connection to the pool, which cannot fail
	}
	return err
}

// releaseWhenIdle calls release once no COMMIT is running on the connection.
func (s *serverConn) releaseWhenIdle(release func() error) error {
	s.mu.Lock()
	if s.abandoned {
		defer s.mu.Unlock()
		s.release = release
		return nil
	}
	s.mu.Unlock()
	return release()
}

// close breaks the connection.
func (s *serverConn) close() { _ = s.server.Conn().Close() } // the error does not matter

// unansweredCommits are the connections with an unanswered COMMIT whose caller has stopped waiting. Safe for
// concurrent use.
type unansweredCommits struct {
	limit  int // maximum number of connections, so that others can still read
	health *health
	// cancelDelay is how long the server may take to confirm the cancellation of a statement. Then the connection breaks.
	cancelDelay time.Duration

	mu     sync.Mutex
	conns  map[*serverConn]struct{}
	closed bool
}

func (u *unansweredCommits) add(s *serverConn) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.conns[s] = struct{}{}
	u.health.setUnanswered(len(u.conns))
	if u.closed {
		s.close()
	}
}

func (u *unansweredCommits) remove(s *serverConn) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.conns, s)
	u.health.setUnanswered(len(u.conns))
}

// tooMany reports whether the limit for further writing connections is reached.
func (u *unansweredCommits) tooMany() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return len(u.conns) >= u.limit
}

// close breaks these connections and prevents new ones.
func (u *unansweredCommits) close() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.closed = true
	for s := range u.conns {
		s.close()
	}
}
