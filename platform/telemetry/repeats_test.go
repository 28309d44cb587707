package telemetry_test

import (
	"bytes"
	"encoding/json"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/require"

	"omnirapeutic/platform/telemetry"
)

// locked is a buffer for a logger that other goroutines use too.
type locked struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *locked) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

func (l *locked) lines(t *testing.T) (all []map[string]any) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, text := range bytes.Split(bytes.TrimSpace(l.buf.Bytes()), []byte("\n")) {
		if len(text) > 0 {
			var one map[string]any
			require.NoError(t, json.Unmarshal(text, &one), "%s", text)
			all = append(all, one)
		}
	}
	return all
}

func TestRepeatedRefusalsAreLoggedOncePerSecondWithACount(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var out locked
		l := telemetry.NewLogger(&out, "info", "json")
		const each, seconds = 100, 25
		for range each * seconds {
			l.WithFields(logrus.Fields{"event": "request_failed", "code": "database-unavailable", "status": 503}).
				Error("the database does not answer")
			if len(out.lines(t)) == 0 {
				t.Fatal("the first line is written at once")
			}
			time.Sleep(time.Second / each)
		}
		time.Sleep(3 * time.Second)
		lines := out.lines(t)
		require.LessOrEqual(t, len(lines), seconds+2)
		total := 0
		for _, one := range lines {
			require.Equal(t, "request_failed", one["event"])
			require.Equal(t, "database-unavailable", one["code"])
			require.Equal(t, "error", one["level"])
			if count, ok := one["count"].(float64); ok {
				total += int(count)
			} else {
				total++
			}
		}
		require.Equal(t, each*seconds, total, "none is lost")

		l.WithFields(logrus.Fields{"event": "request_failed", "code": "database-unavailable"}).Error("again, much later")
		require.Len(t, out.lines(t), len(lines)+1, "after a pause a line is written at once")
		synctest.Wait()
		time.Sleep(2 * time.Second)
	})
}

func TestOnlyRepetitionsAreCounted(t *testing.T) {
	t.Parallel()
	var out locked
	l := telemetry.NewLogger(&out, "info", "json")
	for range 2 {
		l.WithField("event", "request").Info("requests are all logged")
		l.WithFields(logrus.Fields{
			"event": "request_failed", "code": "internal", "stack": "main.go:1",
		}).Error("so are panics")
		l.Error("and lines without an event")
	}
	for _, fields := range []logrus.Fields{
		{"event": "request_failed", "code": "a"},
		{"event": "request_failed", "code": "b"},
		{"event": "other", "code": "a"},
		{"event": "request_failed", "code": "a", "address": "192.0.2.1"},
		{"event": "request_failed", "code": "a", "address": "192.0.2.2"},
	} {
		l.WithFields(fields).Error("each is of another kind")
	}
	require.Len(t, out.lines(t), 11)
}

func TestRemainingCountsAreLoggedAtTheEnd(t *testing.T) {
	t.Parallel()
	var out locked
	l := telemetry.NewLogger(&out, "info", "json")
	for range 5 {
		l.WithField("event", "outage").Warn("it does not answer")
	}
	require.Len(t, out.lines(t), 1)
	telemetry.Flush(l)
	lines := out.lines(t)
	require.Len(t, lines, 2)
	require.InDelta(t, 4, lines[1]["count"], 0)
	require.Equal(t, "warning", lines[1]["level"])
	telemetry.Flush(l)
	telemetry.Flush(logrus.New())
	require.Len(t, out.lines(t), 2)
}
