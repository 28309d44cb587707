package e2e

import (
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"omnirapeutic/e2e/harness"
)

// move is the body of a move of bookings to the authorization at the path.
func move(to string, changes ...harness.Body) harness.Body {
	b := harness.Body{"toAuthorizationId": harness.IDOf(to)}
	for _, change := range changes {
		for k, v := range change {
			b[k] = v
		}
	}
	return b
}

// bookDaily books an hour on each day from today on, and returns the appointments.
func bookDaily(t testing.TB, c *harness.Clinic, path string, practitioner uuid.UUID, days ...int) []string {
	t.Helper()
	all := make([]string, len(days))
	for i, day := range days {
		all[i] = c.Book(t, c.Booking(path, practitioner, c.At(t, day, "15:00"), time.Hour))
	}
	return all
}

func TestRenewalMovesBookings(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	a, b := c.Authorize(t, 40), c.Authorize(t, 20)
	all := bookDaily(t, c, a, c.AddPractitioner(t), -1, 1, 2, 3, 4)
	c.Admin().Post(t, all[2]+"/cancel", harness.Body{}).OK(t)
	c.RequireBalance(t, a, 40, 0, 16)

	preview := c.Admin().Post(t, a+"/move-bookings/preview", move(b)).OK(t)
	require.Equal(t, true, preview.Body["movable"])
	require.Len(t, preview.Occurrences(t), 3, "yesterday's and the cancelled one stay")
	c.RequireBalance(t, b, 20, 0, 0)

	keyed := c.Admin().WithHeader("Idempotency-Key", "renewal")
	moved := keyed.Post(t, a+"/move-bookings", move(b, harness.Body{"reason": "renewed"})).OK(t)
	require.Equal(t, preview.Body["occurrences"], moved.Body["occurrences"], "a preview has the same result as the move")
	require.Equal(t, 3, moved.Number(t, "moved"))
	require.Equal(t, 12, moved.Number(t, "units"))
	for i, o := range moved.Occurrences(t) {
		require.Equal(t, harness.IDOf([]string{all[1], all[3], all[4]}[i]), o.Text("appointmentId"), "in order of time")
		require.Equal(t, 4, o.Number(t, "units"))
		now := c.Admin().Get(t, "/appointments/"+o.Text("appointmentId")).OK(t)
		require.Equal(t, harness.IDOf(b), now.Text("authorizationId"))
		require.Equal(t, "SCHEDULED", now.Text("status"))
		require.Equal(t, 2, now.Number(t, "version"))
	}
	c.RequireBalance(t, a, 40, 0, 4)
	c.RequireBalance(t, b, 20, 0, 12)
	again := keyed.Post(t, a+"/move-bookings", move(b, harness.Body{"reason": "renewed"})).OK(t)
	require.Equal(t, "true", again.Header.Get("Idempotency-Replayed"))
	require.JSONEq(t, string(moved.Raw), string(again.Raw))
	keyed.Post(t, a+"/move-bookings", move(b, harness.Body{"from": c.Date(t, 2)})).
		Refused(t, http.StatusUnprocessableEntity, "idempotency-key-reused")

	// A moved booking is consumed on the new authorization, others on the old one.
	c.Admin().Post(t, all[0]+"/complete", harness.Body{}).OK(t)
	c.RequireBalance(t, a, 40, 4, 0)
	nothing := c.Admin().Post(t, a+"/move-bookings", move(b)).OK(t)
	require.Empty(t, nothing.Occurrences(t))
	require.Equal(t, 0, nothing.Number(t, "moved"))
	c.Admin().Post(t, all[1]+"/cancel", harness.Body{}).OK(t)
	c.RequireBalance(t, b, 20, 0, 8)

	entries := c.Admin().Get(t, b+"/entries").Body["data"].([]any)
	require.Equal(t, "renewed", entries[0].(map[string]any)["reason"])
	trail := c.Admin().Get(t, "/admin/audit-events?subjectId="+harness.IDOf(all[4])).OK(t)
	require.Contains(t, string(trail.Raw), `"appointment.transfer"`)
	c.RequireClean(t)
}

func TestRenewalIsAtomic(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	a := c.Authorize(t, 40)
	b := c.Authorize(t, 9, harness.Body{"startDate": c.Date(t, 2), "caps": []harness.Body{{"period": "DAY", "units": 4}}})
	practitioner := c.AddPractitioner(t)
	bookDaily(t, c, a, practitioner, 1, 3, 4, 5)
	c.Book(t, c.Booking(a, practitioner, c.At(t, 6, "13:00"), time.Hour+time.Hour/4))

	refused := c.Admin().Post(t, a+"/move-bookings", move(b)).Refused(t, http.StatusConflict, "move-refused")
	preview := c.Admin().Post(t, a+"/move-bookings/preview", move(b)).OK(t)
	require.Equal(t, false, preview.Body["movable"])
	require.Equal(t, refused.Body["occurrences"], preview.Body["occurrences"])
	verdicts := refused.Occurrences(t)
	require.Len(t, verdicts, 5)
	require.Equal(t, []string{"outside-authorization-dates"}, verdicts[0].Reasons(t))
	require.Empty(t, verdicts[1].Body["reasons"])
	require.Empty(t, verdicts[2].Body["reasons"])
	require.Equal(t, []string{"insufficient-units"}, verdicts[3].Reasons(t))
	require.Equal(t, []string{"insufficient-units", "cap-exceeded"}, verdicts[4].Reasons(t))
	c.RequireBalance(t, a, 40, 0, 21)
	c.RequireBalance(t, b, 9, 0, 0)
	for _, o := range verdicts {
		require.Equal(t, harness.IDOf(a), c.Admin().Get(t, "/appointments/"+o.Text("appointmentId")).Text("authorizationId"))
	}

	pending := c.Authorize(t, 40, harness.Body{"status": "PENDING"})
	refused = c.Admin().Post(t, a+"/move-bookings", move(pending, harness.Body{"from": c.Date(t, 5)})).
		Refused(t, http.StatusConflict, "move-refused")
	require.Len(t, refused.Occurrences(t), 2, "bookings of that day and later")
	require.Equal(t, []string{"authorization-not-active"}, refused.Occurrences(t)[0].Reasons(t))

	c.Admin().Patch(t, b, harness.Body{"totalUnits": 12, "startDate": c.Date(t, 1)}).OK(t)
	c.Admin().Post(t, a+"/move-bookings", move(b, harness.Body{"from": c.Date(t, 7)})).OK(t)
	c.RequireBalance(t, b, 12, 0, 0)
	c.RequireClean(t)
}

func TestRenewalToUnsuitableAuthorization(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	a := c.Authorize(t, 40)
	bookDaily(t, c, a, c.AddPractitioner(t), 1)
	patient := c.Admin().Post(t, "/patients", harness.Body{
		"firstName": "Robin", "lastName": "Ray", "dateOfBirth": "2019-01-01",
	}).
		Created(t)
	service := c.Admin().Post(t, "/service-codes", harness.Body{"code": "97155", "description": "Supervision"}).Created(t)
	for it, to := range map[string]string{
		"does not exist":  uuid.NewString(),
		"the same":        a,
		"another patient": c.Authorize(t, 40, harness.Body{"patientId": patient}),
		"another service": c.Authorize(t, 40, harness.Body{"serviceCodeId": service}),
	} {
		for _, path := range []string{a + "/move-bookings", a + "/move-bookings/preview"} {
			invalid := c.Admin().Post(t, path, move(to)).Refused(t, http.StatusUnprocessableEntity, "validation-failed")
			require.Equal(t, "toAuthorizationId", invalid.Body["errors"].([]any)[0].(map[string]any)["field"], it)
		}
	}
	unknown := "/authorizations/" + uuid.NewString() + "/move-bookings"
	c.Admin().Post(t, unknown, move(a)).Refused(t, http.StatusNotFound, "authorization-not-found")
	c.Admin().Post(t, unknown+"/preview", move(a)).Refused(t, http.StatusNotFound, "authorization-not-found")
	c.RequireBalance(t, a, 40, 0, 4)
	c.RequireClean(t)
}

func TestRenewalMovesOnlyThePatientOfAGroup(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	other := c.Admin().Post(t, "/patients", harness.Body{
		"firstName": "Robin", "lastName": "Ray", "dateOfBirth": "2019-01-01",
	}).
		Created(t)
	theirs := c.Authorize(t, 20, harness.Body{"patientId": other})
	a, b := c.Authorize(t, 20), c.Authorize(t, 20)
	group := c.Book(t, c.Booking(a, c.AddPractitioner(t), c.At(t, 1, "09:00"), time.Hour, harness.Body{
		"patientId": nil, "authorizationId": nil, "patients": []harness.Body{
			{
				"patientId": other, "authorizationId": harness.IDOf(theirs),
			}, {"patientId": c.Own.Patient, "authorizationId": harness.IDOf(a)},
		},
	}))
	moved := c.Admin().Post(t, a+"/move-bookings", move(b)).OK(t)
	require.Equal(t, 4, moved.Number(t, "units"), "units of one patient")
	c.RequireBalance(t, a, 20, 0, 0)
	c.RequireBalance(t, b, 20, 0, 4)
	c.RequireBalance(t, theirs, 20, 0, 4)
	patients := c.Admin().Get(t, group).OK(t).Body["patients"].([]any)
	require.Equal(t, harness.IDOf(theirs), patients[0].(map[string]any)["authorizationId"])
	require.Equal(t, harness.IDOf(b), patients[1].(map[string]any)["authorizationId"])
	c.RequireClean(t)
}

// TestRenewalRoundsByTheOtherPayer moves 20 minutes from a payer who rounds up to one
// who rounds down, and back.
func TestRenewalRoundsByTheOtherPayer(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	payer := c.Admin().Post(t, "/payers", harness.Body{"name": "Whole Units", "rounding": "FLOOR"}).Created(t)
	insurance := c.Admin().Post(t, "/insurances", harness.Body{
		"patientId": c.Own.Patient, "payerId": payer, "memberNumber": "M-1", "startsOn": "2020-01-01",
	}).Created(t)
	a, b := c.Authorize(t, 20), c.Authorize(t, 20, harness.Body{"insuranceId": insurance})
	practitioner := c.AddPractitioner(t)
	c.Book(t, c.Booking(a, practitioner, c.At(t, 1, "09:00"), 20*time.Minute))
	short := c.Book(t, c.Booking(a, practitioner, c.At(t, 1, "11:00"), 10*time.Minute))
	c.RequireBalance(t, a, 20, 0, 3)
	c.Admin().Post(t, a+"/move-bookings", move(b)).OK(t)
	c.RequireBalance(t, a, 20, 0, 0)
	c.RequireBalance(t, b, 20, 0, 1)
	require.Nil(t, c.Admin().Get(t, short).Body["patients"].([]any)[0].(map[string]any)["reservationId"],
		"it is too short for a unit")
	c.RequireClean(t)
	c.Admin().Post(t, b+"/move-bookings", move(a)).OK(t)
	c.RequireBalance(t, a, 20, 0, 3)
	c.RequireBalance(t, b, 20, 0, 0)
	c.RequireClean(t)
}

// TestRenewalWhileOthersBook moves bookings while clients book on both authorizations,
// and start and cancel moved appointments.
func TestRenewalWhileOthersBook(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	a, b := c.Authorize(t, 400), c.Authorize(t, 400)
	practitioner := c.AddPractitioner(t)
	days := bookDaily(t, c, a, practitioner, 1, 3, 4)
	soon := c.Book(t, c.Booking(a, practitioner, c.Ago(-10*time.Minute), time.Hour)) // can be started
	all := []string{days[0], soon, days[1], days[2]}
	var got outcomes
	harness.Concurrently(12, func(i int) {
		switch {
		case i < 2:
			got.add(c.Admin().Post(t, a+"/move-bookings", move(b)))
		case i == 2:
			got.add(c.Admin().Post(t, all[0]+"/cancel", harness.Body{}))
		case i == 3:
			got.add(c.Admin().Post(t, all[1]+"/start", harness.Body{}))
		case i == 4:
			got.add(c.Admin().Patch(t, all[2], harness.Body{"endTime": c.At(t, 3, "17:00")}))
		default:
			got.add(c.Admin().Post(t, "/appointments",
				c.Booking([]string{a, b}[i%2], practitioner, c.At(t, 10+i, "15:00"), time.Hour)))
		}
	})
	require.Equal(t, map[string]int{"200": 5, "201": 7}, got.counts)
	require.Equal(t, "IN_PROGRESS", c.Admin().Get(t, all[1]).Text("status"))
	c.RequireScheduledUnits(t, 8+4+4+7*4, a, b)
	c.RequireClean(t)

	c.Admin().Post(t, a+"/move-bookings", move(b)).OK(t)
	for _, booked := range c.Admin().Get(t, "/appointments?status=SCHEDULED").Body["data"].([]any) {
		require.Equal(t, harness.IDOf(b), booked.(map[string]any)["authorizationId"])
	}
	c.RequireScheduledUnits(t, 8+4+4+7*4, a, b)
	c.RequireClean(t)
}
