package app

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omnirapeutic/platform/httpx"
)

// TestAClientThatWritesFirstReadsTheRefusal writes a whole request before it reads anything, like
// many HTTP clients, and then reads the refusal.
func TestAClientThatWritesFirstReadsTheRefusal(t *testing.T) {
	t.Parallel()
	s := newTestServer(t, route(http.MethodPost, "/things", "thing:read", nothing),
		route(http.MethodPost, "/public", httpx.Public, nothing))
	server := httptest.NewServer(s.Handler())
	t.Cleanup(server.Close)
	const large = 5 << 20
	body := strings.Repeat("x", large)
	sized := fmt.Sprintf("Content-Length: %d\r\n\r\n%s", large, body)
	chunked := fmt.Sprintf("Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", large, body)
	for name, c := range map[string]struct {
		head, rest string
		status     int
	}{
		"a body that is too large":                    {"POST /api/v1/public", sized, http.StatusRequestEntityTooLarge},
		"a body that is too large, of unknown length": {"POST /api/v1/public", chunked, http.StatusRequestEntityTooLarge},
		"a request without a token":                   {"POST /api/v1/things", chunked, http.StatusUnauthorized},
		"a request to an unknown path":                {"POST /nowhere", chunked, http.StatusNotFound},
		"a method that is not allowed":                {"PUT /api/v1/public", chunked, http.StatusMethodNotAllowed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for range 15 {
				connection, err := net.Dial("tcp", server.Listener.Addr().String())
				require.NoError(t, err)
				require.NoError(t, connection.SetDeadline(time.Now().Add(time.Minute)))
				_, err = io.WriteString(connection, c.head+" HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"+c.rest)
				require.NoError(t, err)
				response, err := http.ReadResponse(bufio.NewReader(connection), nil)
				require.NoError(t, err)
				raw, err := io.ReadAll(response.Body)
				require.NoError(t, err)
				require.Equal(t, c.status, response.StatusCode, "%s", raw)
				require.NoError(t, connection.Close())
			}
		})
	}
	t.Run("a client that waits before it sends the body is answered immediately", func(t *testing.T) {
		t.Parallel()
		connection, err := net.Dial("tcp", server.Listener.Addr().String())
		require.NoError(t, err)
		require.NoError(t, connection.SetDeadline(time.Now().Add(time.Minute)))
		_, err = fmt.Fprintf(connection,
			"POST /api/v1/public HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Type: "+
				"application/json\r\nContent-Length: %d\r\n\r\n", large)
		require.NoError(t, err)
		response, err := http.ReadResponse(bufio.NewReader(connection), nil)
		require.NoError(t, err)
		require.Equal(t, http.StatusRequestEntityTooLarge, response.StatusCode)
		require.NoError(t, response.Body.Close())
		require.NoError(t, connection.Close())
	})
}
