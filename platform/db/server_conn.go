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
	KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: keepAliveIdle, Interval: keepAliveInterval, Count: keepAliveCount},
	Control:         setUserTimeout,
}

// serverSettings makes the server detect as soon that a client is gone, and end its session.
// Unknown settings are skipped.
const serverSettings = `
	SELECT set_config(s.name, w.value, false)
	FROM (VALUES ('tcp_keepalives_idle', '10'), ('tcp_keepalives_interval', '5'), ('tcp_keepalives_count', '3'),
	             ('tcp_user_timeout', '15s'), ('client_connection_check_interval', '2s')) AS w (name, value)
	JOIN pg_settings s ON s.name = w.name`

// askToNotice asks the server to detect soon that this client is gone. A server or operating system
// without these settings keeps its defaults.
func askToNotice(ctx context.Context, c *pgx.Conn) error {
	_, err := c.Exec(ctx, serverSettings)
	var refused *pgconn.PgError
	if errors.As(err, &refused) {
		return nil
	}
	return err
}

// line is a connection to the server with state that pgx does not track: whether a COMMIT is
// running, which must not be cancelled. If a COMMIT is cancelled while it waits for a synchronous
// standby, PostgreSQL reports success with a warning.
type line struct {
	unanswered *unanswered

	server *pgconn.PgConn // nil until there is a connection

	mu           sync.Mutex
	committing   bool
	unreplicated bool         // the server has warned, see isUnreplicated
	left         bool         // the caller has stopped waiting for its COMMIT
	release      func() error // runs once the COMMIT is answered
}

var errCommitting = errors.New("db: a COMMIT must not be cancelled")

// errUnreplicated: this server has committed, but perhaps no standby has.
var errUnreplicated = errors.New("db: the server stopped waiting for its synchronous standby: a failover could lose the commit")

// lines is the key of a connection's line in its custom data.
const lineKey = "omnirapeutic.line"

// lineOf returns the line of a connection of the pool.
func lineOf(c *pgx.Conn) *line { return c.PgConn().CustomData()[lineKey].(*line) }

// instrument makes a new connection report to a line.
func (u *unanswered) instrument(c *pgx.ConnConfig) {
	l := &line{unanswered: u}
	c.DialFunc = l.dial
	c.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) { l.notice(n) }
	c.BuildContextWatcherHandler = func(p *pgconn.PgConn) ctxwatch.Handler {
		l.server = p
		p.CustomData()[lineKey] = l
		// A statement whose context ends is cancelled at the server, and the connection is kept;
		// pgx's default destroys it.
		return &pgconn.CancelRequestContextWatcherHandler{Conn: p, DeadlineDelay: time.Second}
	}
}

// dial opens the connection, and later further ones for cancel requests, which pgx also sends when
// the connection breaks. It refuses to dial during a COMMIT.
func (l *line) dial(ctx context.Context, network, address string) (net.Conn, error) {
	l.mu.Lock()
	committing := l.committing
	l.mu.Unlock()
	if committing {
		return nil, errCommitting
	}
	return dialer.DialContext(ctx, network, address)
}

// notice records the server's warning about a commit that may not have reached a standby. The
// SQLSTATE is not specific and the text is translated, so it identifies the warning by the server
// function that issues it.
func (l *line) notice(n *pgconn.Notice) {
	if n.Routine == "SyncRepWaitForLSN" {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.unreplicated = true
	}
}

// commit sends a COMMIT and waits for its answer until the context ends. Then it returns the
// context's error, and the connection keeps waiting until the server answers. The COMMIT is never
// cancelled.
func (l *line) commit(ctx context.Context, send func() error) error {
	l.mu.Lock()
	l.committing, l.unreplicated = true, false
	l.mu.Unlock()
	answered := make(chan error, 1)
	go func() { answered <- l.answered(send()) }()
	select {
	case err := <-answered:
		return err
	case <-ctx.Done():
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.committing {
		return <-answered
	}
	l.left = true
	l.unanswered.add(l)
	return ctx.Err()
}

// answered ends the COMMIT, and returns the connection to the pool if its caller has left.
func (l *line) answered(err error) error {
	l.mu.Lock()
	if err == nil && l.unreplicated {
		err = errUnreplicated
	}
	l.committing = false
	release, left := l.release, l.left
	l.release, l.left = nil, false
	l.mu.Unlock()
	if left {
		l.unanswered.remove(l)
	}
	if release != nil {
		_ = release() // returns the connection to the pool, which cannot fail
	}
	return err
}

// giveBack calls release once no COMMIT is running on the connection.
func (l *line) giveBack(release func() error) error {
	l.mu.Lock()
	if l.left {
		defer l.mu.Unlock()
		l.release = release
		return nil
	}
	l.mu.Unlock()
	return release()
}

// cut breaks the connection.
func (l *line) cut() { _ = l.server.Conn().Close() } // the error does not matter

// unanswered are the connections with an unanswered COMMIT whose caller has left. Safe for
// concurrent use.
type unanswered struct {
	limit  int // maximum number of lines, so that others can still read
	health *health

	mu     sync.Mutex
	lines  map[*line]struct{}
	closed bool
}

func (u *unanswered) add(l *line) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.lines[l] = struct{}{}
	u.health.unanswered(len(u.lines))
	if u.closed {
		l.cut()
	}
}

func (u *unanswered) remove(l *line) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.lines, l)
	u.health.unanswered(len(u.lines))
}

// tooMany reports whether the limit for further writing connections is reached.
func (u *unanswered) tooMany() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return len(u.lines) >= u.limit
}

// close breaks these connections and prevents new ones.
func (u *unanswered) close() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.closed = true
	for l := range u.lines {
		l.cut()
	}
}
