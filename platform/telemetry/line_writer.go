package telemetry

import (
	"io"
	"sync"
	"time"
)

const (
	// writeDelay is the longest time that a buffered line waits.
	writeDelay = 100 * time.Millisecond
	// maxBuffered is the number of buffered bytes at which further lines wait for the output.
	maxBuffered = 256 << 10
)

// lineWriter buffers the lines of requests, and writes them in the background at most [writeDelay] later.
// Lines of [lineWriter.Write], which logrus calls for events, are written before it returns. Buffered
// lines precede them, so the order of all lines is the order of the calls.
//
// If the output blocks, lines are buffered up to [maxBuffered], and then callers wait. No line is dropped:
// events would block in the same way, so dropping lines of requests would not keep the program running.
//
// Safe for concurrent use. One goroutine at a time writes to the output.
type lineWriter struct {
	out     io.Writer
	writing sync.Mutex // held during a write; locked before mu
	spare   []byte     // the buffer of the last write, for reuse; guarded by writing

	mu      sync.Mutex
	pending []byte      // whole lines
	timer   *time.Timer // starts the next write
	armed   bool        // the timer runs
	urged   bool        // the timer runs without a delay
}

// buffer adds the line that encode appends to its argument. Encode must not keep the argument.
func (w *lineWriter) buffer(encode func(b []byte) []byte) {
	w.mu.Lock()
	for len(w.pending) >= maxBuffered {
		w.mu.Unlock()
		_ = w.flush() // the next event reports a lasting failure
		w.mu.Lock()
	}
	w.pending = encode(w.pending)
	switch {
	case !w.armed:
		w.armed = true
		w.start(writeDelay)
	case !w.urged && len(w.pending) >= maxBuffered/2:
		w.urged = true
		w.start(0)
	}
	w.mu.Unlock()
}

// start starts the timer. The caller holds mu.
func (w *lineWriter) start(delay time.Duration) {
	if w.timer == nil {
		w.timer = time.AfterFunc(delay, func() { _ = w.flush() })
		return
	}
	w.timer.Reset(delay)
}

// Write writes the buffered lines and then the text, in one write.
func (w *lineWriter) Write(text []byte) (int, error) {
	if len(text) == 0 { // a repetition that is only counted
		return 0, nil
	}
	w.writing.Lock()
	defer w.writing.Unlock()
	w.mu.Lock()
	w.pending = append(w.pending, text...)
	w.mu.Unlock()
	if err := w.writePending(); err != nil {
		return 0, err
	}
	return len(text), nil
}

// flush writes the buffered lines.
func (w *lineWriter) flush() error {
	w.writing.Lock()
	defer w.writing.Unlock()
	return w.writePending()
}

// writePending writes the buffered lines. The caller holds writing.
func (w *lineWriter) writePending() error {
	w.mu.Lock()
	lines := w.pending
	w.pending = w.spare[:0]
	if w.armed {
		w.timer.Stop()
	}
	w.armed, w.urged = false, false
	w.mu.Unlock()
	w.spare = lines
	if len(lines) == 0 {
		return nil
	}
	_, err := w.out.Write(lines)
	return err
}
