// Package systemd reports the program's state to systemd: started, reloading, stopping, alive. The
// protocol is sd_notify(3): datagrams to the socket that NOTIFY_SOCKET names.
//
// The package removes systemd's variables from the environment, because PostgreSQL, which this program may
// start, would report its own state.
package systemd

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"
)

// Notifier sends states to systemd. A nil Notifier, and one without a socket, send nothing. Safe
// for concurrent use.
type Notifier struct {
	socket   string
	watchdog time.Duration
}

// NewNotifier returns the notifier of this process, and removes its variables from the environment.
func NewNotifier() *Notifier {
	n := &Notifier{socket: os.Getenv("NOTIFY_SOCKET")}
	limit, err := strconv.ParseInt(os.Getenv("WATCHDOG_USEC"), 10, 64)
	process := os.Getenv("WATCHDOG_PID")
	if err == nil && limit > 0 && n.socket != "" && (process == "" || process == strconv.Itoa(os.Getpid())) {
		n.watchdog = time.Duration(limit) * time.Microsecond
	}
	for _, name := range []string{"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"} {
		_ = os.Unsetenv(name) // fails only for invalid names
	}
	return n
}

// Watchdog returns the time after which systemd restarts a program that does not call
// [Notifier.Alive], or 0 without a watchdog.
func (n *Notifier) Watchdog() time.Duration {
	if n == nil {
		return 0
	}
	return n.watchdog
}

// Ready reports that the program serves, after the start or after a reload.
func (n *Notifier) Ready(status string) error { return n.send("READY=1", "STATUS="+status) }

// Reloading reports that the program reads its configuration again. [Notifier.Ready] ends it.
func (n *Notifier) Reloading() error { return n.send("RELOADING=1") }

// Stopping reports that the program finishes running requests.
func (n *Notifier) Stopping() error { return n.send("STOPPING=1") }

// Alive resets the watchdog.
func (n *Notifier) Alive() error { return n.send("WATCHDOG=1") }

// Starting describes the current step of a start, and allows it so much more time.
func (n *Notifier) Starting(status string, more time.Duration) error {
	return n.send("STATUS="+status, fmt.Sprintf("EXTEND_TIMEOUT_USEC=%d", more.Microseconds()))
}

func (n *Notifier) send(state ...string) error {
	if n == nil || n.socket == "" {
		return nil
	}
	// A name that begins with @ is in Linux's abstract namespace; net handles it.
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: n.socket, Net: "unixgram"})
	if err != nil {
		return fmt.Errorf("notify systemd: %w", err)
	}
	defer c.Close() //nolint:errcheck // the datagram is sent
	if _, err := c.Write([]byte(strings.Join(state, "\n"))); err != nil {
		return fmt.Errorf("notify systemd: %w", err)
	}
	return nil
}
