package db

import (
	"bytes"
	"io"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/stretchr/testify/require"
)

// writerFunc is a function as an io.Writer.
type writerFunc func(b []byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

// TestAnswersBeforeTheMessageIsSent reads the answers while the message is still being sent, as the
// driver does for large messages.
func TestAnswersBeforeTheMessageIsSent(t *testing.T) {
	t.Parallel()
	var answers []byte
	for _, m := range []pgproto3.BackendMessage{
		&pgproto3.ParseComplete{}, &pgproto3.BindComplete{},
		&pgproto3.DataRow{Values: [][]byte{[]byte("of the statement in front")}},
		&pgproto3.CommandComplete{CommandTag: []byte("SELECT 1")},
		&pgproto3.ReadyForQuery{TxStatus: 'T'},
	} {
		answers = must(m.Encode(answers))
	}
	a := ahead{named: map[string]string{}, reader: bytes.NewReader(answers)}
	var received, sent []byte
	a.writer = writerFunc(func(b []byte) (int, error) {
		var err error
		received, err = io.ReadAll(aheadReader{&a})
		require.NoError(t, err)
		sent = bytes.Clone(b)
		return len(b), nil
	})
	a.add("SELECT 'in front'")
	message := must((&pgproto3.Sync{}).Encode(nil))
	n, err := aheadWriter{&a}.Write(message)
	require.NoError(t, err)
	require.Equal(t, len(message), n)
	require.Greater(t, len(sent), len(message))
	require.Equal(t, must((&pgproto3.ReadyForQuery{TxStatus: 'T'}).Encode(nil)), received)
}

// chunks reads at most so many bytes at a time.
type chunks struct {
	reader io.Reader
	most   int
}

func (c chunks) Read(b []byte) (int, error) { return c.reader.Read(b[:min(len(b), c.most)]) }

// TestAnswersInPieces receives the answers in pieces of every size: the driver gets the same bytes.
func TestAnswersInPieces(t *testing.T) {
	t.Parallel()
	encoded := func(messages ...pgproto3.BackendMessage) (b []byte) {
		for _, m := range messages {
			b = must(m.Encode(b))
		}
		return b
	}
	notice := encoded(&pgproto3.NoticeResponse{Severity: "NOTICE", Message: "for the driver"})
	inFront := encoded(&pgproto3.BindComplete{}, &pgproto3.DataRow{Values: [][]byte{[]byte("in front")}},
		&pgproto3.CommandComplete{CommandTag: []byte("BEGIN")})
	own := encoded(&pgproto3.ParseComplete{}, &pgproto3.BindComplete{},
		&pgproto3.DataRow{Values: [][]byte{bytes.Repeat([]byte("own "), 50)}},
		&pgproto3.CommandComplete{CommandTag: []byte("SELECT 1")}, &pgproto3.ReadyForQuery{TxStatus: 'T'})
	failure := encoded(&pgproto3.ErrorResponse{Code: "25006"}, &pgproto3.ReadyForQuery{TxStatus: 'E'})
	for name, c := range map[string]struct{ sent, received []byte }{
		"both succeed":            {slices.Concat(inFront, notice, inFront, own), slices.Concat(notice, own)},
		"the first one fails":     {failure, failure},
		"the second one fails":    {slices.Concat(inFront, failure), failure},
		"the driver's own answer": {slices.Concat(inFront, inFront, own, own), slices.Concat(own, own)},
	} {
		for most := 1; most <= len(c.sent); most++ {
			a := ahead{named: map[string]string{}, writer: io.Discard, reader: chunks{bytes.NewReader(c.sent), most}}
			a.add("BEGIN")
			a.add("SELECT set_config('a', 'b', true)")
			_, err := aheadWriter{&a}.Write(must((&pgproto3.Sync{}).Encode(nil)))
			require.NoError(t, err)
			received, err := io.ReadAll(aheadReader{&a})
			require.NoError(t, err)
			require.Equal(t, c.received, received, "%s, in pieces of %d bytes", name, most)
		}
	}
}

// TestErrorInFrontOfASimpleQuery checks that a Sync follows: the server skips the query up to one, and
// the query has none of its own.
func TestErrorInFrontOfASimpleQuery(t *testing.T) {
	t.Parallel()
	failure := must((&pgproto3.ErrorResponse{Code: "25006"}).Encode(nil))
	for _, c := range []struct {
		message pgproto3.FrontendMessage
		resyncs bool
	}{{&pgproto3.Query{String: "COMMIT"}, true}, {&pgproto3.Sync{}, false}} {
		var sent bytes.Buffer
		a := ahead{named: map[string]string{}, writer: &sent, reader: bytes.NewReader(failure)}
		a.add("BEGIN")
		_, err := aheadWriter{&a}.Write(must(c.message.Encode(nil)))
		require.NoError(t, err)
		sent.Reset()
		received := make([]byte, len(failure))
		n, err := aheadReader{&a}.Read(received)
		require.NoError(t, err)
		require.Equal(t, failure, received[:n])
		require.Equal(t, c.resyncs, bytes.Equal(must((&pgproto3.Sync{}).Encode(nil)), sent.Bytes()), "%T", c.message)
	}
}
