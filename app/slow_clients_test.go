package app

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omnirapeutic/config"
	"omnirapeutic/platform/httpx"
)

// TestSlowClientsAreCutOff opens connections and sends incomplete requests, like a
// slow-request attack.
func TestSlowClientsAreCutOff(t *testing.T) {
	t.Parallel()
	const patience, enough = 100 * time.Millisecond, 30 * time.Second
	begin := func(t *testing.T, files config.TLS) net.Conn {
		t.Helper()
		s := newTestServer(t, route(http.MethodPost, "/things", httpx.Public,
			func(_ context.Context, in thing) (thing, error) { return in, nil }))
		s.http.ReadHeaderTimeout, s.http.ReadTimeout, s.http.IdleTimeout = patience, 2*patience, patience
		listeners, err := Listen(t.Context(), config.Config{Addr: "127.0.0.1:0", HTTP: config.HTTP{TLS: files}})
		require.NoError(t, err)
		served := make(chan error, 1)
		go func() { served <- s.Serve(listeners.api) }()
		t.Cleanup(func() {
			require.NoError(t, s.Shutdown(context.Background()))
			require.NoError(t, <-served)
		})
		connection, err := net.Dial("tcp", listeners.api.Addr().String())
		require.NoError(t, err)
		t.Cleanup(func() { _ = connection.Close() }) // it may be closed already
		require.NoError(t, connection.SetDeadline(time.Now().Add(enough)))
		return connection
	}
	// requireCut reads until the server closes the connection.
	requireCut := func(t *testing.T, connection net.Conn) string {
		t.Helper()
		began := time.Now()
		said, err := io.ReadAll(connection)
		if err != nil {
			require.ErrorContains(t, err, "reset")
		}
		require.Less(t, time.Since(began), enough-time.Second)
		return string(said)
	}
	for name, sent := range map[string]string{
		"a client without headers":         "",
		"a client with incomplete headers": "POST /api/v1/things HTTP/1.1\r\nHost: x\r\nX-A: b\r\n",
		"a client with an incomplete body": "POST /api/v1/things HTTP/1.1\r\nHost: x\r\nContent-Type: " +
			"application/json\r\nContent-Length: 100\r\n\r\n{\"name\": ",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			connection := begin(t, config.TLS{})
			_, err := io.WriteString(connection, sent)
			require.NoError(t, err)
			require.NotContains(t, requireCut(t, connection), " 200 ")
		})
	}
	t.Run("a client without a next request", func(t *testing.T) {
		t.Parallel()
		connection := begin(t, config.TLS{})
		_, err := io.WriteString(connection, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
		require.NoError(t, err)
		require.Contains(t, requireCut(t, connection), "HTTP/1.1 200 OK")
	})
	t.Run("a client that does not begin the TLS handshake", func(t *testing.T) {
		t.Parallel()
		files := newFiles(t)
		writePair(t, files, 1)
		require.Empty(t, requireCut(t, begin(t, files)))
	})
	t.Run("an endless header is refused", func(t *testing.T) {
		t.Parallel()
		connection := begin(t, config.TLS{})
		go func() {
			// It is cut off while sending.
			_, _ = io.WriteString(connection, "GET /healthz HTTP/1.1\r\nHost: x\r\nX-A: "+strings.Repeat("a", 2*maxHeader))
		}()
		line, err := bufio.NewReader(connection).ReadString('\n')
		require.NoError(t, err)
		require.Contains(t, line, "431")
	})
}
