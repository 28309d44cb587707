// Package wireproxy is a proxy between a program and PostgreSQL for tests. It breaks
// the connection at a chosen statement. It understands just enough of the wire protocol
// (version 3, without TLS) to distinguish messages.
package wireproxy

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"omnirapeutic/platform/db/pgurl"
)

// Point is the point at which a connection breaks.
type Point int

// The points at which a connection can break.
const (
	// BeforeServer breaks both sides; the server never sees the statement.
	BeforeServer Point = iota
	// BeforeAnswer breaks both sides after the server has executed the statement.
	BeforeAnswer
	// InAnswer breaks both sides after the server has executed the statement and part
	// of its answer, such as the first row, has reached the client.
	InAnswer
	// InFlight breaks the client's side, and forwards the statement, which must have no
	// arguments, to the server when the fault is released.
	InFlight
	// Held breaks nothing: the statement and its transaction wait until the fault is
	// released or dropped. The client can be killed in the meantime.
	Held
)

// Fault breaks connections at one statement. It is created by [Proxy.Break].
type Fault struct {
	place     Point
	after     string // prefix of the connection's previous statement
	statement string
	proxy     *Proxy
	left      int // remaining connections to break; guarded by the proxy's mutex
	release   chan struct{}
	dropped   bool // set before release is closed
	done      chan struct{}
}

// Release forwards a statement that is [InFlight] or [Held] to the server. For a
// statement in flight it returns after the server's answer, for a held one after
// forwarding. It waits for the statement. Call it once, on a fault that breaks one
// connection.
func (f *Fault) Release() {
	close(f.release)
	<-f.done
}

// Drop closes the server's side of a connection whose statement is [Held], as the
// system does for a client killed before sending. Call it instead of Release.
func (f *Fault) Drop() {
	f.dropped = true
	f.Release()
}

// Spent reports whether the fault has reached all its statements.
func (f *Fault) Spent() bool {
	f.proxy.mu.Lock()
	defer f.proxy.mu.Unlock()
	return f.left == 0
}

// Proxy forwards connections. Safe for concurrent use.
type Proxy struct {
	listener net.Listener
	network  string
	address  string

	turns   atomic.Int64
	commits atomic.Int64

	mu     sync.Mutex
	faults []*Fault
	open   map[net.Conn]struct{}
	closed bool
	wg     sync.WaitGroup
}

// Start forwards connections to the server of the URL until the test ends. It fails the
// test if it cannot listen.
func Start(t testing.TB, to string) *Proxy {
	t.Helper()
	c, err := pgurl.Parse(to)
	require.NoError(t, err)
	require.Nil(t, c.TLSConfig, "the proxy does not support TLS")
	p := &Proxy{open: map[net.Conn]struct{}{}}
	p.network, p.address = pgconn.NetworkAddress(c.Host, c.Port)
	p.listener, err = net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p.wg.Go(p.accept)
	t.Cleanup(p.close)
	return p
}

// URL returns the URL with the proxy's address.
func (p *Proxy) URL(of string) string {
	u, err := url.Parse(of)
	if err != nil {
		panic(err) // Start has parsed it
	}
	query := u.Query()
	query.Del("host")
	query.Del("port")
	u.RawQuery = query.Encode()
	u.Host = p.listener.Addr().String()
	return u.String()
}

// Break arms a fault for the next statements, up to times, that begin with the text,
// ignoring case. Each breaks one connection.
func (p *Proxy) Break(place Point, statement string, times int) *Fault {
	return p.BreakAfter(place, "", statement, times)
}

// BreakAfter is [Proxy.Break] for statements that follow another one on their
// connection. It distinguishes one COMMIT from the next.
func (p *Proxy) BreakAfter(place Point, after, statement string, times int) *Fault {
	f := &Fault{
		proxy: p, place: place, after: strings.ToLower(after), statement: strings.ToLower(statement), left: times,
		release: make(chan struct{}), done: make(chan struct{}),
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.faults = append(p.faults, f)
	return f
}

// RoundTrips returns the number of ReadyForQuery messages: the round trips so far, plus one
// per connection.
func (p *Proxy) RoundTrips() int { return int(p.turns.Load()) }

// LoneCommits returns the number of COMMITs that were sent without another statement. Nothing waits
// for the answer of a read-only transaction's COMMIT.
func (p *Proxy) LoneCommits() int { return int(p.commits.Load()) }

// faultAt returns the fault at a statement, given the previous one.
func (p *Proxy) faultAt(before, sql string) *Fault {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, f := range p.faults {
		if f.left > 0 && strings.HasPrefix(sql, f.statement) && strings.HasPrefix(before, f.after) {
			f.left--
			return f
		}
	}
	return nil
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return // closed
		}
		server, err := net.Dial(p.network, p.address)
		if err != nil {
			client.Close()
			continue
		}
		if !p.track(client, server) {
			return
		}
		l := &link{proxy: p, client: client, server: server, statements: map[string]string{}}
		p.wg.Go(l.forwardQuestions)
		p.wg.Go(l.forwardAnswers)
	}
}

func (p *Proxy) track(conns ...net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range conns {
		if p.closed {
			c.Close()
		}
		p.open[c] = struct{}{}
	}
	return !p.closed
}

func (p *Proxy) forget(c net.Conn) {
	c.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.open, c)
}

func (p *Proxy) close() {
	p.listener.Close()
	p.mu.Lock()
	p.closed = true
	for c := range p.open {
		c.Close()
	}
	for _, f := range p.faults {
		select {
		case <-f.release:
		default:
			close(f.release) // the test failed earlier
		}
	}
	p.mu.Unlock()
	p.wg.Wait()
}

// link is one connection through the proxy.
type link struct {
	proxy          *Proxy
	client, server net.Conn
	statements     map[string]string // prepared: name → SQL
	last           string            // the previous statement
	sent           int               // statements since the last Sync

	mu      sync.Mutex
	broken  *Fault // set when nothing more may reach the client
	pending int    // earlier statements whose answers have not arrived
}

// forwardQuestions forwards the client's messages.
func (l *link) forwardQuestions() {
	defer l.proxy.forget(l.client)
	startup, err := read(l.client, 0)
	if err != nil || write(l.server, startup) != nil {
		l.proxy.forget(l.server)
		return
	}
	for {
		m, err := read(l.client, 1)
		if err != nil {
			if l.brokenBy() == nil {
				l.proxy.forget(l.server)
			}
			return
		}
		sql := l.executed(m)
		l.count(m[0], sql)
		if sql != "" {
			f := l.proxy.faultAt(l.last, sql)
			l.last = sql
			if f == nil || f.place == Held {
				l.await(1)
			}
			if f != nil && f.place == Held {
				if !l.hold(f, m) {
					return
				}
				continue
			}
			if f != nil {
				l.breakAt(f, m)
				if f.place != BeforeAnswer && f.place != InAnswer {
					return
				}
				continue // the rest of the statement follows, up to Sync
			}
		}
		if write(l.server, m) != nil {
			return
		}
	}
}

// count counts a message of the client.
func (l *link) count(kind byte, sql string) {
	switch {
	case kind == 'Q' && sql == "commit": // the driver sends statements without arguments so
		l.proxy.commits.Add(1)
	case kind == 'S' && l.sent == 1 && l.last == "commit": // Sync
		l.proxy.commits.Add(1)
	}
	switch {
	case kind == 'Q', kind == 'S':
		l.sent = 0
	case sql != "":
		l.sent++
	}
}

// hold delays the message, and reports whether the link continues.
func (l *link) hold(f *Fault, m []byte) bool {
	defer close(f.done)
	<-f.release
	if f.dropped {
		l.proxy.forget(l.server)
		return false
	}
	return write(l.server, m) == nil
}

// breakAt executes the fault at the message that matched.
func (l *link) breakAt(f *Fault, m []byte) {
	l.mu.Lock()
	l.broken = f
	l.mu.Unlock()
	switch f.place {
	case BeforeServer:
		l.proxy.forget(l.server)
	case BeforeAnswer, InAnswer:
		_ = write(l.server, m) // if it fails, the other direction ends the link
	case InFlight:
		l.proxy.forget(l.client)
		<-f.release
		_ = write(l.server, m) // as above
	}
}

func (l *link) brokenBy() *Fault {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.broken
}

// await adds n to the number of statements without an answer, and returns the sum.
func (l *link) await(more int) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pending += more
	return l.pending
}

// forwardAnswers forwards the server's messages. It ends a broken link after the end of
// the statement.
func (l *link) forwardAnswers() {
	defer l.proxy.forget(l.server)
	defer l.proxy.forget(l.client)
	for {
		m, err := read(l.server, 1)
		f := l.brokenBy()
		if f != nil && (err != nil || m[0] == 'Z') { // ReadyForQuery
			if f.place == InFlight {
				close(f.done)
			}
			return
		}
		if err != nil {
			return
		}
		its := l.await(0) == 0 // the answer belongs to the statement at which the link breaks
		switch m[0] {
		case 'C': // CommandComplete
			l.await(-1)
		case 'Z':
			l.proxy.turns.Add(1)
		}
		if (f == nil || f.place == InAnswer) && write(l.client, m) != nil {
			return
		}
		if f != nil && f.place == InAnswer && its && (m[0] == 'D' || m[0] == 'C') { // DataRow
			return
		}
	}
}

// executed returns the SQL that the message executes, in lower case, or "" for other
// messages. It records names of prepared statements.
func (l *link) executed(m []byte) string {
	kind, body := m[0], m[5:]
	switch kind {
	case 'Q': // Query: SQL
		return plain(text(&body))
	case 'P': // Parse: name, SQL, …
		name := text(&body)
		l.statements[name] = plain(text(&body))
	case 'B': // Bind: portal, name of the statement, …
		text(&body)
		return l.statements[text(&body)]
	}
	return ""
}

func plain(sql string) string { return strings.ToLower(strings.TrimSpace(sql)) }

// text reads a zero-terminated string from a message.
func text(body *[]byte) string {
	s, rest, _ := bytes.Cut(*body, []byte{0})
	*body = rest
	return string(s)
}

// read reads one message: type (absent from the first of a connection), length and
// body.
func read(from io.Reader, typed int) ([]byte, error) {
	head := make([]byte, typed+4)
	if _, err := io.ReadFull(from, head); err != nil {
		return nil, err
	}
	length := int(binary.BigEndian.Uint32(head[typed:])) - 4
	if length < 0 || length > 1<<24 {
		return nil, errors.New("wireproxy: not a message")
	}
	m := append(head, make([]byte, length)...)
	_, err := io.ReadFull(from, m[typed+4:])
	return m, err
}

func write(to io.Writer, m []byte) error {
	_, err := to.Write(m)
	return err
}
