package telemetry

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/sirupsen/logrus"
)

// repeatInterval is how often a repeated warning or error is logged.
const repeatInterval = time.Second

// maxRepeated limits how many different lines are tracked; further ones are written immediately.
const maxRepeated = 1000

// repeats is a formatter that merges repetitions. It writes the first warning or error of a kind
// immediately. It counts repetitions within a second and writes their number at its end. Two lines
// are of the same kind if level, event, code, address and statement are the same. Lines with a
// stack are all written.
//
// logrus calls Format while it holds the logger's lock.
type repeats struct {
	logger *logrus.Logger
	format logrus.Formatter

	mu   sync.Mutex
	seen map[repeatKey]*repeated
}

type repeatKey struct {
	level                     logrus.Level
	event, code, address, sql string
}

// repeated is a line that was written less than a second ago.
type repeated struct {
	count int // repetitions that are not yet written
	last  *logrus.Entry
}

// isSummary marks the context of a line that represents several.
type isSummary struct{}

// Format implements logrus.Formatter. It returns nothing for a line that is only counted.
func (r *repeats) Format(e *logrus.Entry) ([]byte, error) {
	if e.Level <= logrus.WarnLevel && r.isCounted(e) {
		return nil, nil
	}
	return r.format.Format(e)
}

func (r *repeats) isCounted(e *logrus.Entry) bool {
	text := func(name string) string { s, _ := e.Data[name].(string); return s }
	key := repeatKey{e.Level, text("event"), text("code"), text("address"), text("sql")}
	if key.event == "" || text("stack") != "" || e.Context != nil && e.Context.Value(isSummary{}) != nil {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if of, ok := r.seen[key]; ok {
		of.count++
		of.last = e
		return true
	}
	if len(r.seen) < maxRepeated {
		r.seen[key] = &repeated{}
		time.AfterFunc(repeatInterval, func() { r.intervalEnded(key) })
	}
	return false
}

// intervalEnded writes the count, and continues counting if there was one.
func (r *repeats) intervalEnded(key repeatKey) {
	r.mu.Lock()
	of, ok := r.seen[key]
	if !ok { // flushed
		r.mu.Unlock()
		return
	}
	if of.count == 0 {
		delete(r.seen, key)
		r.mu.Unlock()
		return
	}
	r.seen[key] = &repeated{}
	time.AfterFunc(repeatInterval, func() { r.intervalEnded(key) })
	r.mu.Unlock()
	r.summarize(*of)
}

// summarize logs the last of several lines with their count.
func (r *repeats) summarize(of repeated) {
	line := logrus.NewEntry(r.logger).WithContext(context.WithValue(context.Background(), isSummary{},
		true)).WithField("count", of.count)
	for _, name := range []string{"event", "code", "status", "address", "error", "sqlstate", "sql"} {
		if value, ok := of.last.Data[name]; ok {
			line = line.WithField(name, value)
		}
	}
	line.Log(of.last.Level, fmt.Sprintf("%s (%d more within a second)", of.last.Message, of.count))
}

// Flush writes the remaining counts and the buffered lines of a logger of [NewLogger]. Call it before
// the program ends.
func Flush(l *logrus.Logger) {
	if out, ok := l.Out.(*lineWriter); ok {
		defer func() { _ = out.flush() }()
	}
	r, ok := l.Formatter.(*repeats)
	if !ok {
		return
	}
	r.mu.Lock()
	seen := r.seen
	r.seen = map[repeatKey]*repeated{}
	r.mu.Unlock()
	for _, of := range seen {
		if of.count > 0 {
			r.summarize(*of)
		}
	}
}
