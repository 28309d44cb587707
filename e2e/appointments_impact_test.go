package e2e

import (
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

// stranded returns the appointments of an impact, as id and cause.
func (a answer) stranded(t testing.TB) []string {
	t.Helper()
	all := []string{}
	for _, item := range a.body["bookings"].([]any) {
		b := item.(map[string]any)
		all = append(all, b["appointmentId"].(string)+" "+b["cause"].(string))
	}
	return all
}

func TestImpactOfAChange(t *testing.T) {
	t.Parallel()
	c := open(t)
	path := c.authorize(t, 40)
	who := c.employ(t)
	all := c.daily(t, path, who, -1, 1, 2, 3, 4)
	c.admin().post(t, all[1]+"/cancel", body{}).ok(t)
	c.admin().post(t, path+"/reserve", body{"units": 5, "serviceDate": c.day(t, 4)}).reservationID(t)
	ask := func(b body) answer { return c.admin().post(t, path+"/impact", b).ok(t) }

	none := ask(body{})
	require.Empty(t, none.stranded(t))
	require.Equal(t, 40, none.number(t, "totalUnits"))
	require.Equal(t, 21, none.number(t, "scheduledUnits"))

	shorter := ask(body{"endDate": c.day(t, 2)})
	require.Equal(t, []string{idOf(all[3]) + " OUTSIDE_DATES", idOf(all[4]) + " OUTSIDE_DATES"}, shorter.stranded(t))
	require.Equal(t, 8, shorter.number(t, "units"))
	require.Equal(t, 1, shorter.number(t, "otherReservations"))
	first := shorter.body["bookings"].([]any)[0].(map[string]any)
	require.Equal(t, []any{who.String()}, first["practitionerIds"])
	require.EqualValues(t, 4, first["units"])

	fewer := ask(body{"totalUnits": 14})
	require.Equal(t, []string{idOf(all[3]) + " UNITS", idOf(all[4]) + " UNITS"}, fewer.stranded(t),
		"the latest ones, until the rest fits")
	require.Equal(t, 0, fewer.number(t, "missingUnits"))
	require.Equal(t, 1, ask(body{"totalUnits": 4}).number(t, "missingUnits"), "held by another user")
	both := ask(body{"totalUnits": 14, "endDate": c.day(t, 3)})
	require.Equal(t, []string{idOf(all[3]) + " UNITS", idOf(all[4]) + " OUTSIDE_DATES"}, both.stranded(t))
	require.Len(t, ask(body{"status": "CANCELLED"}).stranded(t), 3, "bookings of today and later")

	c.requireBalance(t, path, 40, 0, 21)
	c.admin().post(t, path+"/impact", body{"endDate": "2000-01-01"}).
		refused(t, http.StatusUnprocessableEntity, "validation-failed")
	c.admin().post(t, "/authorizations/"+uuid.NewString()+"/impact", body{}).
		refused(t, http.StatusNotFound, "authorization-not-found")
	c.requireClean(t)
}

// TestImpactOnAppointmentsWithoutUnits shortens an authorization past an appointment that is too
// short for a unit. It has no reservation, but would no longer be covered.
func TestImpactOnAppointmentsWithoutUnits(t *testing.T) {
	t.Parallel()
	c := open(t)
	path := c.authorize(t, 40, body{"insuranceId": c.insuredBy(t, "FLOOR")})
	short := c.book(t, c.booking(path, c.employ(t), c.hour(t, 3, "15:00"), 10*time.Minute))
	c.admin().patch(t, path, body{"endDate": c.day(t, 3), "notes": "it is within"}).ok(t)
	refused := c.admin().patch(t, path, body{"endDate": c.day(t, 2)}).refused(t, http.StatusConflict, "bookings-stranded")
	require.Equal(t, []string{idOf(short) + " OUTSIDE_DATES"}, refused.stranded(t))
	c.admin().patch(t, path, body{"startDate": c.day(t, 4), "endDate": c.day(t, 5)}).
		refused(t, http.StatusConflict, "bookings-stranded")
	c.admin().patch(t, path, body{"endDate": c.day(t, 2), "strandedBookings": "CANCEL"}).ok(t)
	require.Equal(t, "CANCELLED", c.admin().get(t, short).ok(t).text("status"))
	c.requireClean(t)
}

func TestImpactIsCancelled(t *testing.T) {
	t.Parallel()
	c := open(t)
	path := c.authorize(t, 40)
	all := c.daily(t, path, c.employ(t), 1, 2, 3)
	c.admin().patch(t, path, body{"endDate": c.day(t, 1)}).refused(t, http.StatusConflict, "reservations-outside-dates")
	c.admin().patch(t, path, body{"totalUnits": 4}).refused(t, http.StatusConflict, "total-below-booked")

	cut := c.admin().patch(t, path, body{
		"totalUnits": 9, "endDate": c.day(t, 2), "strandedBookings": "CANCEL", "reason": "cut by the payer",
	}).ok(t)
	require.Equal(t, 9, cut.number(t, "totalUnits"))
	c.requireBalance(t, path, 9, 0, 8)
	gone := c.admin().get(t, all[2])
	require.Equal(t, "CANCELLED", gone.text("status"))
	require.Equal(t, "cut by the payer", gone.text("cancelReason"))
	c.admin().patch(t, path, body{"totalUnits": 4, "strandedBookings": "CANCEL"}).ok(t)
	c.requireBalance(t, path, 4, 0, 4)
	require.Equal(t, "SCHEDULED", c.admin().get(t, all[0]).text("status"))
	c.admin().patch(t, path, body{"status": "CANCELLED", "strandedBookings": "CANCEL"}).ok(t)
	c.requireBalance(t, path, 4, 0, 0)
	c.requireClean(t)
}

// TestImpactOfACancellation requires a decision on the bookings before an authorization
// is cancelled.
func TestImpactOfACancellation(t *testing.T) {
	t.Parallel()
	c := open(t)
	path := c.authorize(t, 40)
	who := c.employ(t)
	all := c.daily(t, path, who, -1, 1, 2)
	cancel := func(more body) body {
		b := body{"status": "CANCELLED"}
		for k, v := range more {
			b[k] = v
		}
		return b
	}
	before := c.admin().get(t, path).raw
	refused := c.admin().patch(t, path, cancel(nil)).refused(t, http.StatusConflict, "bookings-stranded")
	require.Equal(t, []string{idOf(all[1]) + " CANCELLED", idOf(all[2]) + " CANCELLED"}, refused.stranded(t),
		"bookings of today and later")
	require.Equal(t, c.admin().post(t, path+"/impact", cancel(nil)).ok(t).body["bookings"], refused.body["bookings"])
	require.Equal(t, 8, refused.number(t, "units"))
	require.Equal(t, string(before), string(c.admin().get(t, path).raw))

	// A biller may not cancel appointments, but may record the payer's cancellation.
	biller := c.as(c.own.tokens["BILLER"])
	require.Equal(t, "CANCELLED", biller.patch(t, path, cancel(body{"strandedBookings": "KEEP"})).ok(t).text("status"))
	c.requireBalance(t, path, 40, 0, 12)
	require.Equal(t, "CANCELLED", biller.patch(t, path, cancel(body{"notes": "see the letter"})).ok(t).text("status"),
		"nothing new is stranded")
	c.requireClean(t)

	// Kept appointments are completed, moved or cancelled; the cancellation stays.
	c.admin().post(t, all[0]+"/complete", body{}).ok(t)
	c.admin().post(t, path+"/move-bookings", move(c.authorize(t, 4), body{"from": c.day(t, 2)})).ok(t)
	c.admin().patch(t, all[1], body{"endTime": c.hour(t, 1, "17:00").UTC()}).
		refused(t, http.StatusConflict, "authorization-not-active")
	c.admin().post(t, "/appointments", c.booking(path, who, c.hour(t, 5, "09:00"), hour)).refused(t, http.StatusConflict,
		"authorization-not-active")
	c.admin().post(t, all[1]+"/cancel", body{}).ok(t)
	c.requireBalance(t, path, 40, 4, 0)
	c.admin().patch(t, path, body{"status": "ACTIVE"}).ok(t)
	c.admin().patch(t, path, cancel(nil)).ok(t)
	c.requireClean(t)

	// KEEP does not apply to dates and totals.
	short := c.authorize(t, 8)
	c.daily(t, short, who, 5, 6)
	c.admin().patch(t, short, body{"endDate": c.day(t, 5), "strandedBookings": "KEEP"}).refused(t, http.StatusConflict,
		"reservations-outside-dates")
	c.admin().patch(t, short, body{"totalUnits": 4, "strandedBookings": "KEEP"}).
		refused(t, http.StatusConflict, "total-below-booked")
	c.requireClean(t)
}

// TestImpactOfACancellationWhileOthersBook checks that no concurrent booking is missed
// during a cancellation.
func TestImpactOfACancellationWhileOthersBook(t *testing.T) {
	t.Parallel()
	database := twoPractices.New(t)
	c := serve(t, database, database.Open(t))
	who := c.employ(t)
	for round := range 5 {
		path := c.authorize(t, 40)
		var cancelled, booked answer
		together(2, func(i int) {
			if i == 0 {
				cancelled = c.admin().patch(t, path, body{"status": "CANCELLED"})
				return
			}
			booked = c.admin().post(t, "/appointments", c.booking(path, who, c.hour(t, 1+round, "15:00"), hour))
		})
		if cancelled.status == http.StatusOK {
			booked.refused(t, http.StatusConflict, "authorization-not-active")
			c.requireBalance(t, path, 40, 0, 0)
			continue
		}
		cancelled.refused(t, http.StatusConflict, "bookings-stranded")
		require.Equal(t, []string{booked.created(t).String() + " CANCELLED"}, cancelled.stranded(t))
		c.requireBalance(t, path, 40, 0, 4)
	}
	c.requireClean(t)
}

func TestImpactIsMoved(t *testing.T) {
	t.Parallel()
	c := open(t)
	a, b := c.authorize(t, 40), c.authorize(t, 8)
	all := c.daily(t, a, c.employ(t), 1, 2, 3, 4)
	to := body{"strandedBookings": "MOVE", "moveToAuthorizationId": idOf(b)}
	with := func(change body) body {
		for k, v := range to {
			change[k] = v
		}
		return change
	}
	refused := c.admin().patch(t, a, with(body{"endDate": c.day(t, 1)})).refused(t, http.StatusConflict, "move-refused")
	require.Len(t, refused.occurrences(t), 3)
	require.Equal(t, []string{"insufficient-units"}, refused.occurrences(t)[2].reasons(t))
	c.requireBalance(t, a, 40, 0, 16)
	c.requireBalance(t, b, 8, 0, 0)

	moved := c.admin().patch(t, a, with(body{"endDate": c.day(t, 2), "totalUnits": 8})).ok(t)
	require.Equal(t, c.day(t, 2), moved.text("endDate"))
	c.requireBalance(t, a, 8, 0, 8)
	c.requireBalance(t, b, 8, 0, 8)
	require.Equal(t, idOf(b), c.admin().get(t, all[3]).text("authorizationId"))

	// Other appointments outside the dates cannot be moved by this caller, so nothing
	// moves.
	d := c.authorize(t, 40)
	c.admin().post(t, b+"/release", body{"units": 1})
	c.admin().post(t, d+"/reserve", body{"units": 1, "serviceDate": c.day(t, 9)}).reservationID(t)
	later := c.daily(t, d, c.employ(t), 10)
	to["moveToAuthorizationId"] = idOf(c.authorize(t, 40))
	c.admin().patch(t, d, with(body{"endDate": c.day(t, 8)})).refused(t, http.StatusConflict, "reservations-outside-dates")
	require.Equal(t, idOf(d), c.admin().get(t, later[0]).text("authorizationId"))
	c.requireBalance(t, d, 40, 0, 5)

	to["moveToAuthorizationId"] = uuid.New()
	invalid := c.admin().patch(t, d, with(body{"endDate": c.day(t, 9)})).
		refused(t, http.StatusUnprocessableEntity, "validation-failed")
	require.Equal(t, "moveToAuthorizationId", invalid.body["errors"].([]any)[0].(map[string]any)["field"])
	c.admin().patch(t, d, body{"strandedBookings": "MOVE"}).refused(t, http.StatusUnprocessableEntity, "validation-failed")
	c.requireClean(t)
}

func TestImpactRequiresThePermissionsOfBookings(t *testing.T) {
	t.Parallel()
	c := open(t)
	path := c.authorize(t, 40)
	c.daily(t, path, c.employ(t), 3)
	biller := c.as(c.own.tokens["BILLER"])
	biller.patch(t, path, body{"endDate": c.day(t, 1), "strandedBookings": "CANCEL"}).
		refused(t, http.StatusForbidden, "forbidden")
	require.Len(t, biller.post(t, path+"/impact", body{"endDate": c.day(t, 1)}).ok(t).stranded(t), 1)
	c.requireBalance(t, path, 40, 0, 4)

	other := c.admin().post(t, "/patients", body{"firstName": "Robin", "lastName": "Ray", "dateOfBirth": "2019-01-01"}).
		created(t)
	theirs := c.authorize(t, 20, body{"patientId": other})
	group := c.book(t, c.booking(path, c.employ(t), c.hour(t, 5, "09:00"), hour, body{
		"patientId": nil, "authorizationId": nil, "patients": []body{
			{"patientId": other, "authorizationId": idOf(theirs)}, {"patientId": c.own.patient, "authorizationId": idOf(path)},
		},
	}))
	refused := c.admin().patch(t, path, body{"endDate": c.day(t, 1), "strandedBookings": "CANCEL"}).
		refused(t, http.StatusConflict, "group-appointment")
	require.Equal(t, idOf(group), refused.text("appointmentId"))
	c.requireBalance(t, path, 40, 0, 8)
	c.requireBalance(t, theirs, 20, 0, 4)
	c.requireClean(t)
}

// TestImpactWhileOthersBook shortens an authorization during concurrent bookings.
func TestImpactWhileOthersBook(t *testing.T) {
	t.Parallel()
	c := open(t)
	path := c.authorize(t, 400)
	who := c.employ(t)
	c.daily(t, path, who, 1, 2, 3)
	var got outcomes
	together(8, func(i int) {
		if i == 0 {
			got.add(c.admin().patch(t, path, body{"endDate": c.day(t, 2), "totalUnits": 100, "strandedBookings": "CANCEL"}))
			return
		}
		got.add(c.admin().post(t, "/appointments", c.booking(path, who, c.hour(t, 3+i, "15:00"), hour)))
	})
	require.Equal(t, 1, got.counts["200"])
	require.Equal(t, 7, got.counts["201"]+got.counts["409 outside-authorization-dates"], "%v", got.counts)
	c.requireBalance(t, path, 100, 0, 8)
	require.Len(t, c.admin().get(t, "/appointments?status=SCHEDULED").body["data"], 2)
	c.requireClean(t)
}
