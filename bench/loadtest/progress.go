package loadtest

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// say writes a line of progress, if enabled.
func say(to io.Writer, format string, args ...any) {
	if to != nil {
		fmt.Fprintf(to, format+"\n", args...)
	}
}

// showProgress shows the live figures of a load until the returned function is called:
// as a bar on a terminal, and otherwise as a line per second.
func showProgress(l *load) (stop func()) {
	to := l.options.Progress
	if to == nil {
		return func() {}
	}
	interval, show, last := time.Second, func() { say(to, "%s", l.status(time.Now())) }, func() {}
	if file, ok := to.(*os.File); ok && term.IsTerminal(int(file.Fd())) {
		interval = 200 * time.Millisecond
		show, last = progressBar(l, file)
	}
	quit, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		ticker := time.NewTicker(interval)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				show()
			case <-quit:
				show()
				last()
				return
			}
		}
	}()
	return func() {
		close(quit)
		<-ended
	}
}

func progressBar(l *load, to io.Writer) (show, last func()) {
	whole := l.pace.planned()
	done := func() int64 { return l.live.sent.Load() }
	if l.window > 0 {
		whole = int64(l.from.Add(l.window).Sub(l.begin) / time.Millisecond)
		done = func() int64 { return int64(time.Since(l.begin) / time.Millisecond) }
	}
	bar := progressbar.NewOptions64(whole,
		progressbar.OptionSetWriter(to),
		progressbar.OptionSetWidth(24),
		progressbar.OptionSetPredictTime(false),
		progressbar.OptionSetElapsedTime(false),
		progressbar.OptionShowDescriptionAtLineEnd(),
		progressbar.OptionUseANSICodes(true),
	)
	show = func() {
		bar.Describe(l.status(time.Now()))
		// An error means that the terminal is gone, which need not stop the run.
		_ = bar.Set64(min(done(), whole-1))
	}
	last = func() {
		_ = bar.Finish()
		fmt.Fprintln(to)
	}
	return show, last
}

// status returns the current progress text, including the warm-up.
func (l *load) status(now time.Time) string {
	seconds := now.Sub(l.begin).Seconds()
	taken := l.live.outcomes[accepted].Load()
	text := fmt.Sprintf("%5.1f s  %s accepted (%s/s), %s refused, %s failed, p95 %s ms",
		seconds, Thousands(taken), Decimal(float64(taken)/max(seconds, 0.001)),
		Thousands(l.live.outcomes[refused].Load()), Thousands(l.live.outcomes[failed].Load()),
		Decimal(milliseconds(l.live.latency.quantile(0.95))))
	if waiting := l.pace.dueBy(now) - l.live.sent.Load(); waiting > 0 {
		text += fmt.Sprintf(", %s waiting to be sent", Thousands(waiting))
	}
	return text
}
