package e2e

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omnirapeutic/e2e/harness"
	"omnirapeutic/modules/events"
	"omnirapeutic/modules/rbac"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/db/dbtest"
)

// readCounter counts the transactions that read events.
type readCounter struct{ reads atomic.Int64 }

func (*readCounter) Retried(db.Retry) {}

func (r *readCounter) Finished(o db.Outcome) {
	if o.Operation == "events.read" {
		r.reads.Add(1)
	}
}

// openCounting starts a clinic that counts its reads of events.
func openCounting(t testing.TB) (*harness.Clinic, *readCounter) {
	t.Helper()
	counter := &readCounter{}
	c := harness.Open(t, func(config *db.Config) { config.Observers = append(config.Observers, counter) })
	return c.StartEvents(t), counter
}

func TestEventsAreReadOnceForAllListeners(t *testing.T) {
	t.Parallel()
	dbtest.NeedsPostgreSQL(t, "LISTEN, and polls instead")
	c, counter := openCounting(t)
	path := c.Authorize(t, 100)
	readers := []rbac.Role{rbac.Admin, rbac.Scheduler, rbac.Practitioner, rbac.Biller}
	var position int64
	// readsOf returns the number of reads for one event.
	readsOf := func(listeners []*harness.Stream) int64 {
		before := counter.reads.Load()
		c.Admin().Post(t, path+"/reserve", harness.Body{"units": 1})
		position++
		for _, s := range listeners {
			require.Equal(t, position, s.Next(t).ID)
		}
		return counter.reads.Load() - before
	}
	var listeners []*harness.Stream
	for _, each := range []int{1, 9} {
		for _, role := range readers {
			for range each {
				s := c.As(c.Own.Tokens[role]).Stream(t, "")
				require.Equal(t, "ready", s.Next(t).Name)
				listeners = append(listeners, s)
			}
		}
		const events = 5
		var reads int64
		for range events {
			reads += readsOf(listeners)
		}
		// The start of the notifications reads once more, and with a small pool it is late.
		require.LessOrEqual(t, reads, int64(events+1), "%d listeners", len(listeners))
	}

	before := counter.reads.Load()
	s := c.As(c.Own.Tokens[rbac.Scheduler]).WithHeader("Last-Event-ID", "5")
	listeners[1].Close()
	require.Eventually(t, func() bool { return c.App.Events.Streams() == len(listeners)-1 }, harness.Soon, time.Millisecond)
	resumed := s.Stream(t, "")
	require.Equal(t, "ready", resumed.Next(t).Name)
	for p := int64(6); p <= position; p++ {
		require.Equal(t, p, resumed.Next(t).ID, "a reconnecting listener gets recent events")
	}
	require.Equal(t, before, counter.reads.Load(), "from memory")
}

// TestListenersResumeWithoutGapOrRepetition begins far behind the newest event, while events are published.
func TestListenersResumeWithoutGapOrRepetition(t *testing.T) {
	t.Parallel()
	c, _ := openCounting(t)
	const old = 3000 // more than memory keeps
	addEvents(t, c, old, 10)
	path := c.Authorize(t, 1000)
	first := c.Admin().Stream(t, "")
	require.EqualValues(t, old, first.Next(t).ID)
	const published = 60
	var publishing sync.WaitGroup
	publishing.Go(func() {
		for range published {
			c.Admin().Post(t, path+"/reserve", harness.Body{"units": 1})
		}
	})
	var all sync.WaitGroup
	for _, role := range []rbac.Role{rbac.Admin, rbac.Scheduler, rbac.Practitioner, rbac.Biller} {
		for _, from := range []int64{0, 1500, old - 1, old} {
			s := c.As(c.Own.Tokens[role]).Stream(t, fmt.Sprint("?lastEventId=", from))
			all.Go(func() {
				s.Next(t)
				for p := from + 1; p <= old+published; p++ {
					if got := s.Next(t).ID; got != p {
						t.Errorf("event %d came instead of %d", got, p)
						return
					}
				}
			})
		}
	}
	publishing.Wait()
	all.Wait()
}

// addEvents appends events of the practice directly to its stream.
func addEvents(t testing.TB, c *harness.Clinic, many, size int) {
	t.Helper()
	c.Exec(t, `INSERT INTO event_streams (organization_id) VALUES ($1) ON CONFLICT DO NOTHING`, c.Own.ID)
	c.Exec(t, `INSERT INTO events (organization_id, position, type, subject_id, permission, payload, occurred_at)
		SELECT s.organization_id, s.last_position + n, 'authorization.balance', gen_random_uuid(), 'authorization:read',
			json_build_object('filler', repeat('x', $3::int)), now()
		FROM event_streams s, generate_series(1, $2::int) n WHERE s.organization_id = $1`, c.Own.ID, many, size)
	c.Exec(t, `UPDATE event_streams SET last_position = last_position + $2 WHERE organization_id = $1`, c.Own.ID, many)
}

func TestSlowListenerDoesNotDelayOthers(t *testing.T) {
	t.Parallel()
	c := openWithTuning(t, events.Tuning{Patience: 5 * time.Minute})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	asleep := c.Admin().OpenStream(ctx, t, http.DefaultClient, "")
	defer asleep.Body.Close()
	awake := c.Admin().Stream(t, "")
	require.Equal(t, "ready", awake.Next(t).Name)
	const bursts, each = 20, 1000 // 20 MB, more than the socket buffers
	for burst := range bursts {
		addEvents(t, c, each, 1000)
		_, err := c.App.Events.Relay(t.Context())
		require.NoError(t, err)
		for n := range each {
			require.EqualValues(t, burst*each+n+1, awake.Next(t).ID)
		}
	}
	require.Equal(t, 2, c.App.Events.Streams(), "the other one is still connected, and waits for its reader")
}

// BenchmarkFanOut publishes one event and waits until the last listener has it.
func BenchmarkFanOut(b *testing.B) {
	for _, many := range []int{50, 500, 5000} {
		b.Run(fmt.Sprint(many), func(b *testing.B) {
			c, counter := openCounting(b)
			path := c.Authorize(b, 100_000)
			received := make(chan struct{}, many)
			client := &http.Client{Transport: &http.Transport{MaxIdleConns: -1}}
			for i := range many {
				if i%10 == 0 {
					email := fmt.Sprintf("listener-%d@own.test", i)
					c.AddUser(b, c.Own, email, rbac.Scheduler)
					c.Own.Tokens["listener"] = c.SignInTokens(b, email).Access
				}
				response := c.As(c.Own.Tokens["listener"]).OpenStream(b.Context(), b, client, "")
				defer response.Body.Close()
				go func() {
					for lines := bufio.NewScanner(response.Body); lines.Scan(); {
						if strings.HasPrefix(lines.Text(), "event: authorization") {
							received <- struct{}{}
						}
					}
				}()
			}
			before := counter.reads.Load()
			var last []float64
			for b.Loop() {
				c.Admin().Post(b, path+"/reserve", harness.Body{"units": 1})
				start := time.Now()
				for range many {
					<-received
				}
				last = append(last, float64(time.Since(start).Microseconds())/1000)
				time.Sleep(100 * time.Millisecond) // the relay's pause
			}
			slices.Sort(last)
			b.ReportMetric(last[0], "min-ms")
			b.ReportMetric(last[len(last)/2], "median-ms")
			b.ReportMetric(last[len(last)-1], "max-ms")
			b.ReportMetric(float64(counter.reads.Load()-before)/float64(b.N), "reads/op")
		})
	}
}
