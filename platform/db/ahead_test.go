package db

import (
	"bytes"
	"io"
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
