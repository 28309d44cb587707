package wireproxy

import (
	"net"
	"sync"
)

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
	startup, err := ReadMessage(l.client, 0)
	if err != nil || write(l.server, startup) != nil {
		l.proxy.forget(l.server)
		return
	}
	for {
		m, err := ReadMessage(l.client, 1)
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
	claims := l.proxy.claimed()
	for {
		m, err := ReadMessage(l.server, 1)
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
			m, claims = append(claims, m...), nil
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
		return plain(CutText(&body))
	case 'P': // Parse: name, SQL, …
		name := CutText(&body)
		l.statements[name] = plain(CutText(&body))
	case 'B': // Bind: portal, name of the statement, …
		CutText(&body)
		return l.statements[CutText(&body)]
	}
	return ""
}
