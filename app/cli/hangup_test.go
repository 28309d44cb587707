//go:build linux

package cli_test

import (
	"database/sql"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"

	"omnirapeutic/app/cli"
	"omnirapeutic/platform/db/dbtest"
	"omnirapeutic/platform/postgres"
)

// skipIfHangupIsIgnored skips a test under nohup: the program inherits that SIGHUP is ignored.
func skipIfHangupIsIgnored(t *testing.T) {
	t.Helper()
	if signal.Ignored(syscall.SIGHUP) {
		t.Skip("SIGHUP is ignored here, as under nohup")
	}
}

func TestSIGHUPReloadsTheConfiguration(t *testing.T) {
	t.Parallel()
	skipIfHangupIsIgnored(t)
	file := filepath.Join(t.TempDir(), "config.yaml")
	write := func(text string) { require.NoError(t, os.WriteFile(file, []byte(text), 0o600)) }
	write("log: {level: info}\n")
	c := program(t, onDatabase(t, "OMNI_DEMO=false"), "--config", file, "serve")
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // without a terminal, like a service
	stderr, err := c.StderrPipe()
	require.NoError(t, err)
	_, address := serving(t, c, "Stop with Ctrl-C")
	readUntil(t, stderr, "event=listening")
	write("log: {level: debug}\nwebhooks: {slots: 64}\n")
	require.NoError(t, c.Process.Signal(syscall.SIGHUP))
	printed := readUntil(t, stderr, "event=restart_needed")
	require.Contains(t, printed, "settings=log.level")
	printed += readUntil(t, stderr, "\n")
	require.Contains(t, printed, `settings="webhooks.slots,webhooks.slots_per_organization"`)
	write("log: {level: loud}\n")
	require.NoError(t, c.Process.Signal(syscall.SIGHUP))
	readUntil(t, stderr, "event=reload_refused")
	answer, err := http.Get("http://" + address + "/healthz")
	require.NoError(t, err)
	require.NoError(t, answer.Body.Close())
	readUntil(t, stderr, "route=/healthz") // it is logged at debug, which is still the level
	require.NoError(t, c.Process.Signal(syscall.SIGTERM))
	readUntil(t, stderr, "event=stopping")
	require.NoError(t, c.Wait())
}

// TestSIGHUPReloadsThePasswordOfTheDatabase changes the password of the role, writes the file with the URL, and ends
// all sessions: the program connects again.
func TestSIGHUPReloadsThePasswordOfTheDatabase(t *testing.T) {
	t.Parallel()
	skipIfHangupIsIgnored(t)
	server := dbtest.Server(t, true)
	database := dbtest.Of(server)
	file := filepath.Join(t.TempDir(), "database_url")
	require.NoError(t, os.WriteFile(file, []byte(database.AppURL), 0o600))
	c := program(t, []string{
		"OMNI_DATABASE_URL_FILE=" + file, "OMNI_MIGRATE_URL=" + database.OwnerURL, "OMNI_DEMO=false",
		"OMNI_ADDR=127.0.0.1:0", "OMNI_DATA_DIR=" + t.TempDir(),
	}, "serve")
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	stderr, err := c.StderrPipe()
	require.NoError(t, err)
	_, address := serving(t, c, "Stop with Ctrl-C")
	readUntil(t, stderr, "event=listening")
	superuser, err := sql.Open("pgx", dbtest.Superuser(t, server))
	require.NoError(t, err)
	defer superuser.Close()
	run := func(statement string, arguments ...any) {
		_, err := superuser.ExecContext(t.Context(), statement, arguments...)
		require.NoError(t, err)
	}
	const changed = "of-a-test-after-the-change"
	run("ALTER ROLE " + postgres.AppRole + " PASSWORD '" + changed + "'")
	u, err := url.Parse(database.AppURL)
	require.NoError(t, err)
	u.User = url.UserPassword(u.User.Username(), changed)
	require.NoError(t, os.WriteFile(file, []byte(u.String()), 0o600))
	require.NoError(t, c.Process.Signal(syscall.SIGHUP))
	require.Contains(t, readUntil(t, stderr, "settings=database.url"), "event=configuration_reloaded")
	go func() { _, _ = io.Copy(io.Discard, stderr) }()
	run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1", postgres.AppRole)
	require.Eventually(t, func() bool {
		answer, err := http.Get("http://" + address + "/readyz")
		if err != nil {
			return false
		}
		_ = answer.Body.Close()
		return answer.StatusCode == http.StatusOK
	}, time.Minute, 50*time.Millisecond)
	require.NoError(t, c.Process.Signal(syscall.SIGTERM))
	require.NoError(t, c.Wait())
}

func TestServeReportsItsStateToSystemd(t *testing.T) {
	t.Parallel()
	skipIfHangupIsIgnored(t)
	socket := filepath.Join(t.TempDir(), "notify")
	states, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, states.Close()) })
	const limit = 600 * time.Millisecond
	c := program(t, onDatabase(t, "OMNI_DEMO=false", "OMNI_DB_WAIT=1m", "NOTIFY_SOCKET="+socket,
		fmt.Sprintf("WATCHDOG_USEC=%d", limit.Microseconds())), "serve")
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	serving(t, c, "Stop with Ctrl-C")
	until := func(state string) {
		t.Helper()
		for {
			require.NoError(t, states.SetReadDeadline(time.Now().Add(time.Minute)))
			text := make([]byte, 1024)
			n, err := states.Read(text)
			require.NoError(t, err)
			if strings.Contains(string(text[:n]), state) {
				return
			}
		}
	}
	until("EXTEND_TIMEOUT_USEC=60000000")
	until("READY=1\nSTATUS=Serving on http://127.0.0.1:")
	for range 3 {
		until("WATCHDOG=1")
	}
	require.NoError(t, c.Process.Signal(syscall.SIGHUP))
	until("RELOADING=1")
	until("READY=1")
	require.NoError(t, c.Process.Signal(syscall.SIGTERM))
	until("STOPPING=1")
	require.NoError(t, c.Wait())
}

// openTerminal returns both sides of a new pseudo terminal.
func openTerminal(t *testing.T) (master, terminal *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Skip("no pseudo terminals:", err)
	}
	var number, unlocked uint32
	for request, argument := range map[uintptr]*uint32{syscall.TIOCGPTN: &number, syscall.TIOCSPTLCK: &unlocked} {
		_, _, code := syscall.Syscall(syscall.SYS_IOCTL, master.Fd(), request, uintptr(unsafe.Pointer(argument)))
		require.Zero(t, code)
	}
	terminal, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Skip("no pseudo terminals:", err)
	}
	return master, terminal
}

func TestAClosedTerminalStopsTheServerGracefully(t *testing.T) {
	t.Parallel()
	skipIfHangupIsIgnored(t)
	master, terminal := openTerminal(t)
	c := program(t, onDatabase(t, "OMNI_DEMO=false"), "serve")
	c.Stdin = terminal
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	stderr, err := c.StderrPipe()
	require.NoError(t, err)
	serving(t, c, "Stop with Ctrl-C")
	require.NoError(t, terminal.Close())
	readUntil(t, stderr, "event=listening")
	require.NoError(t, c.Process.Signal(syscall.SIGHUP))
	readUntil(t, stderr, "event=configuration_reloaded") // the terminal is still open
	require.NoError(t, master.Close())                   // the kernel sends SIGHUP
	readUntil(t, stderr, "event=stopping")
	require.NoError(t, c.Wait())
	require.Equal(t, cli.ExitOK, c.ProcessState.ExitCode())
}
