package cli

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// watchHangUps handles SIGHUP, which has two meanings. If the terminal has closed, the returned context
// ends, as after SIGTERM. Otherwise an operator or a service manager asks for a reload, which the channel
// receives; several at once count as one. SIGHUP stays ignored in a program started with nohup.
func watchHangUps(ctx context.Context) (until context.Context, reloads <-chan struct{}, stop func()) {
	until, cancel := context.WithCancel(ctx)
	requested := make(chan struct{}, 1)
	if signal.Ignored(syscall.SIGHUP) {
		return until, requested, cancel
	}
	hangUps := make(chan os.Signal, 1)
	signal.Notify(hangUps, syscall.SIGHUP)
	onTerminal := hasTerminal()
	go func() {
		for {
			select {
			case <-until.Done():
				return
			case <-hangUps:
			}
			if onTerminal && !hasTerminal() {
				cancel()
				return
			}
			select {
			case requested <- struct{}{}:
			default: // one is waiting
			}
		}
	}()
	return until, requested, func() {
		signal.Stop(hangUps)
		cancel()
	}
}

// hasTerminal reports whether the process has a controlling terminal. Opening it fails once it has
// closed.
func hasTerminal() bool {
	terminal, err := os.OpenFile("/dev/tty", os.O_RDONLY|syscall.O_NOCTTY, 0)
	if err != nil {
		return false
	}
	_ = terminal.Close() // nothing was written
	return true
}
