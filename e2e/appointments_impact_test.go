package e2e

import (
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"omnirapeutic/e2e/harness"
)

// stranded returns the appointments of an impact, as id and cause.
func stranded(t testing.TB, a harness.Answer) []string {
	t.Helper()
	all := []string{}
	for _, item := range a.Body["bookings"].([]any) {
		b := item.(map[string]any)
		all = append(all, b["appointmentId"].(string)+" "+b["cause"].(string))
	}
	return all
}

func TestImpactOfAChange(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	path := c.Authorize(t, 40)
	practitioner := c.AddPractitioner(t)
	all := bookDaily(t, c, path, practitioner, -1, 1, 2, 3, 4)
	c.Admin().Post(t, all[1]+"/cancel", harness.Body{}).OK(t)
	c.Admin().Post(t, path+"/reserve", harness.Body{"units": 5, "serviceDate": c.Date(t, 4)}).ReservationID(t)
	ask := func(b harness.Body) harness.Answer { return c.Admin().Post(t, path+"/impact", b).OK(t) }

	none := ask(harness.Body{})
	require.Empty(t, stranded(t, none))
	require.Equal(t, 40, none.Number(t, "totalUnits"))
	require.Equal(t, 21, none.Number(t, "scheduledUnits"))

	shorter := ask(harness.Body{"endDate": c.Date(t, 2)})
	require.Equal(t, []string{harness.IDOf(all[3]) + " OUTSIDE_DATES", harness.IDOf(all[4]) + " OUTSIDE_DATES"},
		stranded(t, shorter))
	require.Equal(t, 8, shorter.Number(t, "units"))
	require.Equal(t, 1, shorter.Number(t, "otherReservations"))
	first := shorter.Body["bookings"].([]any)[0].(map[string]any)
	require.Equal(t, []any{practitioner.String()}, first["practitionerIds"])
	require.EqualValues(t, 4, first["units"])

	fewer := ask(harness.Body{"totalUnits": 14})
	require.Equal(t, []string{harness.IDOf(all[3]) + " UNITS", harness.IDOf(all[4]) + " UNITS"}, stranded(t, fewer),
		"the latest ones, until the rest fits")
	require.Equal(t, 0, fewer.Number(t, "missingUnits"))
	require.Equal(t, 1, ask(harness.Body{"totalUnits": 4}).Number(t, "missingUnits"), "held by another user")
	both := ask(harness.Body{"totalUnits": 14, "endDate": c.Date(t, 3)})
	require.Equal(t, []string{harness.IDOf(all[3]) + " UNITS", harness.IDOf(all[4]) + " OUTSIDE_DATES"}, stranded(t, both))
	require.Len(t, stranded(t, ask(harness.Body{"status": "CANCELLED"})), 3, "bookings of today and later")

	c.RequireBalance(t, path, 40, 0, 21)
	c.Admin().Post(t, path+"/impact", harness.Body{"endDate": "2000-01-01"}).
		Refused(t, http.StatusUnprocessableEntity, "validation-failed")
	c.Admin().Post(t, "/authorizations/"+uuid.NewString()+"/impact", harness.Body{}).
		Refused(t, http.StatusNotFound, "authorization-not-found")
	c.RequireClean(t)
}

// TestImpactOnAppointmentsWithoutUnits shortens an authorization past an appointment that is too
// short for a unit. It has no reservation, but would no longer be covered.
func TestImpactOnAppointmentsWithoutUnits(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	path := c.Authorize(t, 40, harness.Body{"insuranceId": c.AddInsurance(t, "rounding", "FLOOR")})
	short := c.Book(t, c.Booking(path, c.AddPractitioner(t), c.At(t, 3, "15:00"), 10*time.Minute))
	c.Admin().Patch(t, path, harness.Body{"endDate": c.Date(t, 3), "notes": "it is within"}).OK(t)
	refused := c.Admin().Patch(t, path, harness.Body{"endDate": c.Date(t, 2)}).
		Refused(t, http.StatusConflict, "bookings-stranded")
	require.Equal(t, []string{harness.IDOf(short) + " OUTSIDE_DATES"}, stranded(t, refused))
	c.Admin().Patch(t, path, harness.Body{"startDate": c.Date(t, 4), "endDate": c.Date(t, 5)}).
		Refused(t, http.StatusConflict, "bookings-stranded")
	c.Admin().Patch(t, path, harness.Body{"endDate": c.Date(t, 2), "strandedBookings": "CANCEL"}).OK(t)
	require.Equal(t, "CANCELLED", c.Admin().Get(t, short).OK(t).Text("status"))
	c.RequireClean(t)
}

func TestImpactIsCancelled(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	path := c.Authorize(t, 40)
	all := bookDaily(t, c, path, c.AddPractitioner(t), 1, 2, 3)
	c.Admin().Patch(t, path, harness.Body{"endDate": c.Date(t, 1)}).
		Refused(t, http.StatusConflict, "reservations-outside-dates")
	c.Admin().Patch(t, path, harness.Body{"totalUnits": 4}).Refused(t, http.StatusConflict, "total-below-booked")

	cut := c.Admin().Patch(t, path, harness.Body{
		"totalUnits": 9, "endDate": c.Date(t, 2), "strandedBookings": "CANCEL", "reason": "cut by the payer",
	}).OK(t)
	require.Equal(t, 9, cut.Number(t, "totalUnits"))
	c.RequireBalance(t, path, 9, 0, 8)
	gone := c.Admin().Get(t, all[2])
	require.Equal(t, "CANCELLED", gone.Text("status"))
	require.Equal(t, "cut by the payer", gone.Text("cancelReason"))
	c.Admin().Patch(t, path, harness.Body{"totalUnits": 4, "strandedBookings": "CANCEL"}).OK(t)
	c.RequireBalance(t, path, 4, 0, 4)
	require.Equal(t, "SCHEDULED", c.Admin().Get(t, all[0]).Text("status"))
	c.Admin().Patch(t, path, harness.Body{"status": "CANCELLED", "strandedBookings": "CANCEL"}).OK(t)
	c.RequireBalance(t, path, 4, 0, 0)
	c.RequireClean(t)
}

// TestImpactOfACancellation requires a decision on the bookings before an authorization
// is cancelled.
func TestImpactOfACancellation(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	path := c.Authorize(t, 40)
	practitioner := c.AddPractitioner(t)
	all := bookDaily(t, c, path, practitioner, -1, 1, 2)
	cancel := func(more harness.Body) harness.Body {
		b := harness.Body{"status": "CANCELLED"}
		for k, v := range more {
			b[k] = v
		}
		return b
	}
	before := c.Admin().Get(t, path).Raw
	refused := c.Admin().Patch(t, path, cancel(nil)).Refused(t, http.StatusConflict, "bookings-stranded")
	require.Equal(t, []string{
		harness.IDOf(all[1]) + " CANCELLED", harness.IDOf(all[2]) + " CANCELLED",
	}, stranded(t, refused),
		"bookings of today and later")
	require.Equal(t, c.Admin().Post(t, path+"/impact", cancel(nil)).OK(t).Body["bookings"], refused.Body["bookings"])
	require.Equal(t, 8, refused.Number(t, "units"))
	require.Equal(t, string(before), string(c.Admin().Get(t, path).Raw))

	// A biller may not cancel appointments, but may record the payer's cancellation.
	biller := c.As(c.Own.Tokens["BILLER"])
	require.Equal(t, "CANCELLED", biller.Patch(t, path, cancel(harness.Body{"strandedBookings": "KEEP"})).OK(t).
		Text("status"))
	c.RequireBalance(t, path, 40, 0, 12)
	require.Equal(t, "CANCELLED", biller.Patch(t, path, cancel(harness.Body{"notes": "see the letter"})).OK(t).
		Text("status"),
		"nothing new is stranded")
	c.RequireClean(t)

	// Kept appointments are completed, moved or cancelled; the cancellation stays.
	c.Admin().Post(t, all[0]+"/complete", harness.Body{}).OK(t)
	c.Admin().Post(t, path+"/move-bookings", move(c.Authorize(t, 4), harness.Body{"from": c.Date(t, 2)})).OK(t)
	c.Admin().Patch(t, all[1], harness.Body{"endTime": c.At(t, 1, "17:00").UTC()}).
		Refused(t, http.StatusConflict, "authorization-not-active")
	c.Admin().Post(t, "/appointments", c.Booking(path, practitioner, c.At(t, 5, "09:00"),
		time.Hour)).Refused(t, http.StatusConflict,
		"authorization-not-active")
	c.Admin().Post(t, all[1]+"/cancel", harness.Body{}).OK(t)
	c.RequireBalance(t, path, 40, 4, 0)
	c.Admin().Patch(t, path, harness.Body{"status": "ACTIVE"}).OK(t)
	c.Admin().Patch(t, path, cancel(nil)).OK(t)
	c.RequireClean(t)

	// KEEP does not apply to dates and totals.
	short := c.Authorize(t, 8)
	bookDaily(t, c, short, practitioner, 5, 6)
	c.Admin().Patch(t, short, harness.Body{
		"endDate": c.Date(t, 5), "strandedBookings": "KEEP",
	}).Refused(t, http.StatusConflict,
		"reservations-outside-dates")
	c.Admin().Patch(t, short, harness.Body{"totalUnits": 4, "strandedBookings": "KEEP"}).
		Refused(t, http.StatusConflict, "total-below-booked")
	c.RequireClean(t)
}

// TestImpactOfACancellationWhileOthersBook checks that no concurrent booking is missed
// during a cancellation.
func TestImpactOfACancellationWhileOthersBook(t *testing.T) {
	t.Parallel()
	database := harness.TwoPractices.New(t)
	c := harness.Serve(t, database, database.Open(t))
	practitioner := c.AddPractitioner(t)
	for round := range 5 {
		path := c.Authorize(t, 40)
		var cancelled, booked harness.Answer
		harness.Concurrently(2, func(i int) {
			if i == 0 {
				cancelled = c.Admin().Patch(t, path, harness.Body{"status": "CANCELLED"})
				return
			}
			booked = c.Admin().Post(t, "/appointments", c.Booking(path, practitioner, c.At(t, 1+round, "15:00"), time.Hour))
		})
		if cancelled.Status == http.StatusOK {
			booked.Refused(t, http.StatusConflict, "authorization-not-active")
			c.RequireBalance(t, path, 40, 0, 0)
			continue
		}
		cancelled.Refused(t, http.StatusConflict, "bookings-stranded")
		require.Equal(t, []string{booked.Created(t).String() + " CANCELLED"}, stranded(t, cancelled))
		c.RequireBalance(t, path, 40, 0, 4)
	}
	c.RequireClean(t)
}

func TestImpactIsMoved(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	a, b := c.Authorize(t, 40), c.Authorize(t, 8)
	all := bookDaily(t, c, a, c.AddPractitioner(t), 1, 2, 3, 4)
	to := harness.Body{"strandedBookings": "MOVE", "moveToAuthorizationId": harness.IDOf(b)}
	with := func(change harness.Body) harness.Body {
		for k, v := range to {
			change[k] = v
		}
		return change
	}
	refused := c.Admin().Patch(t, a, with(harness.Body{"endDate": c.Date(t, 1)})).
		Refused(t, http.StatusConflict, "move-refused")
	require.Len(t, refused.Occurrences(t), 3)
	require.Equal(t, []string{"insufficient-units"}, refused.Occurrences(t)[2].Reasons(t))
	c.RequireBalance(t, a, 40, 0, 16)
	c.RequireBalance(t, b, 8, 0, 0)

	moved := c.Admin().Patch(t, a, with(harness.Body{"endDate": c.Date(t, 2), "totalUnits": 8})).OK(t)
	require.Equal(t, c.Date(t, 2), moved.Text("endDate"))
	c.RequireBalance(t, a, 8, 0, 8)
	c.RequireBalance(t, b, 8, 0, 8)
	require.Equal(t, harness.IDOf(b), c.Admin().Get(t, all[3]).Text("authorizationId"))

	// Other appointments outside the dates cannot be moved by this caller, so nothing
	// moves.
	d := c.Authorize(t, 40)
	c.Admin().Post(t, b+"/release", harness.Body{"units": 1})
	c.Admin().Post(t, d+"/reserve", harness.Body{"units": 1, "serviceDate": c.Date(t, 9)}).ReservationID(t)
	later := bookDaily(t, c, d, c.AddPractitioner(t), 10)
	to["moveToAuthorizationId"] = harness.IDOf(c.Authorize(t, 40))
	c.Admin().Patch(t, d, with(harness.Body{"endDate": c.Date(t, 8)})).
		Refused(t, http.StatusConflict, "reservations-outside-dates")
	require.Equal(t, harness.IDOf(d), c.Admin().Get(t, later[0]).Text("authorizationId"))
	c.RequireBalance(t, d, 40, 0, 5)

	to["moveToAuthorizationId"] = uuid.New()
	invalid := c.Admin().Patch(t, d, with(harness.Body{"endDate": c.Date(t, 9)})).
		Refused(t, http.StatusUnprocessableEntity, "validation-failed")
	require.Equal(t, "moveToAuthorizationId", invalid.Body["errors"].([]any)[0].(map[string]any)["field"])
	c.Admin().Patch(t, d, harness.Body{"strandedBookings": "MOVE"}).
		Refused(t, http.StatusUnprocessableEntity, "validation-failed")
	c.RequireClean(t)
}

func TestImpactRequiresThePermissionsOfBookings(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	path := c.Authorize(t, 40)
	bookDaily(t, c, path, c.AddPractitioner(t), 3)
	biller := c.As(c.Own.Tokens["BILLER"])
	biller.Patch(t, path, harness.Body{"endDate": c.Date(t, 1), "strandedBookings": "CANCEL"}).
		Refused(t, http.StatusForbidden, "forbidden")
	require.Len(t, stranded(t, biller.Post(t, path+"/impact", harness.Body{"endDate": c.Date(t, 1)}).OK(t)), 1)
	c.RequireBalance(t, path, 40, 0, 4)

	other := c.Admin().Post(t, "/patients", harness.Body{
		"firstName": "Robin", "lastName": "Ray", "dateOfBirth": "2019-01-01",
	}).
		Created(t)
	theirs := c.Authorize(t, 20, harness.Body{"patientId": other})
	group := c.Book(t, c.Booking(path, c.AddPractitioner(t), c.At(t, 5, "09:00"), time.Hour, harness.Body{
		"patientId": nil, "authorizationId": nil, "patients": []harness.Body{
			{
				"patientId": other, "authorizationId": harness.IDOf(theirs),
			}, {"patientId": c.Own.Patient, "authorizationId": harness.IDOf(path)},
		},
	}))
	refused := c.Admin().Patch(t, path, harness.Body{"endDate": c.Date(t, 1), "strandedBookings": "CANCEL"}).
		Refused(t, http.StatusConflict, "group-appointment")
	require.Equal(t, harness.IDOf(group), refused.Text("appointmentId"))
	c.RequireBalance(t, path, 40, 0, 8)
	c.RequireBalance(t, theirs, 20, 0, 4)
	c.RequireClean(t)
}

// TestImpactWhileOthersBook shortens an authorization during concurrent bookings.
func TestImpactWhileOthersBook(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	path := c.Authorize(t, 400)
	practitioner := c.AddPractitioner(t)
	bookDaily(t, c, path, practitioner, 1, 2, 3)
	var got outcomes
	harness.Concurrently(8, func(i int) {
		if i == 0 {
			got.add(c.Admin().Patch(t, path, harness.Body{
				"endDate": c.Date(t, 2), "totalUnits": 100, "strandedBookings": "CANCEL",
			}))
			return
		}
		got.add(c.Admin().Post(t, "/appointments", c.Booking(path, practitioner, c.At(t, 3+i, "15:00"), time.Hour)))
	})
	require.Equal(t, 1, got.counts["200"])
	require.Equal(t, 7, got.counts["201"]+got.counts["409 outside-authorization-dates"], "%v", got.counts)
	c.RequireBalance(t, path, 100, 0, 8)
	require.Len(t, c.Admin().Get(t, "/appointments?status=SCHEDULED").Body["data"], 2)
	c.RequireClean(t)
}
