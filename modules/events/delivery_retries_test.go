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
