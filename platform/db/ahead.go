package db

import (
	"io"
	"strconv"
	"sync"

	"github.com/jackc/pgx/v5/pgproto3"
)

// ahead sends statements in front of the next statement of a connection, in the same round trip, and
// hides their answers from the driver. BEGIN and the settings of a transaction travel this way. So no
// transaction needs a round trip to begin, whether gorm or pgx sends its first statement.
//
// The statements have no Sync of their own (PostgreSQL's protocol, "Pipelining"): if one fails, the
// server skips the driver's statement too, and the driver gets the error as that statement's. So
// nothing can run outside of the transaction. A simple query has no Sync, so after an error one is sent.
//
// A transaction uses it from one goroutine at a time. The driver may also write and read at the same
// time: it reads in the background while a message is being sent, and closes a broken connection in
// the background.
type ahead struct {
	reader io.Reader
	writer io.Writer

	mu    sync.Mutex        // guards the rest; not held during I/O
	names bool              // statements are prepared once; poolers in transaction mode do not support it
	named map[string]string // names of prepared statements, by text

	unsent  []byte              // encoded statements
	count   int                 // of unsent statements
	parsing []preparedStatement // statements with a name that are being prepared
	serial  int                 // of the last name
	hidden  int                 // answers of sent statements that have not been hidden yet
	simple  bool                // the message behind the sent statements is a simple query
	resync  bool                // the server skips messages up to a Sync that has not been sent

	// The message at which the reader is.
	head [5]byte // type and length
	got  int     // bytes of the head
	left int     // bytes of the body that follow
	keep bool    // the driver gets the message
}

type preparedStatement struct{ name, statement string }

// frontend returns the driver's end of the protocol, with the statements inserted.
func (a *ahead) frontend(r io.Reader, w io.Writer) *pgproto3.Frontend {
	a.reader, a.writer = r, w
	return pgproto3.NewFrontend(aheadReader{a}, aheadWriter{a})
}

// add adds a statement with text arguments. Its rows are ignored.
func (a *ahead) add(statement string, arguments ...string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	name, known := a.named[statement]
	if !known {
		if a.names {
			a.serial++
			name = "omni_" + strconv.Itoa(a.serial)
			a.parsing = append(a.parsing, preparedStatement{name, statement})
		}
		a.unsent = must((&pgproto3.Parse{Name: name, Query: statement}).Encode(a.unsent))
	}
	parameters := make([][]byte, len(arguments))
	for i, argument := range arguments {
		parameters[i] = []byte(argument)
	}
	a.unsent = must((&pgproto3.Bind{PreparedStatement: name, Parameters: parameters}).Encode(a.unsent))
	a.unsent = must((&pgproto3.Execute{}).Encode(a.unsent))
	a.count++
}

// must returns the encoded message. Only messages beyond a gigabyte cannot be encoded.
func must(encoded []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return encoded
}

// isUnsent reports whether statements wait for the next one.
func (a *ahead) isUnsent() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.count > 0
}

// drop removes the statements that wait.
func (a *ahead) drop() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.unsent, a.count, a.parsing = a.unsent[:0], 0, a.parsing[:0]
}

// answered is called when all statements have succeeded.
func (a *ahead) answered() {
	for _, p := range a.parsing {
		a.named[p.statement] = p.name
	}
	a.parsing = a.parsing[:0]
}

type aheadWriter struct{ *ahead }

// Write implements io.Writer. The driver writes whole messages.
func (a aheadWriter) Write(b []byte) (int, error) {
	message, prefix := a.inFrontOf(b)
	n, err := a.writer.Write(message)
	return max(n-prefix, 0), err
}

// inFrontOf returns the message with the statements in front of it, and their length. Their answers are
// hidden from now on: the server may answer before all of the message is sent.
func (a *ahead) inFrontOf(b []byte) (message []byte, prefix int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.count == 0 {
		return b, 0
	}
	prefix = len(a.unsent)
	message = append(a.unsent, b...)
	a.hidden += a.count
	a.unsent, a.count = nil, 0
	a.simple = b[0] == 'Q'
	return message, prefix
}

type aheadReader struct{ *ahead }

// Read implements io.Reader.
func (a aheadReader) Read(b []byte) (int, error) {
	for {
		n, err := a.reader.Read(b)
		n, resync := a.hide(b[:n])
		if resync && err == nil {
			_, err = a.writer.Write(must((&pgproto3.Sync{}).Encode(nil)))
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
}

// hide removes the answers of the statements from the bytes. It returns the number of the rest, and whether
// the server needs a Sync.
func (a *ahead) hide(b []byte) (kept int, resync bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	defer func() { resync, a.resync = a.resync, false }()
	for i := 0; i < len(b); {
		if a.got == 0 && a.hidden == 0 { // the rest is the driver's
			return kept + copy(b[kept:], b[i:]), false
		}
		begin := i
		if a.got < len(a.head) {
			if a.got == 0 {
				a.keep = a.isForDriver(b[i])
			}
			taken := copy(a.head[a.got:], b[i:])
			if a.got, i = a.got+taken, i+taken; a.got == len(a.head) {
				a.left = int(uint32(a.head[1])<<24|uint32(a.head[2])<<16|uint32(a.head[3])<<8|uint32(a.head[4])) - 4
			}
		}
		if a.got == len(a.head) {
			taken := min(a.left, len(b)-i)
			a.left, i = a.left-taken, i+taken
		}
		if a.keep {
			kept += copy(b[kept:], b[begin:i])
		}
		if a.got == len(a.head) && a.left == 0 {
			a.end()
		}
	}
	return kept, false
}

// isForDriver reports whether the driver gets a message of the kind. An error ends the statements that
// were sent ahead: the server skips to the driver's Sync.
func (a *ahead) isForDriver(kind byte) bool {
	switch kind {
	case '1', '2', 'n', 'D', 'C': // ParseComplete, BindComplete, NoData, DataRow, CommandComplete
		return false
	case 'E': // ErrorResponse
		a.hidden, a.parsing, a.resync = 0, a.parsing[:0], a.resync || a.simple && a.hidden > 0
	}
	return true
}

// end ends the message at which the reader is.
func (a *ahead) end() {
	if a.got = 0; a.head[0] == 'C' && a.hidden > 0 && !a.keep {
		if a.hidden--; a.hidden == 0 {
			a.answered()
		}
	}
}
