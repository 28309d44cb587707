package loadtest

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// These tests use a real server and real connections.
func TestNetwork(t *testing.T) {
	t.Parallel()

	serve := func(t *testing.T, handler http.Handler) (options Options, connections *atomic.Int64) {
		connections = new(atomic.Int64)
		server := httptest.NewUnstartedServer(handler)
		server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
			if state == http.StateNew {
				connections.Add(1)
			}
		}
		server.Start()
		t.Cleanup(server.Close)
		return Options{
			Scenario: "nearly-full",
			URLs:     []string{server.URL},
			Email:    "admin@demo.test",
			Password: "secret",
			Clients:  20,
		}, connections
	}

	t.Run("it keeps its connections", func(t *testing.T) {
		t.Parallel()
		f := newFake()
		f.takes = func(int64) time.Duration { return 0 }
		options, connections := serve(t, f)
		r, err := Run(t.Context(), options)
		require.NoError(t, err)
		require.Empty(t, missed(r))
		require.Equal(t, int64(800), r.Accepted+r.Refused)
		require.LessOrEqual(t, connections.Load(), int64(20+sideCalls+2))
	})

	t.Run("it sends headers and body of a request in one write", func(t *testing.T) {
		t.Parallel()
		server := httptest.NewServer(http.NotFoundHandler())
		defer server.Close()
		var sent writes
		transport := &http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			connection, err := new(net.Dialer).DialContext(ctx, network, address)
			return countedConn{connection, &sent}, err
		}}
		defer transport.CloseIdleConnections()
		address, err := url.Parse(server.URL)
		require.NoError(t, err)
		_, _, err = newCaller(t.Context(), newAPI(0, server.URL, transport)).post(address, reserveOne)
		require.NoError(t, err)
		require.Len(t, sent, 1)
		require.Contains(t, sent[0], "\r\n\r\n"+string(reserveOne))
	})

	t.Run("it does not repeat a request when the connection breaks", func(t *testing.T) {
		t.Parallel()
		f := newFake()
		f.takes = func(int64) time.Duration { return 0 }
		var arrived atomic.Int64
		options, _ := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if isOperation(r) && arrived.Add(1)%50 == 0 {
				f.ServeHTTP(httptest.NewRecorder(), r) // executed but not answered
				panic(http.ErrAbortHandler)
			}
			f.ServeHTTP(w, r)
		}))
		r, err := Run(t.Context(), options)
		require.NoError(t, err)
		require.Equal(t, int64(800), arrived.Load(), "as many as were counted")
		require.Equal(t, []Failure{{Code: "connection lost", Count: 16, Example: r.Failures[0].Example}}, r.Failures)
		require.Equal(t, int64(16), r.Failed)
		require.Equal(t, int64(16), r.Integrity.UnknownUnits)
		require.Equal(t, int64(400), r.Integrity.Found.Scheduled)
		require.True(t, r.Integrity.OK, r.Integrity)
		require.False(t, r.Passed())
	})

	t.Run("it ends soon after its context", func(t *testing.T) {
		t.Parallel()
		f := newFake()
		ctx, cancel := context.WithCancel(t.Context())
		var arrived atomic.Int64
		options, _ := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if isOperation(r) && arrived.Add(1) == 30 {
				cancel()
			}
			f.ServeHTTP(w, r)
		}))
		_, err := Run(ctx, options)
		require.ErrorIs(t, err, context.Canceled)
		require.Less(t, arrived.Load(), int64(200))
	})

	t.Run("it names the server that does not answer", func(t *testing.T) {
		t.Parallel()
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		address := "http://" + listener.Addr().String()
		require.NoError(t, listener.Close())
		_, err = Run(t.Context(), Options{Scenario: "mixed", URLs: []string{address}})
		require.ErrorContains(t, err, "signing in to "+address)
		require.ErrorContains(t, err, "connection refused")
	})
}

// writes records the separate writes to a connection.
type writes []string

type countedConn struct {
	net.Conn
	sent *writes
}

func (c countedConn) Write(b []byte) (int, error) {
	*c.sent = append(*c.sent, string(b))
	return c.Conn.Write(b)
}
