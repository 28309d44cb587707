package events

import (
	"encoding/base64"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

func mustDecode(t testing.TB, text string) []byte {
	t.Helper()
	b, err := base64.StdEncoding.DecodeString(text)
	require.NoError(t, err)
	return b
}

func TestRetriesTakeAboutADay(t *testing.T) {
	t.Parallel()
	var all time.Duration
	for i, delay := range retryDelays {
		all += delay
		if i > 0 {
			require.GreaterOrEqual(t, delay, 3*retryDelays[i-1])
		}
	}
	require.InDelta(t, 24, all.Hours(), 3)
}

func TestHub(t *testing.T) {
	t.Parallel()
	var h streamHub
	own, other, user := uuid.New(), uuid.New(), uuid.New()
	w, err := h.add(own, user)
	require.NoError(t, err)
	woken := func() bool {
		select {
		case <-w.wake:
			return true
		default:
			return false
		}
	}
	h.advance(head{other, 5})
	require.False(t, woken(), "events of another organization")
	h.advance(head{own, 5}, head{own, 6})
	require.True(t, woken())
	require.False(t, woken(), "once for all new events")
	h.advance(head{own, 6})
	require.False(t, woken(), "already notified of it")
	h.wakeAll()
	require.True(t, woken())
	require.Equal(t, []uuid.UUID{own}, h.organizations())
	h.remove(w)
	require.Empty(t, h.organizations())
	require.Empty(t, h.users)
}

func TestParseHead(t *testing.T) {
	t.Parallel()
	h := head{uuid.New(), 42}
	parsed, ok := parseHead(h.OrganizationID.String() + " 42") // the format of [store.move]
	require.True(t, ok)
	require.Equal(t, h, parsed)
	for _, text := range []string{"", "x", h.OrganizationID.String(), h.OrganizationID.String() + " x", "x 1"} {
		_, ok := parseHead(text)
		require.False(t, ok, text)
	}
}
