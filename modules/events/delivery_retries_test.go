package events

import (
	"encoding/base64"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

func mustDecode(t testing.TB, text string) []byte {
	t.Helper()
	b, err := base64.StdEncoding.DecodeString(text)
	require.NoError(t, err)
	return b
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
