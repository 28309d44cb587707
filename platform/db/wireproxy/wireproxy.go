// Package wireproxy is a proxy between a program and PostgreSQL for tests. It breaks
// the connection at a chosen statement. It understands just enough of the wire protocol
// (version 3, without TLS) to distinguish messages.
package wireproxy

import (
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"omnirapeutic/platform/db/pgurl"
)

// Proxy forwards connections. Safe for concurrent use.
type Proxy struct {
	listener net.Listener
	network  string
	address  string

	turns   atomic.Int64
	commits atomic.Int64

	mu     sync.Mutex
	faults []*Fault
	claims []byte
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

// Claim makes new connections report this value of a parameter, instead of the server's. Poolers do so: they
// repeat the values of their first server connection.
func (p *Proxy) Claim(parameter, value string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.claims = status(parameter, value)
}

func (p *Proxy) claimed() []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.claims
}

// RoundTrips returns the number of ReadyForQuery messages: the round trips so far, plus one
// per connection.
func (p *Proxy) RoundTrips() int { return int(p.turns.Load()) }

// LoneCommits returns the number of COMMITs that were sent without another statement. Nothing waits
// for the answer of a read-only transaction's COMMIT.
func (p *Proxy) LoneCommits() int { return int(p.commits.Load()) }

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
