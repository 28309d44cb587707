package e2e

import (
	"context"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omnirapeutic/e2e/harness"
)

// TestAuditEventsAreSentToTheConfiguredSIEM runs the jobs that seal and send the events of requests.
func TestAuditEventsAreSentToTheConfiguredSIEM(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var received strings.Builder
	server := httptest.NewTLSServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		_, _ = io.Copy(&received, r.Body) // a lost line fails the test
	}))
	t.Cleanup(server.Close)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	require.NoError(t, os.WriteFile(ca, text, 0o600))
	database := harness.TwoPractices.New(t)
	c := harness.Serve(t, database, database.Open(t), "OMNI_SIEM="+server.URL+"?ca="+ca)
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { c.App.RunJobs(ctx, "seal-audit-events", "send-audit-events") })
	t.Cleanup(func() { stop(); running.Wait() })

	id := c.Admin().Get(t, "/patients/"+c.Own.Patient.String()).OK(t).RequestID()
	require.Eventually(t, func() bool {
		mu.Lock()
		defer mu.Unlock()
		for line := range strings.Lines(received.String()) {
			if strings.Contains(line, id) {
				return strings.Contains(line, `"action":"patient.read"`) && strings.Contains(line, `"address":"127.0.0.1"`)
			}
		}
		return false
	}, 20*time.Second, 10*time.Millisecond)
}
