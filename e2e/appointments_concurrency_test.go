package e2e

import (
	"database/sql"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

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
	answers []answer
}

func (o *outcomes) add(a answer) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.counts == nil {
		o.counts = map[string]int{}
	}
	o.counts[strings.TrimSpace(fmt.Sprint(a.status, " ", a.text("code")))]++
	o.answers = append(o.answers, a)
}

func TestTwoBookingsOfTheLastUnits(t *testing.T) { // 1
	t.Parallel()
	c := open(t)
	path := c.authorize(t, 4)
	one, other := c.employ(t), c.employ(t)
	var got outcomes
	together(2, func(i int) {
		got.add(c.admin().post(t, "/appointments",
			c.booking(path, []uuid.UUID{one, other}[i], c.hour(t, 1, "09:00").Add(time.Duration(i)*2*hour), hour)))
	})
	require.Equal(t, map[string]int{"201": 1, "409 insufficient-units": 1}, got.counts)
	c.requireBalance(t, path, 4, 0, 4)
	require.Len(t, c.admin().get(t, "/appointments").body["data"], 1)
	c.requireClean(t)
}

func TestFiftyBookingsOfOneSlot(t *testing.T) { // 1, 4
	t.Parallel()
	c := open(t)
	path := c.authorize(t, 1000)
	who := c.employ(t)
	var got outcomes
	together(50, func(int) {
		got.add(c.admin().post(t, "/appointments", c.booking(path, who, c.hour(t, 1, "15:00"), hour)))
	})
	require.Equal(t, map[string]int{"201": 1, "409 practitioner-overlap": 49}, got.counts)
	var made string
	for _, a := range got.answers {
		if a.status == http.StatusCreated {
			made = a.text("id")
		}
	}
	for _, a := range got.answers {
		if a.status == http.StatusConflict {
			require.Equal(t, made, a.text("appointmentId"), "it names the conflicting appointment")
			require.Equal(t, []string{"practitioner-overlap", "patient-overlap"}, a.reasons(t))
			require.NotContains(t, string(a.raw), "Example", "and no names")
		}
	}
	c.requireBalance(t, path, 1000, 0, 4)
	c.requireClean(t)
}

func TestTenConcurrentCompletionsOfAnAppointment(t *testing.T) { // 2
	t.Parallel()
	c := open(t)
	path := c.authorize(t, 40)
	who := c.employ(t)
	var all []string
	for i := range 4 {
		all = append(all, c.book(t, c.booking(path, who, c.hour(t, -1, "08:00").Add(time.Duration(i)*hour), hour)))
	}
	var got outcomes
	together(10, func(int) { got.add(c.admin().post(t, all[1]+"/complete", body{})) })
	require.Equal(t, map[string]int{"200": 1, "409 appointment-transition": 9}, got.counts)
	c.requireBalance(t, path, 40, 4, 12)
	require.Len(t, c.admin().get(t, "/sessions").body["data"], 1)
	for _, sibling := range []string{all[0], all[2], all[3]} {
		require.Equal(t, "SCHEDULED", c.admin().get(t, sibling).text("status"))
	}
	t.Run("with one key all get the same answer", func(t *testing.T) {
		var same outcomes
		keyed := c.admin().with("Idempotency-Key", "done")
		together(10, func(int) { same.add(keyed.post(t, all[2]+"/complete", body{"narrative": "Well done."})) })
		require.Equal(t, map[string]int{"200": 10}, same.counts)
		for _, a := range same.answers {
			require.JSONEq(t, string(same.answers[0].raw), string(a.raw))
		}
		c.requireBalance(t, path, 40, 8, 8)
	})
	c.requireClean(t)
}

func TestTenConcurrentCancellationsOfAnAppointment(t *testing.T) { // 3
	t.Parallel()
	c := open(t)
	path := c.authorize(t, 40)
	who := c.employ(t)
	cancelled := c.book(t, c.booking(path, who, c.hour(t, 2, "08:00"), hour))
	sibling := c.book(t, c.booking(path, who, c.hour(t, 2, "09:00"), 2*hour))
	var got outcomes
	together(10, func(int) { got.add(c.admin().post(t, cancelled+"/cancel", body{"reason": "ill"})) })
	require.Equal(t, map[string]int{"200": 1, "409 appointment-transition": 9}, got.counts)
	c.requireBalance(t, path, 40, 0, 8)
	require.Equal(t, 8, c.admin().get(t, sibling).number(t, "units"))
	c.requireClean(t)
}

func TestConcurrentCancelCompleteAndReschedule(t *testing.T) {
	t.Parallel()
	c := open(t)
	path := c.authorize(t, 400)
	who := c.employ(t)
	for round := range 6 {
		at := c.hour(t, -2, "08:00").Add(time.Duration(round) * 2 * hour)
		booked := c.book(t, c.booking(path, who, at, hour))
		answers := make([]answer, 3)
		together(3, func(i int) {
			switch i {
			case 0:
				answers[i] = c.admin().post(t, booked+"/cancel", body{})
			case 1:
				answers[i] = c.admin().post(t, booked+"/complete", body{})
			default:
				answers[i] = c.admin().patch(t, booked, body{"endTime": at.Add(90 * time.Minute)})
			}
		})
		ended := 0
		for i, a := range answers {
			if a.status != http.StatusOK {
				a.refused(t, http.StatusConflict, "appointment-transition")
			} else if i < 2 {
				ended++
			}
		}
		require.Equal(t, 1, ended, "it is cancelled or completed, not both")
	}
	c.requireClean(t)
}

func TestBookingsFarBeyondTheConnectionPool(t *testing.T) { // 4
	t.Parallel()
	database := twoPractices.New(t)
	c := serve(t, database, database.Open(t, dbtest.WithMaxConns(2)))
	path := c.authorize(t, 1000)
	var staff []uuid.UUID
	for range 5 {
		staff = append(staff, c.employ(t))
	}
	patients := []uuid.UUID{}
	paths := []string{}
	for range 10 {
		patient := c.admin().post(t, "/patients", body{"firstName": "A", "lastName": "B", "dateOfBirth": "2019-01-01"}).
			created(t)
		patients = append(patients, patient)
		paths = append(paths, c.authorize(t, 1000, body{"patientId": patient}))
	}
	var got outcomes
	together(60, func(i int) {
		b := c.booking(paths[i%10], staff[i%5], c.hour(t, -3, "00:00").Add(time.Duration(i/5)*hour), hour,
			body{"patientId": patients[i%10]})
		booked := c.admin().post(t, "/appointments", b)
		got.add(booked)
		if booked.status != http.StatusCreated {
			return
		}
		verb := []string{"/cancel", "/complete", "/no-show"}[i%3]
		got.add(c.admin().post(t, "/appointments/"+booked.text("id")+verb, body{}))
	})
	require.Equal(t, map[string]int{"201": 60, "200": 60}, got.counts)
	c.requireBalance(t, path, 1000, 0, 0)
	c.requireClean(t)
}

func TestBookingIsRepeatedByItsIdempotencyKey(t *testing.T) { // 10
	t.Parallel()
	c := open(t)
	path := c.authorize(t, 10)
	who := c.employ(t)
	keyed := c.admin().with("Idempotency-Key", "visit-1")
	b := c.booking(path, who, c.hour(t, 1, "15:00"), hour, body{"notes": "quiet room"})
	first := keyed.post(t, "/appointments", b)
	again := keyed.post(t, "/appointments", b)
	require.Equal(t, http.StatusCreated, again.status)
	require.JSONEq(t, string(first.raw), string(again.raw))
	require.Empty(t, first.header.Get("Idempotency-Replayed"))
	require.Equal(t, "true", again.header.Get("Idempotency-Replayed"))
	c.requireBalance(t, path, 10, 0, 4)
	keyed.post(t, "/appointments", c.booking(path, who, c.hour(t, 1, "16:00"), hour)).
		refused(t, http.StatusUnprocessableEntity, "idempotency-key-reused")

	t.Run("a refusal is stored with all its reasons", func(t *testing.T) {
		greedy := c.admin().with("Idempotency-Key", "visit-2")
		long := c.booking(path, who, c.hour(t, 1, "15:30"), 2*hour)
		refused := greedy.post(t, "/appointments", long).refused(t, http.StatusConflict, "practitioner-overlap")
		require.Equal(t, []string{"practitioner-overlap", "patient-overlap", "insufficient-units"}, refused.reasons(t))
		c.admin().post(t, "/appointments/"+first.text("id")+"/cancel", body{}).ok(t)
		repeated := greedy.post(t, "/appointments", long).refused(t, http.StatusConflict, "practitioner-overlap")
		for _, a := range []answer{refused, repeated} {
			delete(a.body, "requestId")
		}
		require.Equal(t, refused.body, repeated.body)
		require.Equal(t, "true", repeated.header.Get("Idempotency-Replayed"))
	})
	c.requireClean(t)
}

// TestBookingTakesEffectOnceWhenItsCommitIsLost breaks the connection at the COMMIT of each step.
// TestStartIsRepeatedByItsIdempotencyKeyAfterACancellation checks that a repetition gets the
// first answer, which predates the cancellation.
func TestStartIsRepeatedByItsIdempotencyKeyAfterACancellation(t *testing.T) {
	t.Parallel()
	c := open(t)
	booked := c.book(t, c.booking(c.authorize(t, 40), c.employ(t), c.ago(hour/2), hour, body{"notes": "n"}))
	keyed := func(key string) caller { return c.admin().with("Idempotency-Key", key) }
	started := keyed("start").post(t, booked+"/start", body{}).ok(t)
	cancelled := keyed("cancel").post(t, booked+"/cancel", body{"reason": "fell ill"}).ok(t)
	require.Equal(t, "fell ill", cancelled.text("cancelReason"))
	require.JSONEq(t, string(started.raw), string(keyed("start").post(t, booked+"/start", body{}).raw))
	require.JSONEq(t, string(cancelled.raw),
		string(keyed("cancel").post(t, booked+"/cancel", body{"reason": "fell ill"}).raw))
}

func TestBookingTakesEffectOnceWhenItsCommitIsLost(t *testing.T) {
	t.Parallel()
	for it, place := range map[string]wireproxy.Point{
		"never reached the server": wireproxy.BeforeServer, "was carried out": wireproxy.BeforeAnswer,
	} {
		for _, key := range []string{"", "k"} {
			t.Run("when COMMIT "+it+" "+key, func(t *testing.T) {
				t.Parallel()
				database := twoPractices.New(t)
				proxy := wireproxy.Start(t, database.AppURL)
				c := serve(t, database, database.Open(t, dbtest.Through(proxy.URL)))
				path := c.authorize(t, 10)
				who := c.employ(t)
				asking := func(step string) caller {
					if key == "" {
						return c.admin()
					}
					return c.admin().with("Idempotency-Key", key+step)
				}
				proxy.Break(place, "commit", 1)
				b := c.booking(path, who, c.hour(t, -1, "15:00"), hour)
				booked := asking("b").post(t, "/appointments", b)
				booked.created(t)
				c.requireBalance(t, path, 10, 0, 4)
				proxy.Break(place, "commit", 1)
				done := asking("c").post(t, "/appointments/"+booked.text("id")+"/complete", body{"narrative": "n"}).ok(t)
				require.Equal(t, 4, done.number(t, "session", "units"))
				require.Equal(t, "n", done.body["session"].(map[string]any)["narrative"])
				c.requireBalance(t, path, 10, 4, 0)
				require.Len(t, c.admin().get(t, "/sessions").body["data"], 1)
				if key != "" {
					require.JSONEq(t, string(booked.raw), string(asking("b").post(t, "/appointments", b).raw))
				}
				c.requireClean(t)
			})
		}
	}
}

// TestAppointmentStatementsOfABatch combines bookings and other steps in shared
// transactions, and counts their statements.
func TestAppointmentStatementsOfABatch(t *testing.T) {
	t.Parallel()
	c, statements := counting(t)
	path := c.authorize(t, 1000)
	var staff []uuid.UUID
	for range 5 {
		staff = append(staff, c.employ(t))
	}
	booked := make([]string, 30)
	const quarter = 15 * time.Minute
	day := c.ago(20 * hour)
	book := func(i int) func() {
		return func() {
			at := day.Add(time.Duration(i) * quarter)
			a := c.admin().post(t, "/appointments", c.booking(path, staff[i%5], at, quarter))
			if a.status != http.StatusCreated {
				t.Errorf("%s", a.raw)
			}
			booked[i] = "/appointments/" + a.text("id")
		}
	}
	book(0)()
	alone := statements(func() { book(1)() })
	require.Equal(t, []string{
		"LOCK write_lock", "SELECT set_config", "SELECT authorizations", "SELECT service_codes",
		"SELECT appointment_practitioners",
		"UPDATE authorizations", "INSERT unit_reservations", "INSERT unit_entries", "INSERT outbox",
		"INSERT appointments", "INSERT appointment_patients", "INSERT appointment_practitioners", "INSERT outbox",
		"WITH audit_events", "INSERT commands",
	}, alone)
	var calls []func()
	for i := 2; i < 30; i++ {
		calls = append(calls, book(i))
	}
	require.Equal(t, alone, statements(func() { c.gatheredAppointments(t, calls...) }),
		"28 bookings take no more statements than one")

	verbs := []string{"/start", "/complete", "/cancel", "/no-show"}
	calls = nil
	for i := range 30 {
		calls = append(calls, func() {
			b := body{}
			if verbs[i%4] == "/start" {
				b["startTime"] = day.Add(time.Duration(i) * quarter)
			}
			if a := c.admin().post(t, booked[i]+verbs[i%4], b); a.status != http.StatusOK {
				t.Errorf("%s", a.raw)
			}
		})
	}
	require.Equal(t, []string{
		"LOCK write_lock", "SELECT set_config", "SELECT appointments", "SELECT appointment_patients",
		"SELECT appointment_practitioners",
		"SELECT authorizations", "SELECT unit_reservations", "SELECT service_codes",
		"UPDATE authorizations", "INSERT unit_reservations", "INSERT unit_entries", "INSERT outbox",
		"INSERT appointments", "INSERT appointment_patients", "INSERT appointment_practitioners", "INSERT sessions",
		"INSERT session_patients",
		"INSERT outbox", "WITH audit_events", "INSERT commands",
	}, statements(func() { c.gatheredAppointments(t, calls...) }))
	c.requireClean(t)
}

// TestAppointmentsOfABatchSeeEachOther clears a slot and fills it, and moves an
// appointment several times, in one transaction.
func TestAppointmentsOfABatchSeeEachOther(t *testing.T) {
	t.Parallel()
	database := twoPractices.New(t)
	c := serve(t, database, database.Open(t), sharing...)
	path := c.authorize(t, 100)
	one, other := c.employ(t), c.employ(t)
	at := c.hour(t, 1, "15:00")
	first := c.book(t, c.booking(path, one, at, hour))
	moved := c.book(t, c.booking(path, other, at.Add(5*hour), hour))
	answers := make([]answer, 6)
	c.gatheredAppointments(t,
		func() { answers[0] = c.admin().post(t, first+"/cancel", body{}) },
		func() { answers[1] = c.admin().post(t, "/appointments", c.booking(path, one, at, hour)) },
		func() { answers[2] = c.admin().post(t, "/appointments", c.booking(path, one, at, hour)) },
		func() { answers[3] = c.admin().patch(t, moved, body{"practitionerId": one}) },
		func() { answers[4] = c.admin().patch(t, moved, body{"startTime": at, "endTime": at.Add(hour)}) },
		func() { answers[5] = c.admin().post(t, moved+"/cancel", body{}) },
	)
	require.Equal(t, []int{200, 201, 409, 200, 409, 200}, []int{
		answers[0].status, answers[1].status, answers[2].status, answers[3].status, answers[4].status, answers[5].status,
	}, "%s", answers[4].raw)
	require.Equal(t, answers[1].text("id"), answers[4].text("appointmentId"))
	c.requireBalance(t, path, 100, 0, 4)
	c.requireClean(t)
}

// TestConcurrentUnitsAndAppointments changes units directly and through appointments
// concurrently.
func TestConcurrentUnitsAndAppointments(t *testing.T) {
	t.Parallel()
	c := open(t)
	path := c.authorize(t, 100)
	who := c.employ(t)
	var got outcomes
	together(40, func(i int) {
		if i%2 == 0 {
			got.add(c.admin().post(t, path+"/reserve", body{"units": 2}))
			return
		}
		got.add(c.admin().post(t, "/appointments",
			c.booking(path, who, c.hour(t, 1, "00:00").Add(time.Duration(i/2)*hour), 30*time.Minute)))
	})
	require.Equal(t, map[string]int{"201": 40}, got.counts)
	c.requireBalance(t, path, 100, 0, 80)
	c.requireClean(t)
}

// TestAppointmentDoubleBookingIsRefusedByTheDatabase bypasses the rules: the database
// constraint refuses the booking.
func TestAppointmentDoubleBookingIsRefusedByTheDatabase(t *testing.T) {
	t.Parallel()
	c := open(t)
	path := c.authorize(t, 100)
	who := c.employ(t)
	at := c.hour(t, 1, "15:00")
	c.book(t, c.booking(path, who, at, hour))
	second := c.book(t, c.booking(path, who, at.Add(hour), hour))
	for _, table := range []string{"appointment_practitioners", "appointment_patients"} {
		err := c.tryAsOwner(t, "UPDATE "+table+" SET starts_at = starts_at - interval '1 minute' WHERE "+
			"appointment_id = $1", strings.TrimPrefix(second, "/appointments/"))
		require.ErrorContains(t, err, "exclusion constraint", table)
	}
}

// tryAsOwner changes the database directly, and returns the error.
func (c *clinic) tryAsOwner(t *testing.T, statement string, arguments ...any) error {
	t.Helper()
	owner, err := sql.Open("pgx", c.database.OwnerURL)
	require.NoError(t, err)
	defer owner.Close()
	_, err = owner.ExecContext(t.Context(), statement, arguments...)
	return err
}

// counting starts a clinic that combines, and returns a function that returns the
// statements of the last unit transaction during a call.
func counting(t *testing.T) (*clinic, func(run func()) []string) {
	t.Helper()
	logger, log := logtest.Recorder()
	database := twoPractices.New(t)
	c := serve(t, database, database.Open(t, func(config *db.Config) { config.SlowQuery, config.Logger = 1, logger }),
		sharing...)
	return c, func(run func()) []string {
		log.Reset()
		run()
		all := statementsOf(log)
		last := len(all) - 1 - slices.Index(reversed(all), "LOCK write_lock")
		return all[last:]
	}
}
