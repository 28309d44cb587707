package portabletest

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/jackc/pgx/v5/pgconn"

	"omnirapeutic/platform/db/pgurl"
	"omnirapeutic/platform/db/wireproxy"
)

// Proxy forwards connections to a PostgreSQL server. It refuses statements and settings of a connection that the
// portable profile does not use, with SQLSTATE 0A000. It understands the wire protocol without TLS. Safe for
// concurrent use.
type Proxy struct {
	refuses  bool
	listener net.Listener
	network  string
	address  string

	mu      sync.Mutex
	known   map[string]string // statement → the refusal, "" for none
	refused []string
	cuts    int // COMMITs whose answers will be lost
	open    map[net.Conn]struct{}
	closed  bool
	wg      sync.WaitGroup
}

// Start forwards connections to the server of the URL until Close is called, and refuses other features.
func Start(to string) (*Proxy, error) {
	if _, err := Check("SELECT 1"); err != nil { // compiles the parser, which takes seconds
		return nil, err
	}
	return start(to, true)
}

// StartForwarding is [Start] of a proxy that refuses nothing.
func StartForwarding(to string) (*Proxy, error) { return start(to, false) }

func start(to string, refuses bool) (*Proxy, error) {
	c, err := pgurl.Parse(to)
	if err != nil {
		return nil, err
	}
	p := &Proxy{refuses: refuses, known: map[string]string{}, open: map[net.Conn]struct{}{}}
	p.network, p.address = pgconn.NetworkAddress(c.Host, c.Port)
	if p.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil { //nolint:noctx // ends with Close
		return nil, err
	}
	p.wg.Go(p.accept)
	return p, nil
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
	query.Set("sslmode", "disable")
	u.RawQuery = query.Encode()
	u.Host = p.listener.Addr().String()
	return u.String()
}

// Refusals returns the refusals so far.
func (p *Proxy) Refusals() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.refused)
}

// LoseCommits breaks the connections of the next COMMITs, after the server has executed them and before their
// answers arrive.
func (p *Proxy) LoseCommits(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cuts = n
}

// Lost returns the number of COMMITs whose answers will still be lost.
func (p *Proxy) Lost() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cuts
}

func (p *Proxy) takeCut() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cuts == 0 {
		return false
	}
	p.cuts--
	return true
}

// Close ends all connections.
func (p *Proxy) Close() {
	p.listener.Close() //nolint:errcheck,gosec // nothing was written
	p.mu.Lock()
	p.closed = true
	for c := range p.open {
		c.Close() //nolint:gosec // ends the connection in any case
	}
	p.mu.Unlock()
	p.wg.Wait()
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return // closed
		}
		server, err := net.Dial(p.network, p.address) //nolint:noctx // ends with Close
		if err != nil {
			client.Close() //nolint:gosec // nothing was written
			continue
		}
		if !p.track(client, server) {
			return
		}
		l := &link{proxy: p, client: client, server: server, prepared: map[string]string{}}
		p.wg.Go(l.run)
	}
}

func (p *Proxy) track(conns ...net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range conns {
		if p.closed {
			c.Close() //nolint:gosec // nothing was written
		}
		p.open[c] = struct{}{}
	}
	return !p.closed
}

func (p *Proxy) forget(c net.Conn) {
	c.Close() //nolint:gosec // ends the connection in any case
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.open, c)
}

// refuse records a refusal and returns its number.
func (p *Proxy) refuse(text string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refused = append(p.refused, text)
	return len(p.refused) - 1
}

func (p *Proxy) refusal(number int) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if number >= len(p.refused) {
		return ""
	}
	return p.refused[number]
}

// check returns the refusal of a statement, or "". A text that the parser does not understand is the server's
// to refuse.
func (p *Proxy) check(sql string) string {
	p.mu.Lock()
	text, known := p.known[sql]
	p.mu.Unlock()
	if known || !p.refuses {
		return text
	}
	if found, err := Check(sql); err == nil && len(found) > 0 {
		text = fmt.Sprintf("the portable profile does not use %s: %s", strings.Join(found, ", "), sql)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.known[sql] = text
	return text
}

// link is one connection through the proxy.
type link struct {
	proxy          *Proxy
	client, server net.Conn
	prepared       map[string]string // the texts of statements, by name
	cut            atomic.Bool       // nothing more reaches the client
}

func (l *link) run() {
	defer l.proxy.forget(l.server)
	defer l.proxy.forget(l.client)
	from := bufio.NewReader(l.client)
	if err := l.begin(from); err != nil {
		return
	}
	l.proxy.wg.Go(l.forwardAnswers)
	to := bufio.NewWriter(l.server)
	for {
		m, err := wireproxy.ReadMessage(from, 1)
		if err != nil {
			return
		}
		if l.executes(m) == "commit" && l.proxy.takeCut() {
			l.cut.Store(true)
		}
		if _, err := to.Write(l.checked(m)); err != nil {
			return
		}
		if from.Buffered() == 0 && to.Flush() != nil {
			return
		}
	}
}

// Codes of the first message of a connection.
const (
	version3      = 3 << 16
	cancelRequest = 80877102
	sslRequest    = 80877103
	gssRequest    = 80877104
)

var errRefused = errors.New("portabletest: the connection was refused")

// begin forwards the first message. It refuses settings that other engines lack.
func (l *link) begin(from *bufio.Reader) error {
	for {
		m, err := wireproxy.ReadMessage(from, 0)
		if err != nil {
			return err
		}
		const head = 8
		if len(m) < head {
			return errRefused
		}
		switch binary.BigEndian.Uint32(m[4:]) {
		case sslRequest, gssRequest:
			if _, err := l.client.Write([]byte{'N'}); err != nil {
				return err
			}
			continue
		case version3:
			for parts := strings.Split(string(m[head:]), "\x00"); len(parts) > 1 && parts[0] != ""; parts = parts[2:] {
				if l.proxy.refuses && !slices.Contains(settingsOfConnections, strings.ToLower(parts[0])) {
					text := fmt.Sprintf("the portable profile does not use the setting %s of a connection", parts[0])
					l.proxy.refuse(text)
					_, _ = l.client.Write(errorResponse("FATAL", text)) // the connection ends in any case
					return errRefused
				}
			}
		}
		_, err = l.server.Write(m)
		return err
	}
}

// settingsOfConnections are the parameters with which a connection may begin.
var settingsOfConnections = []string{"user", "database", "application_name", "client_encoding", "timezone"}

// executes returns the statement that the message executes, in lower case, or "".
func (l *link) executes(m []byte) string {
	body := m[5:]
	switch m[0] {
	case 'Q': // Query: SQL
		return strings.ToLower(wireproxy.CutText(&body))
	case 'P': // Parse: name, SQL, types
		name := wireproxy.CutText(&body)
		l.prepared[name] = strings.ToLower(wireproxy.CutText(&body))
	case 'B': // Bind: portal, name of the statement, …
		wireproxy.CutText(&body)
		return l.prepared[wireproxy.CutText(&body)]
	}
	return ""
}

const mark = "omni_refused_"

// checked returns the message, or one that the server refuses, in place of a refused statement. So the server's
// side of the protocol remains right. [link.forwardAnswers] replaces its error.
func (l *link) checked(m []byte) []byte {
	var name, sql string
	body := m[5:]
	switch m[0] {
	case 'Q': // Query: SQL
		sql = wireproxy.CutText(&body)
	case 'P': // Parse: name, SQL, types
		name = wireproxy.CutText(&body)
		sql = wireproxy.CutText(&body)
	default:
		return m
	}
	refusal := l.proxy.check(sql)
	if refusal == "" {
		return m
	}
	replaced := "SELECT " + mark + strconv.Itoa(l.proxy.refuse(refusal)) + "\x00"
	if m[0] == 'P' {
		replaced = name + "\x00" + replaced + "\x00\x00"
	}
	return message(m[0], replaced)
}

// forwardAnswers forwards the server's messages.
func (l *link) forwardAnswers() {
	defer l.proxy.forget(l.client)
	defer l.proxy.forget(l.server)
	from, to := bufio.NewReader(l.server), bufio.NewWriter(l.client)
	for {
		m, err := wireproxy.ReadMessage(from, 1)
		if err != nil {
			_ = to.Flush()
			return
		}
		if l.cut.Load() {
			if m[0] == 'Z' { // ReadyForQuery: the COMMIT has ended
				return
			}
			continue
		}
		if m[0] == 'E' {
			if _, after, marked := strings.Cut(string(m), mark); marked {
				digits := after[:len(after)-len(strings.TrimLeft(after, "0123456789"))]
				number, _ := strconv.Atoi(digits)
				m = errorResponse("ERROR", l.proxy.refusal(number))
			}
		}
		if _, err := to.Write(m); err != nil {
			return
		}
		if from.Buffered() == 0 && to.Flush() != nil {
			return
		}
	}
}

func errorResponse(severity, text string) []byte {
	return message('E', "S"+severity+"\x00V"+severity+"\x00C0A000\x00M"+text+"\x00\x00")
}

func message(kind byte, body string) []byte {
	m := binary.BigEndian.AppendUint32([]byte{kind}, uint32(len(body)+4)) //nolint:gosec // far below 4 GiB
	return append(m, body...)
}
