// Package wireproxy stands between a program and PostgreSQL in tests, and breaks
// the connection at a chosen statement. It knows just enough of the wire protocol
// (version 3, without TLS) to tell messages apart.
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

// Place is where a connection breaks.
type Place int

// Where a connection can break.
const (
	// BeforeServer breaks both sides; the server never sees the statement.
	BeforeServer Place = iota
	// BeforeAnswer breaks both sides once the server has carried the statement out.
	BeforeAnswer
	// InAnswer breaks both sides once the server has carried the statement out, and its
	// answer, or the first row of it, has reached the client, but not the end of all.
	InAnswer
	// InFlight breaks the client's side, and gives the statement, one without
	// arguments, to the server when the fault is released.
	InFlight
	// Held breaks nothing: the statement waits, and with it its transaction, until
	// the fault is released or dropped. Its client can be killed meanwhile.
	Held
)

// Fault breaks connections at one statement. Make it with [Proxy.Break].
type Fault struct {
	place     Place
	after     string // what the connection's statement before begins with
	statement string
	proxy     *Proxy
	left      int // connections still to break; guarded by the proxy's mutex
	release   chan struct{}
	dropped   bool // set before release is closed
	done      chan struct{}
}

// Release lets a statement that is [InFlight] or [Held] reach the server, and
// returns once the server has answered the one, or the other is on its way. It
// waits until there is one; call it once, on a fault that breaks one connection.
func (f *Fault) Release() {
	close(f.release)
	<-f.done
}

// Drop closes the server's side of a connection whose statement is [Held], as the
// system does for a client that was killed before it sent it. It is called
// instead of Release.
func (f *Fault) Drop() {
	f.dropped = true
	f.Release()
}

// Spent reports whether the fault has met all its statements.
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

	turns atomic.Int64

	mu     sync.Mutex
	faults []*Fault
	open   map[net.Conn]struct{}
	closed bool
	wg     sync.WaitGroup
}

// Start forwards connections to the server of the URL until the test ends. It
// fails the test where it cannot listen.
func Start(t testing.TB, to string) *Proxy {
	t.Helper()
	c, err := pgurl.Parse(to)
	require.NoError(t, err)
	require.Nil(t, c.TLSConfig, "the proxy cannot look into TLS")
	p := &Proxy{open: map[net.Conn]struct{}{}}
	p.network, p.address = pgconn.NetworkAddress(c.Host, c.Port)
	p.listener, err = net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p.wg.Go(p.accept)
	t.Cleanup(p.close)
	return p
}

// URL returns the URL with the proxy in the server's place.
func (p *Proxy) URL(of string) string {
	u, err := url.Parse(of)
	if err != nil {
		panic(err) // Start has parsed one
	}
	query := u.Query()
	query.Del("host")
	query.Del("port")
	u.RawQuery = query.Encode()
	u.Host = p.listener.Addr().String()
	return u.String()
}

// Break arms a fault for the next statements, as many as times says, that begin
// with the text, whatever its case. Each breaks one connection.
func (p *Proxy) Break(place Place, statement string, times int) *Fault {
	return p.BreakAfter(place, "", statement, times)
}

// BreakAfter is [Proxy.Break] for statements that follow another one on their
// connection, which tells one COMMIT from the next.
func (p *Proxy) BreakAfter(place Place, after, statement string, times int) *Fault {
	f := &Fault{
		proxy: p, place: place, after: strings.ToLower(after), statement: strings.ToLower(statement), left: times,
		release: make(chan struct{}), done: make(chan struct{}),
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.faults = append(p.faults, f)
	return f
}

// Turns returns how often a server has told its client that it is the client's turn
// again: the round trips so far, one more for each connection.
func (p *Proxy) Turns() int { return int(p.turns.Load()) }

// faultAt returns what is to happen at a statement, given the one before it.
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
			close(f.release) // the test failed before it came to that
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
	last           string            // the statement before

	mu      sync.Mutex
	broken  *Fault // nothing reaches the client any more
	pending int    // statements before, whose answers have not come yet
}

// forwardQuestions carries what the client sends.
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
		if sql := l.executed(m); sql != "" {
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
				continue // what belongs to the statement follows, up to Sync
			}
		}
		if write(l.server, m) != nil {
			return
		}
	}
}

// hold keeps the message back, and reports whether the link goes on.
func (l *link) hold(f *Fault, m []byte) bool {
	defer close(f.done)
	<-f.release
	if f.dropped {
		l.proxy.forget(l.server)
		return false
	}
	return write(l.server, m) == nil
}

// breakAt does what the fault asks for, at the message that matched.
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

// await counts statements that are on their way to the server, or with -1 those that
// it has answered, and returns how many there are.
func (l *link) await(more int) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pending += more
	return l.pending
}

// forwardAnswers carries what the server sends. Of a broken link it waits for the
// end of the statement, and ends it.
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
		its := l.await(0) == 0 // the answer is that of the statement at which the link is to break
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

// executed returns the SQL that the message has the server carry out, in small
// letters, and nothing for other messages. Names of prepared statements are noted.
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

// text cuts a string off a message.
func text(body *[]byte) string {
	s, rest, _ := bytes.Cut(*body, []byte{0})
	*body = rest
	return string(s)
}

// read reads one message: its type, which the first one of a connection lacks,
// its length, and its body.
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
