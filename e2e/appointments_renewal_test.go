package e2e

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

// idOf returns the id at the end of a path.
func idOf(path string) string { return path[strings.LastIndexByte(path, '/')+1:] }

// move is the body of a move of bookings to the authorization at the path.
func move(to string, changes ...body) body {
	b := body{"toAuthorizationId": idOf(to)}
	for _, change := range changes {
		for k, v := range change {
			b[k] = v
		}
	}
	return b
}

// daily books an hour on each day from today on, and returns the appointments.
func (c *clinic) daily(t testing.TB, path string, who uuid.UUID, days ...int) []string {
	t.Helper()
	all := make([]string, len(days))
	for i, day := range days {
		all[i] = c.book(t, c.booking(path, who, c.hour(t, day, "15:00"), hour))
	}
	return all
}

// day returns the date in the clinic's calendar that is a number of days from today.
func (c *clinic) day(t testing.TB, days int) string {
	t.Helper()
	return c.hour(t, days, "12:00").Format(time.DateOnly)
}

func TestRenewalMovesBookings(t *testing.T) {
	t.Parallel()
	c := open(t)
	a, b := c.authorize(t, 40), c.authorize(t, 20)
	all := c.daily(t, a, c.employ(t), -1, 1, 2, 3, 4)
	c.admin().post(t, all[2]+"/cancel", body{}).ok(t)
	c.requireBalance(t, a, 40, 0, 16)

	preview := c.admin().post(t, a+"/move-bookings/preview", move(b)).ok(t)
	require.Equal(t, true, preview.body["movable"])
	require.Len(t, preview.occurrences(t), 3, "yesterday's and the cancelled one stay")
	c.requireBalance(t, b, 20, 0, 0)

	keyed := c.admin().with("Idempotency-Key", "renewal")
	moved := keyed.post(t, a+"/move-bookings", move(b, body{"reason": "renewed"})).ok(t)
	require.Equal(t, preview.body["occurrences"], moved.body["occurrences"], "a preview has the same result as the move")
	require.Equal(t, 3, moved.number(t, "moved"))
	require.Equal(t, 12, moved.number(t, "units"))
	for i, o := range moved.occurrences(t) {
		require.Equal(t, idOf([]string{all[1], all[3], all[4]}[i]), o.text("appointmentId"), "in order of time")
		require.Equal(t, 4, o.number(t, "units"))
		now := c.admin().get(t, "/appointments/"+o.text("appointmentId")).ok(t)
		require.Equal(t, idOf(b), now.text("authorizationId"))
		require.Equal(t, "SCHEDULED", now.text("status"))
		require.Equal(t, 2, now.number(t, "version"))
	}
	c.requireBalance(t, a, 40, 0, 4)
	c.requireBalance(t, b, 20, 0, 12)
	again := keyed.post(t, a+"/move-bookings", move(b, body{"reason": "renewed"})).ok(t)
	require.Equal(t, "true", again.header.Get("Idempotency-Replayed"))
	require.JSONEq(t, string(moved.raw), string(again.raw))
	keyed.post(t, a+"/move-bookings", move(b, body{"from": c.day(t, 2)})).
		refused(t, http.StatusUnprocessableEntity, "idempotency-key-reused")

	// A moved booking is consumed on the new authorization, others on the old one.
	c.admin().post(t, all[0]+"/complete", body{}).ok(t)
	c.requireBalance(t, a, 40, 4, 0)
	nothing := c.admin().post(t, a+"/move-bookings", move(b)).ok(t)
	require.Empty(t, nothing.occurrences(t))
	require.Equal(t, 0, nothing.number(t, "moved"))
	c.admin().post(t, all[1]+"/cancel", body{}).ok(t)
	c.requireBalance(t, b, 20, 0, 8)

	entries := c.admin().get(t, b+"/entries").body["data"].([]any)
	require.Equal(t, "renewed", entries[0].(map[string]any)["reason"])
	trail := c.admin().get(t, "/admin/audit-events?subjectId="+idOf(all[4])).ok(t)
	require.Contains(t, string(trail.raw), `"appointment.transfer"`)
	c.requireClean(t)
}

func TestRenewalIsWholeOrNothing(t *testing.T) {
	t.Parallel()
	c := open(t)
	a := c.authorize(t, 40)
	b := c.authorize(t, 9, body{"startDate": c.day(t, 2), "caps": []body{{"period": "DAY", "units": 4}}})
	who := c.employ(t)
	c.daily(t, a, who, 1, 3, 4, 5)
	c.book(t, c.booking(a, who, c.hour(t, 6, "13:00"), hour+hour/4))

	refused := c.admin().post(t, a+"/move-bookings", move(b)).refused(t, http.StatusConflict, "move-refused")
	preview := c.admin().post(t, a+"/move-bookings/preview", move(b)).ok(t)
	require.Equal(t, false, preview.body["movable"])
	require.Equal(t, refused.body["occurrences"], preview.body["occurrences"])
	verdicts := refused.occurrences(t)
	require.Len(t, verdicts, 5)
	require.Equal(t, []string{"outside-authorization-dates"}, verdicts[0].reasons(t))
	require.Empty(t, verdicts[1].body["reasons"])
	require.Empty(t, verdicts[2].body["reasons"])
	require.Equal(t, []string{"insufficient-units"}, verdicts[3].reasons(t))
	require.Equal(t, []string{"insufficient-units", "cap-exceeded"}, verdicts[4].reasons(t))
	c.requireBalance(t, a, 40, 0, 21)
	c.requireBalance(t, b, 9, 0, 0)
	for _, o := range verdicts {
		require.Equal(t, idOf(a), c.admin().get(t, "/appointments/"+o.text("appointmentId")).text("authorizationId"))
	}

	pending := c.authorize(t, 40, body{"status": "PENDING"})
	refused = c.admin().post(t, a+"/move-bookings", move(pending, body{"from": c.day(t, 5)})).
		refused(t, http.StatusConflict, "move-refused")
	require.Len(t, refused.occurrences(t), 2, "bookings of that day and later")
	require.Equal(t, []string{"authorization-not-active"}, refused.occurrences(t)[0].reasons(t))

	c.admin().patch(t, b, body{"totalUnits": 12, "startDate": c.day(t, 1)}).ok(t)
	c.admin().post(t, a+"/move-bookings", move(b, body{"from": c.day(t, 7)})).ok(t)
	c.requireBalance(t, b, 12, 0, 0)
	c.requireClean(t)
}

func TestRenewalToUnsuitableAuthorization(t *testing.T) {
	t.Parallel()
	c := open(t)
	a := c.authorize(t, 40)
	c.daily(t, a, c.employ(t), 1)
	patient := c.admin().post(t, "/patients", body{"firstName": "Robin", "lastName": "Ray", "dateOfBirth": "2019-01-01"}).
		created(t)
	service := c.admin().post(t, "/service-codes", body{"code": "97155", "description": "Supervision"}).created(t)
	for it, to := range map[string]string{
		"does not exist":  uuid.NewString(),
		"the same":        a,
		"another patient": c.authorize(t, 40, body{"patientId": patient}),
		"another service": c.authorize(t, 40, body{"serviceCodeId": service}),
	} {
		for _, path := range []string{a + "/move-bookings", a + "/move-bookings/preview"} {
			invalid := c.admin().post(t, path, move(to)).refused(t, http.StatusUnprocessableEntity, "validation-failed")
			require.Equal(t, "toAuthorizationId", invalid.body["errors"].([]any)[0].(map[string]any)["field"], it)
		}
	}
	unknown := "/authorizations/" + uuid.NewString() + "/move-bookings"
	c.admin().post(t, unknown, move(a)).refused(t, http.StatusNotFound, "authorization-not-found")
	c.admin().post(t, unknown+"/preview", move(a)).refused(t, http.StatusNotFound, "authorization-not-found")
	c.requireBalance(t, a, 40, 0, 4)
	c.requireClean(t)
}

func TestRenewalMovesOnlyThePatientOfAGroup(t *testing.T) {
	t.Parallel()
	c := open(t)
	other := c.admin().post(t, "/patients", body{"firstName": "Robin", "lastName": "Ray", "dateOfBirth": "2019-01-01"}).
		created(t)
	theirs := c.authorize(t, 20, body{"patientId": other})
	a, b := c.authorize(t, 20), c.authorize(t, 20)
	group := c.book(t, c.booking(a, c.employ(t), c.hour(t, 1, "09:00"), hour, body{
		"patientId": nil, "authorizationId": nil, "patients": []body{
			{"patientId": other, "authorizationId": idOf(theirs)}, {"patientId": c.own.patient, "authorizationId": idOf(a)},
		},
	}))
	moved := c.admin().post(t, a+"/move-bookings", move(b)).ok(t)
	require.Equal(t, 4, moved.number(t, "units"), "units of one patient")
	c.requireBalance(t, a, 20, 0, 0)
	c.requireBalance(t, b, 20, 0, 4)
	c.requireBalance(t, theirs, 20, 0, 4)
	patients := c.admin().get(t, group).ok(t).body["patients"].([]any)
	require.Equal(t, idOf(theirs), patients[0].(map[string]any)["authorizationId"])
	require.Equal(t, idOf(b), patients[1].(map[string]any)["authorizationId"])
	c.requireClean(t)
}

// TestRenewalRoundsByTheOtherPayer moves 20 minutes from a payer who rounds up to one
// who rounds down, and back.
func TestRenewalRoundsByTheOtherPayer(t *testing.T) {
	t.Parallel()
	c := open(t)
	payer := c.admin().post(t, "/payers", body{"name": "Whole Units", "rounding": "FLOOR"}).created(t)
	insurance := c.admin().post(t, "/insurances", body{
		"patientId": c.own.patient, "payerId": payer, "memberNumber": "M-1", "startsOn": "2020-01-01",
	}).created(t)
	a, b := c.authorize(t, 20), c.authorize(t, 20, body{"insuranceId": insurance})
	who := c.employ(t)
	c.book(t, c.booking(a, who, c.hour(t, 1, "09:00"), 20*time.Minute))
	short := c.book(t, c.booking(a, who, c.hour(t, 1, "11:00"), 10*time.Minute))
	c.requireBalance(t, a, 20, 0, 3)
	c.admin().post(t, a+"/move-bookings", move(b)).ok(t)
	c.requireBalance(t, a, 20, 0, 0)
	c.requireBalance(t, b, 20, 0, 1)
	require.Nil(t, c.admin().get(t, short).body["patients"].([]any)[0].(map[string]any)["reservationId"],
		"it is too short for a unit")
	c.requireClean(t)
	c.admin().post(t, b+"/move-bookings", move(a)).ok(t)
	c.requireBalance(t, a, 20, 0, 3)
	c.requireBalance(t, b, 20, 0, 0)
	c.requireClean(t)
}

// TestRenewalWhileOthersBook moves bookings while clients book on both authorizations,
// and start and cancel moved appointments.
func TestRenewalWhileOthersBook(t *testing.T) {
	t.Parallel()
	c := open(t)
	a, b := c.authorize(t, 400), c.authorize(t, 400)
	who := c.employ(t)
	days := c.daily(t, a, who, 1, 3, 4)
	soon := c.book(t, c.booking(a, who, c.ago(-10*time.Minute), hour)) // can be started
	all := []string{days[0], soon, days[1], days[2]}
	var got outcomes
	together(12, func(i int) {
		switch {
		case i < 2:
			got.add(c.admin().post(t, a+"/move-bookings", move(b)))
		case i == 2:
			got.add(c.admin().post(t, all[0]+"/cancel", body{}))
		case i == 3:
			got.add(c.admin().post(t, all[1]+"/start", body{}))
		case i == 4:
			got.add(c.admin().patch(t, all[2], body{"endTime": c.hour(t, 3, "17:00")}))
		default:
			got.add(c.admin().post(t, "/appointments", c.booking([]string{a, b}[i%2], who, c.hour(t, 10+i, "15:00"), hour)))
		}
	})
	require.Equal(t, map[string]int{"200": 5, "201": 7}, got.counts)
	require.Equal(t, "IN_PROGRESS", c.admin().get(t, all[1]).text("status"))
	c.requireBalanceTogether(t, 8+4+4+7*4, a, b)
	c.requireClean(t)

	c.admin().post(t, a+"/move-bookings", move(b)).ok(t)
	for _, booked := range c.admin().get(t, "/appointments?status=SCHEDULED").body["data"].([]any) {
		require.Equal(t, idOf(b), booked.(map[string]any)["authorizationId"])
	}
	c.requireBalanceTogether(t, 8+4+4+7*4, a, b)
	c.requireClean(t)
}

// requireBalanceTogether checks the sum of scheduled units on authorizations.
func (c *clinic) requireBalanceTogether(t testing.TB, scheduled int, paths ...string) {
	t.Helper()
	sum := 0
	for _, path := range paths {
		sum += c.admin().get(t, path).number(t, "scheduledUnits")
	}
	require.Equal(t, scheduled, sum)
}
