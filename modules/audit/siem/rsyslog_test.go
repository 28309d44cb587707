package siem_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omnirapeutic/modules/audit/siem"
	"omnirapeutic/modules/audit/siem/siemtest"
)

// TestRsyslogReceivesEveryEvent sends events to Debian's rsyslog over TLS. CI sets OMNI_TEST_RSYSLOG.
func TestRsyslogReceivesEveryEvent(t *testing.T) {
	t.Parallel()
	to, out := siemtest.Rsyslog(t)
	const rounds, many = 4, 500
	for range rounds {
		require.NoError(t, to.Send(t.Context(), events(many)))
	}
	var lines []string
	require.Eventually(t, func() bool {
		text, _ := os.ReadFile(out)
		lines = strings.Split(strings.TrimSpace(string(text)), "\n")
		return len(lines) >= rounds*many
	}, 10*time.Second, 50*time.Millisecond)
	require.Len(t, lines, rounds*many)
	for i, line := range lines {
		parts := strings.SplitN(line, " ", 3)
		require.Equal(t, "patient.read", parts[1])
		var e siem.Event
		require.NoError(t, json.Unmarshal([]byte(strings.TrimSpace(parts[2])), &e), line)
		require.Equal(t, events(many)[i%many], e)
	}
}
