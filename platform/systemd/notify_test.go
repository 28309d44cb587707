package systemd_test

import (
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omnirapeutic/platform/systemd"
)

// listen returns a notifier and a function that reads the next datagram.
func listen(t *testing.T, watchdogPID string) (*systemd.Notifier, func() string) {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "n")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	t.Setenv("NOTIFY_SOCKET", socket)
	t.Setenv("WATCHDOG_USEC", "30000000")
	t.Setenv("WATCHDOG_PID", watchdogPID)
	return systemd.NewNotifier(), func() string {
		require.NoError(t, c.SetReadDeadline(time.Now().Add(10*time.Second)))
		text := make([]byte, 1024)
		n, err := c.Read(text)
		require.NoError(t, err)
		return string(text[:n])
	}
}

func TestNotifierSendsStates(t *testing.T) {
	n, next := listen(t, strconv.Itoa(os.Getpid()))
	require.Equal(t, 30*time.Second, n.Watchdog())
	_, kept := os.LookupEnv("NOTIFY_SOCKET")
	require.False(t, kept, "child processes must not report for the program")
	require.NoError(t, n.Starting("migrating", time.Minute))
	require.Equal(t, "STATUS=migrating\nEXTEND_TIMEOUT_USEC=60000000", next())
	require.NoError(t, n.Ready("Serving"))
	require.Equal(t, "READY=1\nSTATUS=Serving", next())
	require.NoError(t, n.Alive())
	require.Equal(t, "WATCHDOG=1", next())
	require.NoError(t, n.Reloading())
	require.Equal(t, "RELOADING=1", next())
	require.NoError(t, n.Stopping())
	require.Equal(t, "STOPPING=1", next())
}

func TestWatchdogOfAnotherProcessIsIgnored(t *testing.T) {
	n, _ := listen(t, "1")
	require.Zero(t, n.Watchdog())
}

func TestNotifierWithoutSystemdSendsNothing(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	n := systemd.NewNotifier()
	require.NoError(t, n.Ready("Serving"))
	require.Zero(t, n.Watchdog())
}
