package db_test

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/stretchr/testify/require"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/db/dbtest"
)

func TestAwaitServer(t *testing.T) {
	t.Parallel()
	none := func(error) {}
	t.Run("it returns at once if the server answers", func(t *testing.T) {
		t.Parallel()
		require.NoError(t, db.AwaitServer(t.Context(), dbtest.New(t).AppURL, time.Nanosecond, func(err error) {
			t.Errorf("it answers: %v", err)
		}))
	})
	t.Run("it gives up after the time", func(t *testing.T) {
		t.Parallel()
		failures := 0
		err := db.AwaitServer(t.Context(), "postgres://a@/d?host=/nowhere", 600*time.Millisecond, func(error) { failures++ })
		unavailable, ok := errors.AsType[*db.UnavailableError](err)
		require.True(t, ok, "%v", err)
		require.Equal(t, db.Unreachable, unavailable.State)
		require.Equal(t, 1, failures, "the first one only")
	})
	t.Run("it ends with its context", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithCancel(t.Context())
		err := db.AwaitServer(ctx, "postgres://a@/d?host=/nowhere", time.Hour, func(error) { cancel() })
		require.ErrorIs(t, err, context.Canceled)
	})
	t.Run("it refuses an invalid URL without repeating it", func(t *testing.T) {
		t.Parallel()
		err := db.AwaitServer(t.Context(), "postgres://a:s3cret@h:port/d", time.Hour, none)
		require.Error(t, err)
		require.NotContains(t, err.Error(), "s3cret")
	})
	for state, waits := range map[string]bool{
		"57P03": true,  // the database system is starting up
		"53300": true,  // too many connections
		"08P01": true,  // a pooler without its server
		"28P01": false, // a wrong password
		"3D000": false, // a missing database
	} {
		t.Run("it decides by the refusal "+state, func(t *testing.T) {
			t.Parallel()
			err := db.AwaitServer(t.Context(), "postgres://a@"+refusing(t, state)+"/d?sslmode=disable", time.Nanosecond, none)
			if waits {
				require.Error(t, err)
			} else {
				require.NoError(t, err, "the caller's own connection reports it")
			}
		})
	}
}

// refusing returns the address of a server that refuses every connection with the SQLSTATE.
func refusing(t *testing.T, state string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			b := pgproto3.NewBackend(c, c)
			if _, err := b.ReceiveStartupMessage(); err == nil {
				b.Send(&pgproto3.ErrorResponse{Severity: "FATAL", Code: state, Message: "refused"})
				_ = b.Flush()
			}
			_ = c.Close()
		}
	}()
	return l.Addr().String()
}
