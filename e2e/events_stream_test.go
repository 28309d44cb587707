package e2e

import (
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"omnirapeutic/e2e/harness"
	"omnirapeutic/modules/events"
	"omnirapeutic/modules/rbac"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/db/dbtest"
	"omnirapeutic/platform/db/wireproxy"
)

// openWithTuning starts a clinic that does not relay events yet.
func openWithTuning(t testing.TB, tuning events.Tuning, options ...dbtest.Option) *harness.Clinic {
	t.Helper()
	database := harness.TwoPractices.New(t)
	c := &harness.Clinic{Database: database, EventTuning: tuning}
	c.Start(t, database.Open(t, options...))
	c.AddPractices(t)
	return c
}

// openPolling is like openLive, with frequent polls and environment variables of the program.
func openPolling(t testing.TB, settings ...string) *harness.Clinic {
	t.Helper()
	database := harness.TwoPractices.New(t)
	c := &harness.Clinic{Database: database, EventPoll: 20 * time.Millisecond, Settings: settings}
	c.Start(t, database.Open(t))
	c.AddPractices(t)
	return c
}

func TestEventsOfAnAuthorization(t *testing.T) {
	t.Parallel()
	c := openWithTuning(t, events.Tuning{}).StartEvents(t)
	path := c.Authorize(t, 20)
	id := strings.TrimPrefix(path, "/authorizations/")
	s := c.Admin().Stream(t, "")
	require.Equal(t, harness.StreamEvent{ID: 0, Name: "ready", Data: harness.Body{"id": 0.0, "type": "ready"}}, s.Next(t))

	promises, err := harness.PublishedContract()
	require.NoError(t, err)
	expect := func(position int64, operation string, total, used, scheduled, version int) {
		t.Helper()
		h := s.Next(t)
		require.Equal(t, position, h.ID)
		require.Equal(t, "authorization.balance", h.Name)
		promises.RequireEvent(t, h.Name, map[string]any(h.Data))
		require.EqualValues(t, position, h.Data["id"])
		require.Equal(t, "authorization.balance", h.Data["type"])
		require.Equal(t, id, h.Data["subjectId"])
		_, err := time.Parse(time.RFC3339Nano, h.Data["occurredAt"].(string))
		require.NoError(t, err)
		require.Equal(t, harness.Body{
			"authorizationId": id,
			"totalUnits":      float64(total),
			"usedUnits":       float64(used),
			"scheduledUnits":  float64(scheduled),
			"availableUnits":  float64(total - used - scheduled),
			"version":         float64(version),
			"operation":       operation,
		}, h.Payload(t))
	}
	keyed := c.Admin().WithHeader("Idempotency-Key", "one-booking")
	keyed.Post(t, path+"/reserve", harness.Body{"units": 6})
	expect(1, "reserve", 20, 0, 6, 2)

	require.Equal(t, http.StatusCreated, keyed.Post(t, path+"/reserve", harness.Body{"units": 6}).Status)
	c.Admin().Post(t, path+"/reserve", harness.Body{"units": 100}).Refused(t, http.StatusConflict, "insufficient-units")
	c.Admin().WithHeader("Idempotency-Key", "refused").Post(t, path+"/reserve", harness.Body{"units": 100}).Refused(t,
		http.StatusConflict,
		"insufficient-units")
	require.Equal(t, http.StatusOK, c.Admin().Post(t, path+"/preview", harness.Body{"units": 1}).Status)
	require.Equal(t, http.StatusOK, c.Admin().Patch(t, path, harness.Body{"notes": "seen"}).Status)

	c.Admin().Post(t, path+"/consume", harness.Body{"units": 2})
	expect(2, "consume", 20, 2, 4, 4)
	c.Admin().Post(t, path+"/release", harness.Body{"units": 1})
	expect(3, "release", 20, 2, 3, 5)
	require.Equal(t, http.StatusOK,
		c.Admin().Patch(t, path, harness.Body{"totalUnits": 30, "notes": "more", "reason": "granted"}).Status)
	h := s.Next(t)
	require.EqualValues(t, 4, h.ID)
	require.Equal(t, "adjust", h.Payload(t)["operation"])
	c.Admin().Post(t, path+"/reserve", harness.Body{"units": 1, "expiresInSeconds": 30})
	require.Equal(t, "reserve", s.Next(t).Payload(t)["operation"])
	c.Clock.SetAhead(time.Minute)
	swept, err := c.App.Authorizations.SweepHolds(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 1, swept)
	require.Equal(t, "expire", s.Next(t).Payload(t)["operation"])
}

func TestEventsNeedTheirPermission(t *testing.T) {
	t.Parallel()
	c := openWithTuning(t, events.Tuning{Heartbeat: 30 * time.Millisecond}).StartEvents(t)
	path := c.Authorize(t, 20)
	scheduler := c.As(c.Own.Tokens[rbac.Scheduler]).Stream(t, "?types=authorization.balance")
	patient := c.As(c.Own.Tokens[rbac.Patient]).Stream(t, "")
	other := c.As(c.Other.Tokens[rbac.Admin]).Stream(t, "")
	for _, s := range []*harness.Stream{scheduler, patient, other} {
		require.Equal(t, "ready", s.Next(t).Name)
	}
	c.Admin().Post(t, path+"/reserve", harness.Body{"units": 6})
	require.EqualValues(t, 1, scheduler.Next(t).ID)
	patient.RequireQuiet(t, 1)
	other.RequireQuiet(t, 0)

	c.Admin().Get(t, "/events?types=authorization.blance").Refused(t, http.StatusUnprocessableEntity, "validation-failed")
	c.Admin().Get(t, "/events?lastEventId=-1").Refused(t, http.StatusUnprocessableEntity, "validation-failed")
	c.Admin().WithHeader("Last-Event-ID", "a").Get(t, "/events").
		Refused(t, http.StatusUnprocessableEntity, "validation-failed")
	c.As("").Get(t, "/events").Refused(t, http.StatusUnauthorized, "unauthenticated")
}

// TestEventsUnderLoad lets 20 clients book on two instances while readers connect and
// disconnect. Each reader gets every event once and in order, and the events match the
// ledger's entries.
func TestEventsUnderLoad(t *testing.T) {
	t.Parallel()
	patient, ok := db.Preset("aggressive")
	require.True(t, ok)
	first := openWithTuning(t, events.Tuning{}, dbtest.WithPolicy(patient)).StartEvents(t)
	second := harness.SecondInstance(t, first, first.Database.Open(t, dbtest.WithPolicy(patient))).StartEvents(t)
	instances := []*harness.Clinic{first, second}
	paths := []string{first.Authorize(t, 1000), first.Authorize(t, 1000), first.Authorize(t, 5)}

	readers := []rbac.Role{rbac.Admin, rbac.Scheduler, rbac.Practitioner, rbac.Biller}
	collected := make([][]harness.StreamEvent, len(readers))
	ended := first.Authorize(t, 1) // booked after everything else
	var booked atomic.Int64
	var reading sync.WaitGroup
	for r, role := range readers {
		reading.Go(func() {
			last, over := int64(0), false
			for n := r; !over; n++ { // the reader disconnects after some events, and reconnects to the other instance
				c := instances[n%2].As(first.Own.Tokens[role]).WithHeader("Last-Event-ID", strconv.FormatInt(last, 10))
				s := c.Stream(t, "?lastEventId=0")
				s.Next(t)
				for range 11 + 5*r {
					h := s.Next(t)
					if over = strings.HasSuffix(ended, h.Data["subjectId"].(string)); over {
						break
					}
					collected[r], last = append(collected[r], h), h.ID
				}
				s.Close()
			}
		})
	}
	harness.Concurrently(20, func(i int) {
		for n := range 10 {
			answer := instances[(i+n)%2].Admin().WithHeader("Idempotency-Key", uuid.NewString()).
				Post(t, paths[(i+n)%3]+"/reserve", harness.Body{"units": 1})
			switch answer.Status {
			case http.StatusCreated:
				booked.Add(1)
			case http.StatusInternalServerError:
				answer.Refused(t, http.StatusInternalServerError, "contention")
			default:
				answer.Refused(t, http.StatusConflict, "insufficient-units")
			}
		}
	})
	require.Equal(t, http.StatusCreated, first.Admin().Post(t, ended+"/reserve", harness.Body{"units": 1}).Status)
	reading.Wait()
	for r := range readers {
		versions := map[string]float64{}
		require.Len(t, collected[r], int(booked.Load()))
		for i, h := range collected[r] {
			require.EqualValues(t, i+1, h.ID, "reader %d", r)
			payload := h.Payload(t)
			id, version := payload["authorizationId"].(string), payload["version"].(float64)
			if before, ok := versions[id]; ok {
				require.InDelta(t, before+1, version, 0, "each authorization's events come in the order of its changes")
			}
			versions[id] = version
		}
	}
	for _, path := range paths {
		id := strings.TrimPrefix(path, "/authorizations/")
		var reported, written []any
		for _, h := range collected[0] {
			if payload := h.Payload(t); payload["authorizationId"] == id {
				reported = append(reported, payload["scheduledUnits"])
			}
		}
		for _, entry := range first.Admin().Get(t, path+"/entries?limit=200").Body["data"].([]any) {
			written = append(written, entry.(map[string]any)["scheduledUnitsAfter"])
		}
		require.Equal(t, written, reported, "the events are the ledger's entries")
	}
	require.Zero(t, first.Count(t, "SELECT count(*) FROM outbox"))
}

func TestEventsOfAnInstanceThatWasKilled(t *testing.T) {
	t.Parallel()
	killed := openWithTuning(t, events.Tuning{}) // commits, and never relays
	alive := harness.SecondInstance(t, killed, killed.Database.Open(t)).StartEvents(t)
	path := killed.Authorize(t, 20)
	s := alive.Admin().Stream(t, "")
	require.Equal(t, "ready", s.Next(t).Name)
	killed.Admin().Post(t, path+"/reserve", harness.Body{"units": 6})
	require.EqualValues(t, 1, s.Next(t).ID)
}

func TestEventsReachOtherInstancesWithoutListening(t *testing.T) {
	t.Parallel()
	first := openPolling(t).StartEvents(t)
	second := harness.SecondInstance(t, first, first.Database.Open(t)).StartEvents(t)
	path := first.Authorize(t, 20)
	s := second.Admin().Stream(t, "")
	require.Equal(t, "ready", s.Next(t).Name)
	for i := range 5 {
		first.Exec(t,
			`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()
				AND query LIKE 'LISTEN %'`)
		first.Admin().Post(t, path+"/reserve", harness.Body{"units": 1})
		require.EqualValues(t, i+1, s.Next(t).ID)
	}
}

// TestEventsOfAmbiguousCommits breaks the connection at the COMMIT of a reserve: like
// the units, the event exists once.
func TestEventsOfAmbiguousCommits(t *testing.T) {
	t.Parallel()
	for _, point := range []wireproxy.Point{wireproxy.BeforeServer, wireproxy.BeforeAnswer} {
		database := harness.TwoPractices.New(t)
		proxy := wireproxy.Start(t, database.AppURL)
		c := harness.Serve(t, database, database.Open(t, dbtest.Through(proxy.URL)))
		path := c.Authorize(t, 10)
		proxy.Break(point, "commit", 1)
		require.Equal(t, http.StatusCreated, c.Admin().Post(t, path+"/reserve", harness.Body{"units": 4}).Status)
		_, err := c.App.Events.Relay(t.Context())
		require.NoError(t, err)
		require.Equal(t, 1, c.Count(t, "SELECT count(*) FROM events"))

		proxy.Break(point, "commit", 1) // of the relay
		c.Admin().Post(t, path+"/release", harness.Body{"units": 1})
		require.Eventually(t, func() bool { _, err := c.App.Events.Relay(t.Context()); return err == nil }, harness.Soon,
			time.Millisecond)
		require.Equal(t, 2, c.Count(t, "SELECT max(position) FROM events WHERE (SELECT count(*) FROM events) = 2"))
	}
}

func TestSlowReaderIsDropped(t *testing.T) {
	t.Parallel()
	c := openWithTuning(t, events.Tuning{Patience: 200 * time.Millisecond})
	const many = 20_000 // of a kilobyte each, more than the socket buffers
	c.Exec(t, `INSERT INTO event_streams (organization_id, last_position) VALUES ($1, $2)`, c.Own.ID, many)
	c.Exec(t, `INSERT INTO events (organization_id, position, type, subject_id, permission, payload, occurred_at)
		SELECT $1, n, 'authorization.balance', gen_random_uuid(), 'authorization:read', json_build_object('filler', repeat('x', 1000)), now()
		FROM generate_series(1, $2::int) n`, c.Own.ID, many)

	var last int64
	read := func(from *http.Response) {
		defer from.Body.Close()
		harness.ReadEvents(from.Body, func(h harness.StreamEvent) {
			if h.Name == "ready" || last == many {
				return
			}
			require.Equal(t, last+1, h.ID)
			if last = h.ID; last == many {
				_ = from.Body.Close() // the stream would continue
			}
		})
	}
	asleep := c.Admin().OpenStream(t.Context(), t, http.DefaultClient, "?lastEventId=0")
	require.Eventually(t, func() bool { return c.App.Events.Streams() == 0 }, harness.Soon, 10*time.Millisecond,
		"it is disconnected while it does not read")
	read(asleep)
	require.Less(t, last, int64(many))
	for last < many { // may be too slow again on a busy machine
		read(c.Admin().OpenStream(t.Context(), t, http.DefaultClient, "?lastEventId="+strconv.FormatInt(last, 10)))
	}
}

func TestStreamEndsWithTheAccessToken(t *testing.T) {
	t.Parallel()
	c := openWithTuning(t, events.Tuning{Heartbeat: 20 * time.Millisecond})
	s := c.Admin().Stream(t, "")
	require.Equal(t, "ready", s.Next(t).Name)
	s.RequireQuiet(t, 0)
	c.Clock.SetAhead(time.Hour)
	s.RequireEnd(t)
	c.Admin().Get(t, "/events").Refused(t, http.StatusUnauthorized, "unauthenticated")
}

func TestTooManyStreams(t *testing.T) {
	t.Parallel()
	c := openWithTuning(t, events.Tuning{})
	var last *harness.Stream
	for range 10 {
		last = c.Admin().Stream(t, "")
		last.Next(t)
	}
	answer := c.Admin().Get(t, "/events").Refused(t, http.StatusTooManyRequests, "too-many-streams")
	require.NotEmpty(t, answer.Header.Get("Retry-After"))
	require.Equal(t, "ready", c.As(c.Own.Tokens[rbac.Biller]).Stream(t, "").Next(t).Name, "it does not block others")
	last.Close()
	require.Eventually(t, func() bool { return c.App.Events.Streams() == 10 }, harness.Soon, time.Millisecond)
	require.Equal(t, "ready", c.Admin().Stream(t, "").Next(t).Name)
}

func TestOldEventsAreRemoved(t *testing.T) {
	t.Parallel()
	c := openWithTuning(t, events.Tuning{})
	path := c.Authorize(t, 20)
	reserve := func() {
		require.Equal(t, http.StatusCreated, c.Admin().Post(t, path+"/reserve", harness.Body{"units": 1}).Status)
		_, err := c.App.Events.Relay(t.Context())
		require.NoError(t, err)
	}
	opening := func(lastEventID string) harness.StreamEvent {
		return c.Admin().WithHeader("Last-Event-ID", lastEventID).Stream(t, "").Next(t)
	}
	reserve()
	reserve()
	c.Exec(t, "UPDATE events SET occurred_at = occurred_at - interval '8 days'")
	reserve()
	removed, err := c.App.Events.Sweep(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 2, removed)

	reset := harness.StreamEvent{ID: 3, Name: "reset", Data: harness.Body{"id": 3.0, "type": "reset"}}
	require.Equal(t, reset, opening("1"), "the second is gone")
	require.Equal(t, reset, opening("0"))
	require.Equal(t, harness.StreamEvent{ID: 2, Name: "ready", Data: harness.Body{"id": 2.0, "type": "ready"}},
		opening("2"), "the third exists")
	require.Equal(t, "ready", opening("3").Name)
	require.Equal(t, reset, opening("4"), "it never existed")

	c.Exec(t, "UPDATE events SET occurred_at = occurred_at - interval '8 days'")
	removed, err = c.App.Events.Sweep(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 1, removed)
	require.Equal(t, reset, opening("2"))
	require.Equal(t, "ready", opening("3").Name, "nothing was missed")
}
