//go:build linux

package cli_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"

	"omnirapeutic/app/cli"
)

func TestSIGHUPReloadsTheConfiguration(t *testing.T) {
	t.Parallel()
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
