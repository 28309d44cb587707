package telemetry_test

import (
	"bytes"
	"fmt"
	"io"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"omnirapeutic/platform/telemetry"
)

func aRequest(id string) telemetry.Request {
	return telemetry.Request{
		ID: id, Method: "POST", Route: "/api/v1/authorizations/:id/reserve", Status: 201,
		Elapsed: 12345 * time.Microsecond, Authenticated: true,
		UserID:         uuid.MustParse("0198f0de-0000-7000-8000-000000000001"),
		OrganizationID: uuid.MustParse("0198f0de-0000-7000-8000-000000000002"),
	}
}

// TestLinesOfRequestsMatchLogrus compares every byte except the time, for hostile texts too.
func TestLinesOfRequestsMatchLogrus(t *testing.T) {
	t.Parallel()
	hostile := rapid.OneOf(rapid.String(), rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) string { return string(b) }),
		rapid.SampledFrom([]string{
			"", "\"}\n{\"level\":\"fatal", "a b", "</script>&", "\u2028\u2029", "\x00\x1b[31m", "\xff\xfe", `\`, "time=x",
		}))
	times := regexp.MustCompile(`^time="[^"]*"|"time":"[^"]*"`)
	for _, format := range []string{"json", "text"} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			rapid.Check(t, func(t *rapid.T) {
				r := aRequest(hostile.Draw(t, "id"))
				r.Method, r.Route = hostile.Draw(t, "method"), hostile.Draw(t, "route")
				r.Status = rapid.IntRange(100, 599).Draw(t, "status")
				r.Elapsed = time.Duration(rapid.Int64Range(0, 1<<50).Draw(t, "elapsed"))
				r.Authenticated = rapid.Bool().Draw(t, "authenticated")
				level := rapid.SampledFrom([]logrus.Level{logrus.InfoLevel, logrus.DebugLevel}).Draw(t, "level")
				var quick, slow bytes.Buffer
				l := telemetry.NewLogger(&quick, "debug", format)
				telemetry.NewRequestLog(l).Write(level, r)
				telemetry.Flush(l)
				// A logger with a field is an entry, whose requests are events.
				telemetry.NewRequestLog(telemetry.NewLogger(&slow, "debug", format).WithField("event", "request")).Write(level, r)
				require.Equal(t, times.ReplaceAllString(slow.String(), ""), times.ReplaceAllString(quick.String(), ""))
				require.Equal(t, 1, strings.Count(quick.String(), "\n"))
			})
		})
	}
}

func TestLinesOfRequestsCarryTheTimeAndTheLevel(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var out locked
		l := telemetry.NewLogger(&out, "info", "json")
		requests := telemetry.NewRequestLog(l)
		requests.Write(logrus.DebugLevel, aRequest("below the level"))
		requests.Write(logrus.InfoLevel, aRequest("r-1"))
		at := time.Now()
		require.Empty(t, out.lines(t), "lines of requests are buffered")
		time.Sleep(100 * time.Millisecond)
		synctest.Wait()
		require.Equal(t, []map[string]any{{
			"event": "request", "level": "info", "msg": "request answered", "time": at.Format(time.RFC3339Nano),
			"request_id": "r-1", "method": "POST", "route": "/api/v1/authorizations/:id/reserve",
			"status": float64(201), "duration_ms": 12.345,
			"user_id":         "0198f0de-0000-7000-8000-000000000001",
			"organization_id": "0198f0de-0000-7000-8000-000000000002",
		}}, out.lines(t), "for a tenth of a second")
	})
}

func TestEventsFollowEarlierRequests(t *testing.T) {
	t.Parallel()
	var out locked
	l := telemetry.NewLogger(&out, "info", "json")
	requests := telemetry.NewRequestLog(l)
	var want []string
	for i := range 20 {
		requests.Write(logrus.InfoLevel, aRequest(fmt.Sprint("r-", i)))
		event := l.WithFields(logrus.Fields{"event": "request_failed", "code": fmt.Sprint(i), "request_id": fmt.Sprint("e-", i)})
		event.Log([]logrus.Level{logrus.ErrorLevel, logrus.WarnLevel, logrus.InfoLevel}[i%3], "an event")
		want = append(want, fmt.Sprint("r-", i), fmt.Sprint("e-", i))
		var got []string
		for _, line := range out.lines(t) {
			got = append(got, line["request_id"].(string))
		}
		require.Equal(t, want, got, "an event is written at once, after the lines of earlier requests")
	}
}

func TestConcurrentLinesAreWholeAndComplete(t *testing.T) {
	t.Parallel()
	var out locked
	l := telemetry.NewLogger(&out, "info", "json")
	requests := telemetry.NewRequestLog(l)
	const writers, each = 20, 500
	var all sync.WaitGroup
	for w := range writers {
		all.Go(func() {
			for i := range each {
				requests.Write(logrus.InfoLevel, aRequest(fmt.Sprintf("%d-%d", w, i)))
				if i%100 == 0 {
					l.WithField("event", "request").WithField("request_id", fmt.Sprintf("event-%d-%d", w, i)).Info("an event")
				}
			}
		})
	}
	all.Wait()
	telemetry.Flush(l)
	seen := map[string]int{}
	last := map[string]int{}
	for _, line := range out.lines(t) {
		id := line["request_id"].(string)
		seen[id]++
		writer, number, found := strings.Cut(id, "-")
		if found && writer != "event" {
			var n int
			_, err := fmt.Sscan(number, &n)
			require.NoError(t, err)
			require.GreaterOrEqual(t, n, last[writer], "lines of one goroutine are in their order")
			last[writer] = n
		}
	}
	require.Len(t, seen, writers*each+writers*each/100)
	for id, n := range seen {
		require.Equal(t, 1, n, id)
	}
}

// blocked is an output that accepts nothing until it is opened.
type blocked struct {
	locked
	opened chan struct{}
}

func (b *blocked) Write(text []byte) (int, error) {
	<-b.opened
	return b.locked.Write(text)
}

func TestRequestsWaitForABlockedOutput(t *testing.T) {
	t.Parallel()
	out := &blocked{opened: make(chan struct{})}
	l := telemetry.NewLogger(out, "info", "json")
	requests := telemetry.NewRequestLog(l)
	const many, lineLength, limit = 10_000, 300, 256 << 10
	var accepted atomic.Int64
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for i := range many {
			requests.Write(logrus.InfoLevel, aRequest(fmt.Sprint("r-", i)))
			accepted.Add(1)
		}
	}()
	require.Eventually(t, func() bool { return accepted.Load() > limit/lineLength/2 }, 10*time.Second, time.Millisecond)
	require.Never(t, func() bool { return accepted.Load() > 3*limit/lineLength }, 300*time.Millisecond, 10*time.Millisecond,
		"the memory for lines is bounded")
	close(out.opened)
	<-ended
	telemetry.Flush(l)
	require.Len(t, out.lines(t), many, "and no line is lost")
}

func TestALineOfARequestAllocatesNothing(t *testing.T) {
	for _, format := range []string{"json", "text"} {
		l := telemetry.NewLogger(io.Discard, "info", format)
		requests := telemetry.NewRequestLog(l)
		r := aRequest(uuid.NewString())
		for range 2000 { // grow both buffers
			requests.Write(logrus.InfoLevel, r)
		}
		telemetry.Flush(l)
		for range 2000 {
			requests.Write(logrus.InfoLevel, r)
		}
		require.Zero(t, testing.AllocsPerRun(1000, func() { requests.Write(logrus.InfoLevel, r) }), format)
		require.Zero(t, testing.AllocsPerRun(1000, func() { requests.Write(logrus.DebugLevel, r) }), format)
	}
}

func BenchmarkRequestLine(b *testing.B) {
	for _, format := range []string{"json", "text"} {
		l := telemetry.NewLogger(io.Discard, "info", format)
		for name, log := range map[string]*telemetry.RequestLog{
			"buffered": telemetry.NewRequestLog(l),
			"logrus":   telemetry.NewRequestLog(l.WithField("event", "request")),
		} {
			b.Run(format+"/"+name, func(b *testing.B) {
				b.ReportAllocs()
				r := aRequest(uuid.NewString())
				for b.Loop() {
					log.Write(logrus.InfoLevel, r)
				}
			})
		}
	}
}
