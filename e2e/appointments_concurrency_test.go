package e2e

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"omnirapeutic/e2e/harness"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/db/dbtest"
	"omnirapeutic/platform/db/wireproxy"
	"omnirapeutic/platform/telemetry/logtest"
)

// Concurrent requests through HTTP, started at a barrier. The numbers refer to the list
// of defects of the system that this program replaces.

// outcomes counts answers by their status and code.
type outcomes struct {
	mu      sync.Mutex
	counts  map[string]int
	answers []harness.Answer
}

func (o *outcomes) add(a harness.Answer) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.counts == nil {
		o.counts = map[string]int{}
	}
	o.counts[strings.TrimSpace(fmt.Sprint(a.Status, " ", a.Text("code")))]++
	o.answers = append(o.answers, a)
}

func TestTwoBookingsOfTheLastUnits(t *testing.T) { // 1
	t.Parallel()
	c := harness.Open(t)
	path := c.Authorize(t, 4)
	one, other := c.AddPractitioner(t), c.AddPractitioner(t)
	var got outcomes
	harness.Concurrently(2, func(i int) {
		got.add(c.Admin().Post(t, "/appointments",
			c.Booking(path, []uuid.UUID{one, other}[i], c.At(t, 1, "09:00").Add(time.Duration(i)*2*time.Hour), time.Hour)))
	})
	require.Equal(t, map[string]int{"201": 1, "409 insufficient-units": 1}, got.counts)
	c.RequireBalance(t, path, 4, 0, 4)
	require.Len(t, c.Admin().Get(t, "/appointments").Body["data"], 1)
	c.RequireClean(t)
}

func TestFiftyBookingsOfOneSlot(t *testing.T) { // 1, 4
	t.Parallel()
	c := harness.Open(t)
	path := c.Authorize(t, 1000)
	practitioner := c.AddPractitioner(t)
	var got outcomes
	harness.Concurrently(50, func(int) {
		got.add(c.Admin().Post(t, "/appointments", c.Booking(path, practitioner, c.At(t, 1, "15:00"), time.Hour)))
	})
	require.Equal(t, map[string]int{"201": 1, "409 practitioner-overlap": 49}, got.counts)
	var winner string
	for _, a := range got.answers {
		if a.Status == http.StatusCreated {
			winner = a.Text("id")
		}
	}
	for _, a := range got.answers {
		if a.Status == http.StatusConflict {
			require.Equal(t, winner, a.Text("appointmentId"), "it names the conflicting appointment")
			require.Equal(t, []string{"practitioner-overlap", "patient-overlap"}, a.Reasons(t))
			require.NotContains(t, string(a.Raw), "Example", "and no names")
		}
	}
	c.RequireBalance(t, path, 1000, 0, 4)
	c.RequireClean(t)
}

func TestTenConcurrentCompletionsOfAnAppointment(t *testing.T) { // 2
	t.Parallel()
	c := harness.Open(t)
	path := c.Authorize(t, 40)
	practitioner := c.AddPractitioner(t)
	var all []string
	for i := range 4 {
		all = append(all, c.Book(t, c.Booking(path, practitioner, c.At(t, -1, "08:00").Add(time.Duration(i)*time.Hour),
			time.Hour)))
	}
	var got outcomes
	harness.Concurrently(10, func(int) { got.add(c.Admin().Post(t, all[1]+"/complete", harness.Body{})) })
	require.Equal(t, map[string]int{"200": 1, "409 appointment-transition": 9}, got.counts)
	c.RequireBalance(t, path, 40, 4, 12)
	require.Len(t, c.Admin().Get(t, "/sessions").Body["data"], 1)
	for _, sibling := range []string{all[0], all[2], all[3]} {
		require.Equal(t, "SCHEDULED", c.Admin().Get(t, sibling).Text("status"))
	}
	t.Run("with one key all get the same answer", func(t *testing.T) {
		var same outcomes
		keyed := c.Admin().WithHeader("Idempotency-Key", "done")
		harness.Concurrently(10, func(int) {
			same.add(keyed.Post(t, all[2]+"/complete",
				harness.Body{"narrative": "Well done."}))
		})
		require.Equal(t, map[string]int{"200": 10}, same.counts)
		for _, a := range same.answers {
			require.JSONEq(t, string(same.answers[0].Raw), string(a.Raw))
		}
		c.RequireBalance(t, path, 40, 8, 8)
	})
	c.RequireClean(t)
}

func TestTenConcurrentCancellationsOfAnAppointment(t *testing.T) { // 3
	t.Parallel()
	c := harness.Open(t)
	path := c.Authorize(t, 40)
	practitioner := c.AddPractitioner(t)
	cancelled := c.Book(t, c.Booking(path, practitioner, c.At(t, 2, "08:00"), time.Hour))
	sibling := c.Book(t, c.Booking(path, practitioner, c.At(t, 2, "09:00"), 2*time.Hour))
	var got outcomes
	harness.Concurrently(10, func(int) { got.add(c.Admin().Post(t, cancelled+"/cancel", harness.Body{"reason": "ill"})) })
	require.Equal(t, map[string]int{"200": 1, "409 appointment-transition": 9}, got.counts)
	c.RequireBalance(t, path, 40, 0, 8)
	require.Equal(t, 8, c.Admin().Get(t, sibling).Number(t, "units"))
	c.RequireClean(t)
}

func TestConcurrentCancelCompleteAndReschedule(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	path := c.Authorize(t, 400)
	practitioner := c.AddPractitioner(t)
	for round := range 6 {
		at := c.At(t, -2, "08:00").Add(time.Duration(round) * 2 * time.Hour)
		booked := c.Book(t, c.Booking(path, practitioner, at, time.Hour))
		answers := make([]harness.Answer, 3)
		harness.Concurrently(3, func(i int) {
			switch i {
			case 0:
				answers[i] = c.Admin().Post(t, booked+"/cancel", harness.Body{})
			case 1:
				answers[i] = c.Admin().Post(t, booked+"/complete", harness.Body{})
			default:
				answers[i] = c.Admin().Patch(t, booked, harness.Body{"endTime": at.Add(90 * time.Minute)})
			}
		})
		ended := 0
		for i, a := range answers {
			if a.Status != http.StatusOK {
				a.Refused(t, http.StatusConflict, "appointment-transition")
			} else if i < 2 {
				ended++
			}
		}
		require.Equal(t, 1, ended, "it is cancelled or completed, not both")
	}
	c.RequireClean(t)
}

func TestBookingsFarBeyondTheConnectionPool(t *testing.T) { // 4
	t.Parallel()
	database := harness.TwoPractices.New(t)
	c := harness.Serve(t, database, database.Open(t, dbtest.WithMaxConns(2)))
	path := c.Authorize(t, 1000)
	var staff []uuid.UUID
	for range 5 {
		staff = append(staff, c.AddPractitioner(t))
	}
	patients := []uuid.UUID{}
	paths := []string{}
	for range 10 {
		patient := c.Admin().Post(t, "/patients", harness.Body{
			"firstName": "A", "lastName": "B", "dateOfBirth": "2019-01-01",
		}).
			Created(t)
		patients = append(patients, patient)
		paths = append(paths, c.Authorize(t, 1000, harness.Body{"patientId": patient}))
	}
	var got outcomes
	harness.Concurrently(60, func(i int) {
		b := c.Booking(paths[i%10], staff[i%5], c.At(t, -3, "00:00").Add(time.Duration(i/5)*time.Hour), time.Hour,
			harness.Body{"patientId": patients[i%10]})
		booked := c.Admin().Post(t, "/appointments", b)
		got.add(booked)
		if booked.Status != http.StatusCreated {
			return
		}
		verb := []string{"/cancel", "/complete", "/no-show"}[i%3]
		got.add(c.Admin().Post(t, "/appointments/"+booked.Text("id")+verb, harness.Body{}))
	})
	require.Equal(t, map[string]int{"201": 60, "200": 60}, got.counts)
	c.RequireBalance(t, path, 1000, 0, 0)
	c.RequireClean(t)
}

func TestBookingIsRepeatedByItsIdempotencyKey(t *testing.T) { // 10
	t.Parallel()
	c := harness.Open(t)
	path := c.Authorize(t, 10)
	practitioner := c.AddPractitioner(t)
	keyed := c.Admin().WithHeader("Idempotency-Key", "visit-1")
	b := c.Booking(path, practitioner, c.At(t, 1, "15:00"), time.Hour, harness.Body{"notes": "quiet room"})
	first := keyed.Post(t, "/appointments", b)
	again := keyed.Post(t, "/appointments", b)
	require.Equal(t, http.StatusCreated, again.Status)
	require.JSONEq(t, string(first.Raw), string(again.Raw))
	require.Empty(t, first.Header.Get("Idempotency-Replayed"))
	require.Equal(t, "true", again.Header.Get("Idempotency-Replayed"))
	c.RequireBalance(t, path, 10, 0, 4)
	keyed.Post(t, "/appointments", c.Booking(path, practitioner, c.At(t, 1, "16:00"), time.Hour)).
		Refused(t, http.StatusUnprocessableEntity, "idempotency-key-reused")

	t.Run("a refusal is stored with all its reasons", func(t *testing.T) {
		greedy := c.Admin().WithHeader("Idempotency-Key", "visit-2")
		long := c.Booking(path, practitioner, c.At(t, 1, "15:30"), 2*time.Hour)
		refused := greedy.Post(t, "/appointments", long).Refused(t, http.StatusConflict, "practitioner-overlap")
		require.Equal(t, []string{"practitioner-overlap", "patient-overlap", "insufficient-units"}, refused.Reasons(t))
		c.Admin().Post(t, "/appointments/"+first.Text("id")+"/cancel", harness.Body{}).OK(t)
		repeated := greedy.Post(t, "/appointments", long).Refused(t, http.StatusConflict, "practitioner-overlap")
		for _, a := range []harness.Answer{refused, repeated} {
			delete(a.Body, "requestId")
		}
		require.Equal(t, refused.Body, repeated.Body)
		require.Equal(t, "true", repeated.Header.Get("Idempotency-Replayed"))
	})
	c.RequireClean(t)
}

// TestBookingTakesEffectOnceWhenItsCommitIsLost breaks the connection at the COMMIT of each step.
// TestStartIsRepeatedByItsIdempotencyKeyAfterACancellation checks that a repetition gets the
// first answer, which predates the cancellation.
func TestStartIsRepeatedByItsIdempotencyKeyAfterACancellation(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	booked := c.Book(t, c.Booking(c.Authorize(t, 40), c.AddPractitioner(t), c.Ago(time.Hour/2), time.Hour,
		harness.Body{"notes": "n"}))
	keyed := func(key string) harness.Caller { return c.Admin().WithHeader("Idempotency-Key", key) }
	started := keyed("start").Post(t, booked+"/start", harness.Body{}).OK(t)
	cancelled := keyed("cancel").Post(t, booked+"/cancel", harness.Body{"reason": "fell ill"}).OK(t)
	require.Equal(t, "fell ill", cancelled.Text("cancelReason"))
	require.JSONEq(t, string(started.Raw), string(keyed("start").Post(t, booked+"/start", harness.Body{}).Raw))
	require.JSONEq(t, string(cancelled.Raw),
		string(keyed("cancel").Post(t, booked+"/cancel", harness.Body{"reason": "fell ill"}).Raw))
}

func TestBookingTakesEffectOnceWhenItsCommitIsLost(t *testing.T) {
	t.Parallel()
	for it, point := range map[string]wireproxy.Point{
		"never reached the server": wireproxy.BeforeServer, "was carried out": wireproxy.BeforeAnswer,
	} {
		for _, key := range []string{"", "k"} {
			t.Run("when COMMIT "+it+" "+key, func(t *testing.T) {
				t.Parallel()
				database := harness.TwoPractices.New(t)
				proxy := wireproxy.Start(t, database.AppURL)
				c := harness.Serve(t, database, database.Open(t, dbtest.Through(proxy.URL)))
				path := c.Authorize(t, 10)
				practitioner := c.AddPractitioner(t)
				asking := func(step string) harness.Caller {
					if key == "" {
						return c.Admin()
					}
					return c.Admin().WithHeader("Idempotency-Key", key+step)
				}
				proxy.Break(point, "commit", 1)
				b := c.Booking(path, practitioner, c.At(t, -1, "15:00"), time.Hour)
				booked := asking("b").Post(t, "/appointments", b)
				booked.Created(t)
				c.RequireBalance(t, path, 10, 0, 4)
				proxy.Break(point, "commit", 1)
				done := asking("c").Post(t, "/appointments/"+booked.Text("id")+"/complete", harness.Body{"narrative": "n"}).OK(t)
				require.Equal(t, 4, done.Number(t, "session", "units"))
				require.Equal(t, "n", done.Body["session"].(map[string]any)["narrative"])
				c.RequireBalance(t, path, 10, 4, 0)
				require.Len(t, c.Admin().Get(t, "/sessions").Body["data"], 1)
				if key != "" {
					require.JSONEq(t, string(booked.Raw), string(asking("b").Post(t, "/appointments", b).Raw))
				}
				c.RequireClean(t)
			})
		}
	}
}

// TestAppointmentStatementsOfABatch combines bookings and other steps in shared
// transactions, and counts their statements.
func TestAppointmentStatementsOfABatch(t *testing.T) {
	t.Parallel()
	dbtest.NeedsPostgreSQL(t, "LOCK TABLE")
	c, statements := openCountingStatements(t)
	path := c.Authorize(t, 1000)
	var staff []uuid.UUID
	for range 5 {
		staff = append(staff, c.AddPractitioner(t))
	}
	booked := make([]string, 30)
	const quarter = 15 * time.Minute
	day := c.Ago(20 * time.Hour)
	book := func(i int) func() {
		return func() {
			at := day.Add(time.Duration(i) * quarter)
			a := c.Admin().Post(t, "/appointments", c.Booking(path, staff[i%5], at, quarter))
			if a.Status != http.StatusCreated {
				t.Errorf("%s", a.Raw)
			}
			booked[i] = "/appointments/" + a.Text("id")
		}
	}
	book(0)()
	alone := statements(func() { book(1)() })
	require.Equal(t, []string{
		"LOCK write_lock", "SELECT authorizations", "SELECT service_codes",
		"SELECT appointment_practitioners",
		"UPDATE authorizations", "INSERT unit_reservations", "INSERT unit_entries", "INSERT outbox",
		"INSERT appointments", "INSERT appointment_patients", "INSERT appointment_practitioners", "INSERT outbox",
		"WITH audit_events", "INSERT commands",
	}, alone)
	var calls []func()
	for i := 2; i < 30; i++ {
		calls = append(calls, book(i))
	}
	require.Equal(t, alone, statements(func() { appointmentsInOneBatch(t, c, calls...) }),
		"28 bookings take no more statements than one")

	verbs := []string{"/start", "/complete", "/cancel", "/no-show"}
	calls = nil
	for i := range 30 {
		calls = append(calls, func() {
			b := harness.Body{}
			if verbs[i%4] == "/start" {
				b["startTime"] = day.Add(time.Duration(i) * quarter)
			}
			if a := c.Admin().Post(t, booked[i]+verbs[i%4], b); a.Status != http.StatusOK {
				t.Errorf("%s", a.Raw)
			}
		})
	}
	require.Equal(t, []string{
		"LOCK write_lock",
		"SELECT appointments", "SELECT appointment_patients", "SELECT appointment_practitioners", // of the first, with BEGIN
		"SELECT appointments", "SELECT appointment_patients", "SELECT appointment_practitioners", // of the others
		"SELECT authorizations", "SELECT unit_reservations", "SELECT service_codes", "SELECT appointment_practitioners",
		"UPDATE authorizations", "INSERT unit_reservations", "INSERT unit_entries", "INSERT outbox",
		"INSERT appointments", "INSERT appointment_patients", "INSERT appointment_practitioners", "INSERT sessions",
		"INSERT session_patients",
		"INSERT outbox", "WITH audit_events", "INSERT commands",
	}, statements(func() { appointmentsInOneBatch(t, c, calls...) }))
	c.RequireClean(t)
}

// TestAppointmentsOfABatchSeeEachOther clears a slot and fills it, and moves an
// appointment several times, in one transaction.
func TestAppointmentsOfABatchSeeEachOther(t *testing.T) {
	t.Parallel()
	database := harness.TwoPractices.New(t)
	c := harness.Serve(t, database, database.Open(t), harness.SharedTransactions...)
	path := c.Authorize(t, 100)
	one, other := c.AddPractitioner(t), c.AddPractitioner(t)
	at := c.At(t, 1, "15:00")
	first := c.Book(t, c.Booking(path, one, at, time.Hour))
	moved := c.Book(t, c.Booking(path, other, at.Add(5*time.Hour), time.Hour))
	answers := make([]harness.Answer, 6)
	appointmentsInOneBatch(t, c,
		func() { answers[0] = c.Admin().Post(t, first+"/cancel", harness.Body{}) },
		func() { answers[1] = c.Admin().Post(t, "/appointments", c.Booking(path, one, at, time.Hour)) },
		func() { answers[2] = c.Admin().Post(t, "/appointments", c.Booking(path, one, at, time.Hour)) },
		func() { answers[3] = c.Admin().Patch(t, moved, harness.Body{"practitionerId": one}) },
		func() {
			answers[4] = c.Admin().Patch(t, moved, harness.Body{"startTime": at, "endTime": at.Add(time.Hour)})
		},
		func() { answers[5] = c.Admin().Post(t, moved+"/cancel", harness.Body{}) },
	)
	require.Equal(t, []int{200, 201, 409, 200, 409, 200}, []int{
		answers[0].Status, answers[1].Status, answers[2].Status, answers[3].Status, answers[4].Status, answers[5].Status,
	}, "%s", answers[4].Raw)
	require.Equal(t, answers[1].Text("id"), answers[4].Text("appointmentId"))
	c.RequireBalance(t, path, 100, 0, 4)
	c.RequireClean(t)
}

// TestConcurrentUnitsAndAppointments changes units directly and through appointments
// concurrently.
func TestConcurrentUnitsAndAppointments(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	path := c.Authorize(t, 100)
	practitioner := c.AddPractitioner(t)
	var got outcomes
	harness.Concurrently(40, func(i int) {
		if i%2 == 0 {
			got.add(c.Admin().Post(t, path+"/reserve", harness.Body{"units": 2}))
			return
		}
		got.add(c.Admin().Post(t, "/appointments",
			c.Booking(path, practitioner, c.At(t, 1, "00:00").Add(time.Duration(i/2)*time.Hour), 30*time.Minute)))
	})
	require.Equal(t, map[string]int{"201": 40}, got.counts)
	c.RequireBalance(t, path, 100, 0, 80)
	c.RequireClean(t)
}

// TestAppointmentDoubleBookingIsRefusedByTheDatabase bypasses the rules: the database
// constraint refuses the booking.
func TestAppointmentDoubleBookingIsRefusedByTheDatabase(t *testing.T) {
	t.Parallel()
	dbtest.NeedsPostgreSQL(t, "exclusion constraints")
	c := harness.Open(t)
	path := c.Authorize(t, 100)
	practitioner := c.AddPractitioner(t)
	at := c.At(t, 1, "15:00")
	c.Book(t, c.Booking(path, practitioner, at, time.Hour))
	second := c.Book(t, c.Booking(path, practitioner, at.Add(time.Hour), time.Hour))
	for _, table := range []string{"appointment_practitioners", "appointment_patients"} {
		err := c.TryAsOwner(t, "UPDATE "+table+" SET starts_at = starts_at - interval '1 minute' WHERE "+
			"appointment_id = $1", strings.TrimPrefix(second, "/appointments/"))
		require.ErrorContains(t, err, "exclusion constraint", table)
	}
}

// openCountingStatements starts a clinic that combines, and returns a function that returns the
// statements of the last unit transaction during a call.
func openCountingStatements(t *testing.T) (*harness.Clinic, func(run func()) []string) {
	t.Helper()
	logger, log := logtest.Recorder()
	database := harness.TwoPractices.New(t)
	c := harness.Serve(t, database, database.Open(t,
		func(config *db.Config) { config.SlowQuery, config.Logger = 1, logger }),
		harness.SharedTransactions...)
	return c, func(run func()) []string {
		log.Reset()
		run()
		all := statementsOf(log)
		last := len(all) - 1 - slices.Index(reversed(all), "LOCK write_lock")
		return all[last:]
	}
}
