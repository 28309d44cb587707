package wireproxy

import "strings"

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
