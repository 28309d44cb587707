package e2e

import (
	"bufio"
	"context"
	"database/sql"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"omnirapeutic/modules/events"
	"omnirapeutic/modules/rbac"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/db/dbtest"
	"omnirapeutic/platform/db/wireproxy"
)

// soon is a timeout for events that do happen.
const soon = 20 * time.Second

// openLive starts a clinic that does not relay events yet.
func openLive(t testing.TB, tuning events.Tuning, options ...dbtest.Option) *clinic {
	t.Helper()
	database := twoPractices.New(t)
	c := &clinic{database: database, tuning: tuning}
	c.listen(t, database.Open(t, options...))
	c.fill(t)
	return c
}

// openPolling is like openLive, with frequent polls and environment variables of the program.
func openPolling(t testing.TB, settings ...string) *clinic {
	t.Helper()
	database := twoPractices.New(t)
	c := &clinic{database: database, poll: 20 * time.Millisecond, settings: settings}
	c.listen(t, database.Open(t))
	c.fill(t)
	return c
}

// live runs the instance's event work until the test ends.
func (c *clinic) live(t testing.TB) *clinic {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); c.runEvents(ctx) }()
	t.Cleanup(func() { cancel(); <-ended })
	return c
}

// runEvents does the instance's event work until the context ends.
func (c *clinic) runEvents(ctx context.Context) {
	var listening sync.WaitGroup
	listening.Go(func() { c.app.Events.Listen(ctx) })
	c.app.RunJobs(ctx, "relay-events", "deliver-webhooks", "encrypt-webhook-secrets")
	listening.Wait()
}

// heard is one event of a stream; without a name it is a heartbeat.
type heard struct {
	id   int64
	name string
	data body
}

func (h heard) payload(t testing.TB) body {
	t.Helper()
	inner, ok := h.data["data"].(map[string]any)
	require.True(t, ok, "%v", h)
	return inner
}

// stream is a reader of events.
type stream struct {
	events chan heard
	close  func()
}

// stream listens until the test ends or the stream is closed.
func (c caller) stream(t testing.TB, query string) *stream {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	response := c.open(ctx, t, http.DefaultClient, query)
	s := &stream{events: make(chan heard, 10_000), close: cancel}
	t.Cleanup(func() { response.Body.Close() })
	go func() {
		defer close(s.events)
		readEvents(response.Body, func(h heard) { s.events <- h })
	}()
	return s
}

func (c caller) open(ctx context.Context, t testing.TB, client *http.Client, query string) *http.Response {
	t.Helper()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.url+"/events"+query, nil)
	require.NoError(t, err)
	request.Header.Set("Authorization", "Bearer "+c.token)
	for name, value := range c.headers {
		request.Header.Set(name, value)
	}
	response, err := client.Do(request)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, response.StatusCode)
	require.Equal(t, "text/event-stream", response.Header.Get("Content-Type"))
	return response
}

func readEvents(from io.Reader, tell func(heard)) {
	var h heard
	lines := bufio.NewScanner(from)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), ": ")
		switch name {
		case "id":
			h.id, _ = strconv.ParseInt(value, 10, 64)
		case "event":
			h.name = value
		case "data":
			_ = json.Unmarshal([]byte(value), &h.data)
		case "":
			if lines.Text() == "" {
				tell(h)
				h = heard{}
			}
		}
	}
}

// next returns the next event, skipping heartbeats.
func (s *stream) next(t testing.TB) heard {
	t.Helper()
	for deadline := time.After(soon); ; {
		select {
		case h, ok := <-s.events:
			require.True(t, ok, "the stream has ended")
			if h.name != "" {
				return h
			}
		case <-deadline:
			require.FailNow(t, "no event came")
		}
	}
}

// quiet waits for a heartbeat at the position, before which no event was shown.
func (s *stream) quiet(t testing.TB, position int64) {
	t.Helper()
	for deadline := time.After(soon); ; {
		select {
		case h, ok := <-s.events:
			require.True(t, ok, "the stream has ended")
			require.Empty(t, h.name, "%v", h)
			if h.id == position {
				return
			}
		case <-deadline:
			require.FailNow(t, "no heartbeat had the position")
		}
	}
}

// ended waits for the end of the stream.
func (s *stream) ended(t testing.TB) {
	t.Helper()
	for deadline := time.After(soon); ; {
		select {
		case _, ok := <-s.events:
			if !ok {
				return
			}
		case <-deadline:
			require.FailNow(t, "the stream continues")
		}
	}
}

func TestEventsOfAnAuthorization(t *testing.T) {
	t.Parallel()
	c := openLive(t, events.Tuning{}).live(t)
	path := c.authorize(t, 20)
	id := strings.TrimPrefix(path, "/authorizations/")
	s := c.admin().stream(t, "")
	require.Equal(t, heard{0, "ready", body{"id": 0.0, "type": "ready"}}, s.next(t))

	promises, err := published()
	require.NoError(t, err)
	expect := func(position int64, operation string, total, used, scheduled, version int) {
		t.Helper()
		h := s.next(t)
		require.Equal(t, position, h.id)
		require.Equal(t, "authorization.balance", h.name)
		promises.keepsEvent(t, h.name, map[string]any(h.data))
		require.EqualValues(t, position, h.data["id"])
		require.Equal(t, "authorization.balance", h.data["type"])
		require.Equal(t, id, h.data["subjectId"])
		_, err := time.Parse(time.RFC3339Nano, h.data["occurredAt"].(string))
		require.NoError(t, err)
		require.Equal(t, body{
			"authorizationId": id,
			"totalUnits":      float64(total),
			"usedUnits":       float64(used),
			"scheduledUnits":  float64(scheduled),
			"availableUnits":  float64(total - used - scheduled),
			"version":         float64(version),
			"operation":       operation,
		}, h.payload(t))
	}
	keyed := c.admin().with("Idempotency-Key", "one-booking")
	keyed.post(t, path+"/reserve", body{"units": 6})
	expect(1, "reserve", 20, 0, 6, 2)

	require.Equal(t, http.StatusCreated, keyed.post(t, path+"/reserve", body{"units": 6}).status)
	c.admin().post(t, path+"/reserve", body{"units": 100}).refused(t, http.StatusConflict, "insufficient-units")
	c.admin().with("Idempotency-Key", "refused").post(t, path+"/reserve", body{"units": 100}).refused(t,
		http.StatusConflict,
		"insufficient-units")
	require.Equal(t, http.StatusOK, c.admin().post(t, path+"/preview", body{"units": 1}).status)
	require.Equal(t, http.StatusOK, c.admin().patch(t, path, body{"notes": "seen"}).status)

	c.admin().post(t, path+"/consume", body{"units": 2})
	expect(2, "consume", 20, 2, 4, 4)
	c.admin().post(t, path+"/release", body{"units": 1})
	expect(3, "release", 20, 2, 3, 5)
	require.Equal(t, http.StatusOK,
		c.admin().patch(t, path, body{"totalUnits": 30, "notes": "more", "reason": "granted"}).status)
	h := s.next(t)
	require.EqualValues(t, 4, h.id)
	require.Equal(t, "adjust", h.payload(t)["operation"])
	c.admin().post(t, path+"/reserve", body{"units": 1, "expiresInSeconds": 30})
	require.Equal(t, "reserve", s.next(t).payload(t)["operation"])
	c.clock.set(time.Minute)
	swept, err := c.app.Authorizations.SweepHolds(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 1, swept)
	require.Equal(t, "expire", s.next(t).payload(t)["operation"])
}

func TestEventsNeedTheirPermission(t *testing.T) {
	t.Parallel()
	c := openLive(t, events.Tuning{Heartbeat: 30 * time.Millisecond}).live(t)
	path := c.authorize(t, 20)
	scheduler := c.as(c.own.tokens[rbac.Scheduler]).stream(t, "?types=authorization.balance")
	patient := c.as(c.own.tokens[rbac.Patient]).stream(t, "")
	other := c.as(c.other.tokens[rbac.Admin]).stream(t, "")
	for _, s := range []*stream{scheduler, patient, other} {
		require.Equal(t, "ready", s.next(t).name)
	}
	c.admin().post(t, path+"/reserve", body{"units": 6})
	require.EqualValues(t, 1, scheduler.next(t).id)
	patient.quiet(t, 1)
	other.quiet(t, 0)

	c.admin().get(t, "/events?types=authorization.blance").refused(t, http.StatusUnprocessableEntity, "validation-failed")
	c.admin().get(t, "/events?lastEventId=-1").refused(t, http.StatusUnprocessableEntity, "validation-failed")
	c.admin().with("Last-Event-ID", "a").get(t, "/events").refused(t, http.StatusUnprocessableEntity, "validation-failed")
	c.as("").get(t, "/events").refused(t, http.StatusUnauthorized, "unauthenticated")
}

// TestEventsUnderLoad lets 20 clients book on two instances while readers connect and
// disconnect. Each reader gets every event once and in order, and the events match the
// ledger's entries.
func TestEventsUnderLoad(t *testing.T) {
	t.Parallel()
	patient, ok := db.Preset("aggressive")
	require.True(t, ok)
	first := openLive(t, events.Tuning{}, dbtest.WithPolicy(patient)).live(t)
	second := secondInstance(t, first, first.database.Open(t, dbtest.WithPolicy(patient))).live(t)
	instances := []*clinic{first, second}
	paths := []string{first.authorize(t, 1000), first.authorize(t, 1000), first.authorize(t, 5)}

	readers := []rbac.Role{rbac.Admin, rbac.Scheduler, rbac.Practitioner, rbac.Biller}
	collected := make([][]heard, len(readers))
	ended := first.authorize(t, 1) // booked after everything else
	var booked atomic.Int64
	var reading sync.WaitGroup
	for r, role := range readers {
		reading.Go(func() {
			last, over := int64(0), false
			for n := r; !over; n++ { // the reader disconnects after some events, and reconnects to the other instance
				c := instances[n%2].as(first.own.tokens[role]).with("Last-Event-ID", strconv.FormatInt(last, 10))
				s := c.stream(t, "?lastEventId=0")
				s.next(t)
				for range 11 + 5*r {
					h := s.next(t)
					if over = strings.HasSuffix(ended, h.data["subjectId"].(string)); over {
						break
					}
					collected[r], last = append(collected[r], h), h.id
				}
				s.close()
			}
		})
	}
	together(20, func(i int) {
		for n := range 10 {
			answer := instances[(i+n)%2].admin().with("Idempotency-Key", uuid.NewString()).
				post(t, paths[(i+n)%3]+"/reserve", body{"units": 1})
			switch answer.status {
			case http.StatusCreated:
				booked.Add(1)
			case http.StatusInternalServerError:
				answer.refused(t, http.StatusInternalServerError, "contention")
			default:
				answer.refused(t, http.StatusConflict, "insufficient-units")
			}
		}
	})
	require.Equal(t, http.StatusCreated, first.admin().post(t, ended+"/reserve", body{"units": 1}).status)
	reading.Wait()
	for r := range readers {
		versions := map[string]float64{}
		require.Len(t, collected[r], int(booked.Load()))
		for i, h := range collected[r] {
			require.EqualValues(t, i+1, h.id, "reader %d", r)
			payload := h.payload(t)
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
			if payload := h.payload(t); payload["authorizationId"] == id {
				reported = append(reported, payload["scheduledUnits"])
			}
		}
		for _, entry := range first.admin().get(t, path+"/entries?limit=200").body["data"].([]any) {
			written = append(written, entry.(map[string]any)["scheduledUnitsAfter"])
		}
		require.Equal(t, written, reported, "the events are the ledger's entries")
	}
	require.Zero(t, first.count(t, "SELECT count(*) FROM outbox"))
}

// count queries the database directly.
func (c *clinic) count(t testing.TB, query string, args ...any) int {
	t.Helper()
	owner, err := sql.Open("pgx", c.database.OwnerURL)
	require.NoError(t, err)
	defer owner.Close()
	var n int
	require.NoError(t, owner.QueryRowContext(t.Context(), query, args...).Scan(&n))
	return n
}

func (c *clinic) run(t testing.TB, statement string, args ...any) {
	t.Helper()
	role, err := sql.Open("pgx", dbtest.WithAllOrganizations(c.database.AppURL)) // may end the program's connections
	require.NoError(t, err)
	defer role.Close()
	_, err = role.ExecContext(t.Context(), statement, args...)
	require.NoError(t, err)
}

func TestEventsOfAnInstanceThatWasKilled(t *testing.T) {
	t.Parallel()
	killed := openLive(t, events.Tuning{}) // commits, and never relays
	alive := secondInstance(t, killed, killed.database.Open(t)).live(t)
	path := killed.authorize(t, 20)
	s := alive.admin().stream(t, "")
	require.Equal(t, "ready", s.next(t).name)
	killed.admin().post(t, path+"/reserve", body{"units": 6})
	require.EqualValues(t, 1, s.next(t).id)
}

func TestEventsReachOtherInstancesWithoutListening(t *testing.T) {
	t.Parallel()
	first := openPolling(t).live(t)
	second := secondInstance(t, first, first.database.Open(t)).live(t)
	path := first.authorize(t, 20)
	s := second.admin().stream(t, "")
	require.Equal(t, "ready", s.next(t).name)
	for i := range 5 {
		first.run(t,
			`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()
				AND query LIKE 'LISTEN %'`)
		first.admin().post(t, path+"/reserve", body{"units": 1})
		require.EqualValues(t, i+1, s.next(t).id)
	}
}

// TestEventsOfAmbiguousCommits breaks the connection at the COMMIT of a reserve: like
// the units, the event exists once.
func TestEventsOfAmbiguousCommits(t *testing.T) {
	t.Parallel()
	for _, place := range []wireproxy.Point{wireproxy.BeforeServer, wireproxy.BeforeAnswer} {
		database := twoPractices.New(t)
		proxy := wireproxy.Start(t, database.AppURL)
		c := serve(t, database, database.Open(t, dbtest.Through(proxy.URL)))
		path := c.authorize(t, 10)
		proxy.Break(place, "commit", 1)
		require.Equal(t, http.StatusCreated, c.admin().post(t, path+"/reserve", body{"units": 4}).status)
		_, err := c.app.Events.Relay(t.Context())
		require.NoError(t, err)
		require.Equal(t, 1, c.count(t, "SELECT count(*) FROM events"))

		proxy.Break(place, "commit", 1) // of the relay
		c.admin().post(t, path+"/release", body{"units": 1})
		require.Eventually(t, func() bool { _, err := c.app.Events.Relay(t.Context()); return err == nil }, soon,
			time.Millisecond)
		require.Equal(t, 2, c.count(t, "SELECT max(position) FROM events WHERE (SELECT count(*) FROM events) = 2"))
	}
}

func TestSlowReaderIsDropped(t *testing.T) {
	t.Parallel()
	c := openLive(t, events.Tuning{Patience: 200 * time.Millisecond})
	const many = 20_000 // of a kilobyte each, more than the socket buffers
	c.run(t, `INSERT INTO event_streams (organization_id, last_position) VALUES ($1, $2)`, c.own.id, many)
	c.run(t, `INSERT INTO events (organization_id, position, type, subject_id, permission, payload, occurred_at)
		SELECT $1, n, 'authorization.balance', gen_random_uuid(), 'authorization:read', json_build_object('filler', repeat('x', 1000)), now()
		FROM generate_series(1, $2::int) n`, c.own.id, many)

	var last int64
	read := func(from *http.Response) {
		defer from.Body.Close()
		readEvents(from.Body, func(h heard) {
			if h.name == "ready" || last == many {
				return
			}
			require.Equal(t, last+1, h.id)
			if last = h.id; last == many {
				_ = from.Body.Close() // the stream would continue
			}
		})
	}
	asleep := c.admin().open(t.Context(), t, http.DefaultClient, "?lastEventId=0")
	require.Eventually(t, func() bool { return c.app.Events.Streams() == 0 }, soon, 10*time.Millisecond,
		"it is disconnected while it does not read")
	read(asleep)
	require.Less(t, last, int64(many))
	for last < many { // may be too slow again on a busy machine
		read(c.admin().open(t.Context(), t, http.DefaultClient, "?lastEventId="+strconv.FormatInt(last, 10)))
	}
}

func TestStreamEndsWithTheAccessToken(t *testing.T) {
	t.Parallel()
	c := openLive(t, events.Tuning{Heartbeat: 20 * time.Millisecond})
	s := c.admin().stream(t, "")
	require.Equal(t, "ready", s.next(t).name)
	s.quiet(t, 0)
	c.clock.set(time.Hour)
	s.ended(t)
	c.admin().get(t, "/events").refused(t, http.StatusUnauthorized, "unauthenticated")
}

func TestTooManyStreams(t *testing.T) {
	t.Parallel()
	c := openLive(t, events.Tuning{})
	var last *stream
	for range 10 {
		last = c.admin().stream(t, "")
		last.next(t)
	}
	answer := c.admin().get(t, "/events").refused(t, http.StatusTooManyRequests, "too-many-streams")
	require.NotEmpty(t, answer.header.Get("Retry-After"))
	require.Equal(t, "ready", c.as(c.own.tokens[rbac.Biller]).stream(t, "").next(t).name, "it does not block others")
	last.close()
	require.Eventually(t, func() bool { return c.app.Events.Streams() == 10 }, soon, time.Millisecond)
	require.Equal(t, "ready", c.admin().stream(t, "").next(t).name)
}

func TestOldEventsAreRemoved(t *testing.T) {
	t.Parallel()
	c := openLive(t, events.Tuning{})
	path := c.authorize(t, 20)
	reserve := func() {
		require.Equal(t, http.StatusCreated, c.admin().post(t, path+"/reserve", body{"units": 1}).status)
		_, err := c.app.Events.Relay(t.Context())
		require.NoError(t, err)
	}
	opening := func(lastEventID string) heard {
		return c.admin().with("Last-Event-ID", lastEventID).stream(t, "").next(t)
	}
	reserve()
	reserve()
	c.run(t, "UPDATE events SET occurred_at = occurred_at - interval '8 days'")
	reserve()
	removed, err := c.app.Events.Sweep(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 2, removed)

	reset := heard{3, "reset", body{"id": 3.0, "type": "reset"}}
	require.Equal(t, reset, opening("1"), "the second is gone")
	require.Equal(t, reset, opening("0"))
	require.Equal(t, heard{2, "ready", body{"id": 2.0, "type": "ready"}}, opening("2"), "the third exists")
	require.Equal(t, "ready", opening("3").name)
	require.Equal(t, reset, opening("4"), "it never existed")

	c.run(t, "UPDATE events SET occurred_at = occurred_at - interval '8 days'")
	removed, err = c.app.Events.Sweep(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 1, removed)
	require.Equal(t, reset, opening("2"))
	require.Equal(t, "ready", opening("3").name, "nothing was missed")
}
