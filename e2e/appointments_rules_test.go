package e2e

import (
	"database/sql"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"omnirapeutic/e2e/harness"
	"omnirapeutic/modules/rbac"
	"omnirapeutic/platform/db/dbtest"
)

// addService creates another service and returns its id.
func addService(t testing.TB, c *harness.Clinic, code string, credentials ...string) uuid.UUID {
	t.Helper()
	if credentials == nil {
		credentials = []string{}
	}
	return c.Admin().Post(t, "/service-codes",
		harness.Body{"code": code, "description": code, "requiredCredentials": credentials}).Created(t)
}

func TestAppointmentsUseUpAFullyBookedAuthorization(t *testing.T) { // 5
	t.Parallel()
	c := harness.Open(t)
	path := c.Authorize(t, 12)
	practitioner := c.AddPractitioner(t)
	var all []string
	for i := range 3 {
		all = append(all, c.Book(t, c.Booking(path, practitioner, c.At(t, -1, "08:00").Add(time.Duration(i)*time.Hour),
			time.Hour)))
	}
	require.Equal(t, "EXHAUSTED", c.Admin().Get(t, path).Text("status"))
	for i, booked := range all {
		c.Admin().Post(t, booked+"/complete", harness.Body{}).OK(t)
		c.RequireBalance(t, path, 12, 4*(i+1), 4*(2-i))
	}
	c.RequireClean(t)
}

func TestAppointmentRescheduleUpAndDownThenCancel(t *testing.T) { // 6
	t.Parallel()
	c := harness.Open(t)
	path := c.Authorize(t, 12, harness.Body{"caps": caps("DAY", 10)})
	practitioner := c.AddPractitioner(t)
	at := c.At(t, 1, "09:00")
	booked := c.Book(t, c.Booking(path, practitioner, at, time.Hour))
	for _, step := range []struct {
		change harness.Body
		units  int
	}{
		{harness.Body{"endTime": at.Add(2 * time.Hour)}, 8},
		{harness.Body{"endTime": at.Add(30 * time.Minute)}, 2},
		{harness.Body{"startTime": at.Add(24 * time.Hour), "endTime": at.Add(25 * time.Hour)}, 4},
	} {
		require.Equal(t, step.units, c.Admin().Patch(t, booked, step.change).OK(t).Number(t, "units"))
		c.RequireBalance(t, path, 12, 0, step.units)
		c.RequireClean(t)
	}
	c.Admin().Patch(t, booked, harness.Body{"endTime": at.Add(24*time.Hour + 150*time.Minute + 15*time.Minute)}).
		Refused(t, http.StatusConflict, "cap-exceeded")
	c.Admin().Patch(t, booked, harness.Body{"endTime": at.Add(24*time.Hour + 4*time.Hour)}).
		Refused(t, http.StatusConflict, "insufficient-units")
	c.RequireBalance(t, path, 12, 0, 4)
	c.Admin().Patch(t, booked, harness.Body{
		"startTime": at.AddDate(2, 0, 0), "endTime": at.AddDate(2, 0, 0).Add(time.Hour),
	}).
		Refused(t, http.StatusConflict, "outside-authorization-dates")
	refused := c.Admin().Post(t, "/appointments", c.Booking(path, practitioner, at.Add(30*time.Hour), 105*time.Minute)).
		Refused(t, http.StatusConflict, "cap-exceeded")
	require.Equal(t, 1, refused.Number(t, "missing"))
	require.Len(t, c.Admin().Get(t, path+"/reservations").Body["data"], 1, "one reservation for life")

	reservation := c.Admin().Get(t, booked).Body["patients"].([]any)[0].(map[string]any)["reservationId"]
	c.Admin().Post(t, path+"/release", harness.Body{"reservationId": reservation}).Refused(t, http.StatusConflict,
		"reservation-belongs-to-appointment")
	c.Admin().Post(t, path+"/consume", harness.Body{"reservationId": reservation}).Refused(t, http.StatusConflict,
		"reservation-belongs-to-appointment")
	c.Admin().Post(t, booked+"/cancel", harness.Body{}).OK(t)
	c.RequireBalance(t, path, 12, 0, 0)
	c.RequireClean(t)
}

func TestAppointmentMovesToAnotherAuthorization(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	from, to := c.Authorize(t, 12), c.Authorize(t, 4)
	id := func(path string) string { return strings.TrimPrefix(path, "/authorizations/") }
	practitioner := c.AddPractitioner(t)
	at := c.At(t, 1, "09:00")
	booked := c.Book(t, c.Booking(from, practitioner, at, time.Hour))
	c.Admin().Patch(t, booked, harness.Body{"authorizationId": id(to), "endTime": at.Add(75 * time.Minute)}).
		Refused(t, http.StatusConflict, "insufficient-units")
	c.RequireBalance(t, from, 12, 0, 4)
	require.Equal(t, id(to), c.Admin().Patch(t, booked, harness.Body{"authorizationId": id(to)}).OK(t).
		Text("authorizationId"))
	c.RequireBalance(t, from, 12, 0, 0)
	c.RequireBalance(t, to, 4, 0, 4)
	c.Admin().Patch(t, booked, harness.Body{"authorizationId": id(from)}).OK(t)
	c.Admin().Post(t, booked+"/cancel", harness.Body{}).OK(t)
	c.RequireBalance(t, from, 12, 0, 0)
	c.RequireBalance(t, to, 4, 0, 0)
	c.RequireClean(t)
}

func TestAppointmentFirstAndLastDay(t *testing.T) { // 7
	t.Parallel()
	c := harness.Open(t)
	zone := harness.NewYork(t)
	path := c.Authorize(t, 40, harness.Body{"startDate": "2026-03-01", "endDate": "2026-03-31"})
	practitioner := c.AddPractitioner(t)
	at := func(month time.Month, day, hour, minute int) time.Time {
		return time.Date(2026, month, day, hour, minute, 0, 0, zone)
	}
	late := c.Book(t, c.Booking(path, practitioner, at(time.March, 31, 23, 45), 15*time.Minute))
	require.Equal(t, "2026-03-31", c.Admin().Get(t, late).Text("serviceDate"), "although it is the first of April in UTC")
	c.Book(t, c.Booking(path, practitioner, at(time.March, 1, 0, 0), 15*time.Minute))
	for _, outside := range []time.Time{at(time.April, 1, 0, 0), at(time.February, 28, 23, 45)} {
		refused := c.Admin().Post(t, "/appointments", c.Booking(path, practitioner, outside, 15*time.Minute)).
			Refused(t, http.StatusConflict, "outside-authorization-dates")
		require.Equal(t, "2026-03-31", refused.Text("endDate"))
	}
	c.RequireClean(t)
}

func TestAppointmentIsDocumentedAfterTheAuthorizationEnded(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	path := c.Authorize(t, 10, harness.Body{
		"startDate": c.At(t, -60, "00:00").Format(time.DateOnly), "endDate": c.At(t, -30, "00:00").Format(time.DateOnly),
	})
	practitioner := c.AddPractitioner(t)
	booked := c.Book(t, c.Booking(path, practitioner, c.At(t, -30, "22:00"), time.Hour))
	require.Equal(t, "EXPIRED", c.Admin().Get(t, path).Text("status"))
	done := c.Admin().Post(t, booked+"/complete", harness.Body{"endTime": c.At(t, -30, "23:30")}).OK(t)
	require.Equal(t, 0, done.Number(t, "session", "unauthorizedUnits"))
	c.RequireBalance(t, path, 10, 6, 0)

	t.Run("work on a day outside the dates is not authorized", func(t *testing.T) {
		booked := c.Book(t, c.Booking(path, practitioner, c.At(t, -31, "09:00"), time.Hour))
		done := c.Admin().Post(t, booked+"/complete",
			harness.Body{"startTime": c.At(t, -29, "09:00"), "endTime": c.At(t, -29, "10:00"), "confirm": true}).OK(t)
		require.Equal(t, 4, done.Number(t, "session", "unauthorizedUnits"))
		c.RequireBalance(t, path, 10, 6, 0)
	})
	c.RequireClean(t)
}

func TestAppointmentLongerThanTheAvailableUnits(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	path := c.Authorize(t, 6)
	practitioner := c.AddPractitioner(t)
	booked := c.Book(t, c.Booking(path, practitioner, c.At(t, -1, "09:00"), time.Hour))
	done := c.Admin().Post(t, booked+"/complete", harness.Body{"endTime": c.At(t, -1, "11:00")}).OK(t)
	require.Equal(t, 8, done.Number(t, "session", "units"))
	require.Equal(t, 2, done.Number(t, "session", "unauthorizedUnits"))
	c.RequireBalance(t, path, 6, 6, 0)
	exceptions := c.Admin().Get(t, "/sessions?unauthorized=true").Body["data"].([]any)
	require.Len(t, exceptions, 1)
	require.EqualValues(t, 2, exceptions[0].(map[string]any)["unauthorizedUnits"])
	c.RequireClean(t)
}

func TestAppointmentClockChanges(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	zone := harness.NewYork(t)
	path := c.Authorize(t, 40, harness.Body{"startDate": "2026-01-01", "endDate": "2026-12-31"})
	practitioner := c.AddPractitioner(t)
	for _, test := range []struct {
		from, to time.Time
		units    int
	}{
		// Two hours have passed.
		{time.Date(2026, time.March, 8, 1, 0, 0, 0, zone), time.Date(2026, time.March, 8, 4, 0, 0, 0, zone), 8},
		// Four.
		{time.Date(2026, time.November, 1, 0, 0, 0, 0, zone), time.Date(2026, time.November, 1, 3, 0, 0, 0, zone), 16},
	} {
		a := c.Admin().Post(t, "/appointments", c.Booking(path, practitioner, test.from, test.to.Sub(test.from)))
		a.Created(t)
		require.Equal(t, test.units, a.Number(t, "units"))
	}
	c.RequireBalance(t, path, 40, 0, 24)
	c.RequireClean(t)
}

func TestAppointmentUnitsByThePayersRule(t *testing.T) { // 11
	t.Parallel()
	c := harness.Open(t)
	practitioner := c.AddPractitioner(t)
	at := c.At(t, 2, "00:00")
	for rounding, units := range map[string][]int{ // of 7, 8, 22, 23 and 38 minutes
		"CEIL": {1, 1, 2, 2, 3}, "FLOOR": {0, 0, 1, 1, 2}, "MIDPOINT": {0, 1, 1, 2, 3},
	} {
		path := c.Authorize(t, 100, harness.Body{"insuranceId": c.AddInsurance(t, "rounding", rounding)})
		sum := 0
		for i, minutes := range []int{7, 8, 22, 23, 38} {
			a := c.Admin().Post(t, "/appointments", c.Booking(path, practitioner, at, time.Duration(minutes)*time.Minute))
			a.Created(t)
			require.Equal(t, units[i], a.Number(t, "units"), "%d minutes by %s", minutes, rounding)
			require.Equal(t, rounding, a.Body["patients"].([]any)[0].(map[string]any)["rounding"].(map[string]any)["method"])
			sum += units[i]
			at = at.Add(time.Hour)
		}
		c.RequireBalance(t, path, 100, 0, sum)
	}
	t.Run("of the whole visit", func(t *testing.T) {
		insurance := c.AddInsurance(t, "rounding", "CMS_TOTAL")
		advice := addService(t, c, "97155")
		one := c.Authorize(t, 100, harness.Body{"insuranceId": insurance})
		other := c.Authorize(t, 100, harness.Body{"insuranceId": insurance, "serviceCodeId": advice})
		at := c.At(t, 3, "09:00")
		first := c.Book(t, c.Booking(one, practitioner, at, 7*time.Minute))
		second := c.Book(t, c.Booking(other, practitioner, at.Add(time.Hour), 7*time.Minute,
			harness.Body{"serviceCodeId": advice}))
		third := c.Book(t, c.Booking(one, practitioner, at.Add(2*time.Hour), 7*time.Minute))
		units := func() (units []int) {
			for _, path := range []string{first, second, third} {
				units = append(units, c.Admin().Get(t, path).Number(t, "units"))
			}
			return units
		}
		require.Equal(t, []int{1, 0, 0}, units(), "21 minutes are one unit, of the earliest start")
		c.RequireBalance(t, one, 100, 0, 1)
		c.Admin().Patch(t, third, harness.Body{"endTime": at.Add(2*time.Hour + 9*time.Minute)}).OK(t)
		require.Equal(t, []int{1, 0, 1}, units(), "23 minutes are two, the first of the largest remainder")
		c.RequireBalance(t, one, 100, 0, 2)
	})
	c.RequireClean(t)
}

// TestAppointmentUnitsOfEveryMinute previews every length from a minute to eight hours
// by every rule. It counts the units minute by minute, without division.
func TestAppointmentUnitsOfEveryMinute(t *testing.T) {
	t.Parallel()
	harness.SkipUnlessLong(t)
	c := harness.Open(t)
	practitioner := c.AddPractitioner(t)
	start := c.At(t, 1, "09:00")
	// The minutes of the first unit, by rule.
	for method, first := range map[string]int{"CEIL": 1, "FLOOR": 15, "MIDPOINT": 8, "CMS_TOTAL": 8} {
		path := c.Authorize(t, 100, harness.Body{"insuranceId": c.AddInsurance(t, "rounding", method)})
		units, next := 0, first
		for minutes := 1; minutes <= 480; minutes++ {
			if minutes == next {
				units++
				next += 15
			}
			reported := c.Admin().Post(t, "/appointments/preview",
				c.Booking(path, practitioner, start, time.Duration(minutes)*time.Minute)).OK(t)
			require.Equal(t, true, reported.Body["bookable"], "%s", reported.Raw)
			require.Equal(t, units, reported.Occurrences(t)[0].Number(t, "units"), "%d minutes by %s", minutes, method)
		}
	}
}

func TestAppointmentWithoutUnitsIsCompletedWithSome(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	path := c.Authorize(t, 10, harness.Body{"insuranceId": c.AddInsurance(t, "rounding", "FLOOR")})
	practitioner := c.AddPractitioner(t)
	booked := c.Book(t, c.Booking(path, practitioner, c.At(t, -1, "09:00"), 10*time.Minute))
	c.RequireBalance(t, path, 10, 0, 0)
	c.RequireClean(t)
	done := c.Admin().Post(t, booked+"/complete", harness.Body{"endTime": c.At(t, -1, "09:45"), "confirm": true}).OK(t)
	require.Equal(t, 3, done.Number(t, "session", "units"))
	c.RequireBalance(t, path, 10, 3, 0)
	c.RequireClean(t)
}

func TestAppointmentGroupsAndSeveralStaff(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	group := addService(t, c, "97154")
	var patients, authorizations []string
	members := []any{}
	for range 4 {
		patient := c.Admin().Post(t, "/patients", harness.Body{
			"firstName": "A", "lastName": "B", "dateOfBirth": "2019-01-01",
		}).
			Created(t)
		path := c.Authorize(t, 8, harness.Body{"patientId": patient, "serviceCodeId": group})
		patients, authorizations = append(patients, patient.String()), append(authorizations, path)
		members = append(members, harness.Body{
			"patientId": patient, "authorizationId": strings.TrimPrefix(path, "/authorizations/"),
		})
	}
	one, other := c.AddPractitioner(t), c.AddPractitioner(t)
	at := c.At(t, -1, "15:00")
	b := c.Booking(authorizations[0], one, at, time.Hour,
		harness.Body{"serviceCodeId": group, "patients": members, "patientId": nil, "authorizationId": nil})
	booked := c.Book(t, b)
	for _, path := range authorizations {
		c.RequireBalance(t, path, 8, 0, 4)
	}
	require.Len(t, c.Admin().Get(t, "/appointments?patientId="+patients[3]).Body["data"], 1)
	require.Len(t, c.Admin().Get(t, "/appointments").Body["data"], 1, "it is one appointment")

	t.Run("one without units refuses all", func(t *testing.T) {
		short := c.Booking(authorizations[0], other, at.Add(2*time.Hour), 75*time.Minute,
			harness.Body{"serviceCodeId": group, "patients": members, "patientId": nil, "authorizationId": nil})
		c.Admin().Post(t, "/appointments", short).Refused(t, http.StatusConflict, "insufficient-units")
		for _, path := range authorizations {
			c.RequireBalance(t, path, 8, 0, 4)
		}
	})
	t.Run("both technicians are unavailable", func(t *testing.T) {
		path := c.Authorize(t, 20)
		two := c.Booking(path, one, at.Add(3*time.Hour), time.Hour,
			harness.Body{"practitionerIds": []uuid.UUID{one, other}, "practitionerId": nil})
		pair := c.Book(t, two)
		for _, practitioner := range []uuid.UUID{one, other} {
			clash := c.Booking(authorizations[0], practitioner, at.Add(3*time.Hour), time.Hour,
				harness.Body{"serviceCodeId": group, "patientId": patients[0]})
			refused := c.Admin().Post(t, "/appointments", clash).Refused(t, http.StatusConflict, "practitioner-overlap")
			require.Equal(t, pair, "/appointments/"+refused.Text("appointmentId"))
		}
		c.Admin().Patch(t, pair, harness.Body{"practitionerId": one}).OK(t)
		require.Empty(t, c.Admin().Get(t, "/appointments?practitionerId="+other.String()).Body["data"])
		c.Book(t,
			c.Booking(authorizations[0], other, at.Add(3*time.Hour), time.Hour, harness.Body{
				"serviceCodeId": group, "patientId": patients[0],
			}))
	})
	done := c.Admin().Post(t, booked+"/complete", harness.Body{"endTime": at.Add(30 * time.Minute)}).OK(t)
	require.Len(t, done.Body["session"].(map[string]any)["patients"], 4)
	c.RequireBalance(t, authorizations[3], 8, 2, 0)
	c.RequireClean(t)
}

func TestAppointmentServicesThatMayRunTogether(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	advice, family := addService(t, c, "97155"), addService(t, c, "97156")
	direct := c.Authorize(t, 40)
	supervised := c.Authorize(t, 40, harness.Body{"serviceCodeId": advice})
	guided := c.Authorize(t, 40, harness.Body{"serviceCodeId": family})
	at := c.At(t, 1, "15:00")
	first := c.Book(t, c.Booking(direct, c.AddPractitioner(t), at, 2*time.Hour))
	c.Book(t, c.Booking(supervised, c.AddPractitioner(t), at.Add(30*time.Minute), 30*time.Minute,
		harness.Body{"serviceCodeId": advice}))
	refused := c.Admin().Post(t, "/appointments",
		c.Booking(guided, c.AddPractitioner(t), at, time.Hour, harness.Body{"serviceCodeId": family})).
		Refused(t, http.StatusConflict, "patient-overlap")
	require.Equal(t, first, "/appointments/"+refused.Text("appointmentId"))
	after := c.Book(t, c.Booking(guided, c.AddPractitioner(t), at.Add(2*time.Hour), time.Hour,
		harness.Body{"serviceCodeId": family})) // back to back
	c.Admin().Patch(t, after, harness.Body{"startTime": at.Add(119 * time.Minute)}).
		Refused(t, http.StatusConflict, "patient-overlap")
	c.RequireClean(t)
}

func TestAppointmentNeedsACredential(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	advice := addService(t, c, "97155", "BCBA")
	path := c.Authorize(t, 40, harness.Body{"serviceCodeId": advice})
	at := c.At(t, 1, "15:00")
	ends := at.Format(time.DateOnly)
	practitioner := c.AddPractitioner(t, harness.Body{"code": "BCBA", "expiresOn": ends})
	refused := c.Admin().Post(t, "/appointments",
		c.Booking(path, c.AddPractitioner(t, "RBT"), at, time.Hour, harness.Body{"serviceCodeId": advice})).
		Refused(t, http.StatusConflict, "credential-missing")
	require.Equal(t, []any{"BCBA"}, refused.Body["required"])
	booked := c.Book(t, c.Booking(path, practitioner, at, time.Hour, harness.Body{"serviceCodeId": advice}))
	c.Admin().Patch(t, booked, harness.Body{"startTime": at.Add(24 * time.Hour), "endTime": at.Add(25 * time.Hour)}).
		Refused(t, http.StatusConflict, "credential-missing")
	c.Admin().Patch(t, "/practitioners/"+practitioner.String(), harness.Body{"status": "INACTIVE"}).OK(t)
	refused = c.Admin().Post(t, "/appointments",
		c.Booking(path, practitioner, at.Add(24*time.Hour), time.Hour, harness.Body{"serviceCodeId": advice})).
		Refused(t, http.StatusConflict, "practitioner-inactive")
	require.Equal(t, []string{"practitioner-inactive", "credential-missing"}, refused.Reasons(t))
	c.Admin().Patch(t, booked, harness.Body{"endTime": at.Add(2 * time.Hour)}).
		Refused(t, http.StatusConflict, "practitioner-inactive")
	c.RequireClean(t)
}

func TestAppointmentOnAnAuthorizationThatIsNotActive(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	path := c.Authorize(t, 40)
	practitioner := c.AddPractitioner(t)
	at := c.At(t, 1, "15:00")
	booked := c.Book(t, c.Booking(path, practitioner, at, time.Hour))
	c.Admin().Patch(t, path, harness.Body{"status": "CANCELLED", "strandedBookings": "KEEP"}).OK(t)
	c.Admin().Post(t, "/appointments", c.Booking(path, practitioner, at.Add(time.Hour), time.Hour)).
		Refused(t, http.StatusConflict, "authorization-not-active")
	c.Admin().Patch(t, booked, harness.Body{"endTime": at.Add(2 * time.Hour)}).
		Refused(t, http.StatusConflict, "authorization-not-active")
	c.Admin().Patch(t, booked, harness.Body{"endTime": at.Add(30 * time.Minute)}).OK(t)
	c.Admin().Post(t, booked+"/cancel", harness.Body{}).OK(t)
	c.RequireBalance(t, path, 40, 0, 0)
	c.RequireClean(t)
}

func TestAppointmentRefusesInvalidRequests(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	path := c.Authorize(t, 40)
	practitioner := c.AddPractitioner(t)
	at := c.At(t, 1, "15:00")
	foreign := c.As(c.Other.Tokens[rbac.Admin])
	stranger := foreign.Post(t, "/practitioners", harness.Body{"firstName": "A", "lastName": "B"}).Created(t)
	for _, test := range []struct {
		field  string
		change harness.Body
	}{
		{"patientId", harness.Body{"patientId": c.Other.Patient}},
		{"serviceCodeId", harness.Body{"serviceCodeId": c.Other.ServiceCode}},
		{"practitionerId", harness.Body{"practitionerId": stranger}},
		{"authorizationId", harness.Body{"authorizationId": uuid.NewString()}},
		{
			"authorizationId",
			harness.Body{
				"authorizationId": strings.TrimPrefix(c.Authorize(t, 4, harness.Body{"serviceCodeId": addService(t, c, "97151")}),
					"/authorizations/"),
			},
		},
		{"endTime", harness.Body{"endTime": at}},
		{"endTime", harness.Body{"endTime": at.Add(25 * time.Hour)}},
		{"startTime", harness.Body{"startTime": at.Add(time.Second)}},
		{"patientId", harness.Body{"patientId": nil, "authorizationId": nil}},
		{"practitionerId", harness.Body{"practitionerId": nil}},
		{"authorizationId", harness.Body{"authorizationId": nil}},
		{
			"patients",
			harness.Body{
				"patients": []any{
					harness.Body{"patientId": c.Own.Patient, "authorizationId": strings.TrimPrefix(path, "/authorizations/")},
				},
			},
		},
		{"practitionerIds", harness.Body{"practitionerIds": []uuid.UUID{practitioner}}},
	} {
		t.Run(fmt.Sprint(test.change), func(t *testing.T) {
			a := c.Admin().Post(t, "/appointments", c.Booking(path, practitioner, at, time.Hour, test.change)).
				Refused(t, http.StatusUnprocessableEntity, "validation-failed")
			require.Equal(t, test.field, a.Body["errors"].([]any)[0].(map[string]any)["field"], "%s", a.Raw)
		})
	}
	booked := c.Book(t, c.Booking(path, practitioner, at, time.Hour))
	c.Admin().Post(t, booked+"/complete", harness.Body{}).Refused(t, http.StatusUnprocessableEntity, "validation-failed")
	c.Admin().WithHeader("If-Match", `"7"`).Patch(t, booked, harness.Body{"endTime": at.Add(2 * time.Hour)}).
		Refused(t, http.StatusPreconditionFailed, "stale-version")
	for _, verb := range []string{"start", "complete", "cancel", "no-show"} {
		c.Admin().Post(t, "/appointments/"+uuid.NewString()+"/"+verb, harness.Body{}).
			Refused(t, http.StatusNotFound, "appointment-not-found")
		foreign.Post(t, booked+"/"+verb, harness.Body{}).Refused(t, http.StatusNotFound, "appointment-not-found")
	}
	foreign.Get(t, booked).Refused(t, http.StatusNotFound, "appointment-not-found")
	foreign.Patch(t, booked, harness.Body{"notes": "x"}).Refused(t, http.StatusNotFound, "appointment-not-found")
	require.Empty(t, foreign.Get(t, "/appointments").Body["data"])
	c.RequireBalance(t, path, 40, 0, 4)
	c.RequireClean(t)
}

func TestBookingOnADamagedLedgerIsRefused(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	path := c.Authorize(t, 40)
	practitioner := c.AddPractitioner(t)
	at := c.At(t, 1, "15:00")
	booked := c.Book(t, c.Booking(path, practitioner, at, time.Hour))
	c.Admin().Post(t, path+"/reserve", harness.Body{"units": 3, "expiresInSeconds": 60})
	c.ExecAsOwner(t, "UPDATE authorizations SET scheduled_units = 0 WHERE id = $1",
		strings.TrimPrefix(path, "/authorizations/"))
	c.Clock.SetAhead(time.Minute)
	c.Admin().Post(t, "/appointments", c.Booking(path, practitioner, at.Add(time.Hour), time.Hour)).
		Refused(t, http.StatusConflict, "books-damaged")
	c.Admin().Patch(t, booked, harness.Body{"endTime": at.Add(2 * time.Hour)}).
		Refused(t, http.StatusConflict, "books-damaged")
}

func TestAppointmentNoShow(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	path := c.Authorize(t, 40)
	practitioner := c.AddPractitioner(t)
	at := c.At(t, -1, "15:00")
	missed := c.Book(t, c.Booking(path, practitioner, at, time.Hour))
	require.Equal(t, "NO_SHOW", c.Admin().Post(t, missed+"/no-show", harness.Body{"reason": "no call"}).OK(t).
		Text("status"))
	c.RequireBalance(t, path, 40, 0, 0)
	c.Admin().Patch(t, "/organizations/"+c.Own.ID.String(), harness.Body{"noShowConsumes": true}).OK(t)
	missed = c.Book(t, c.Booking(path, practitioner, at, time.Hour))
	c.Admin().Post(t, missed+"/no-show", harness.Body{}).OK(t)
	c.RequireBalance(t, path, 40, 4, 0)
	c.RequireClean(t)
}

// TestAppointmentNoShowBeforeTheStart uses a frozen clock.
func TestAppointmentNoShowBeforeTheStart(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	c := &harness.Clinic{Database: database, Clock: harness.FrozenClock(time.Now().UTC().Truncate(time.Minute))}
	c.Start(t, database.Open(t))
	c.Own = c.AddPractice(t, "own")
	path := c.Authorize(t, 40)
	start := c.Clock.Now().Add(time.Minute)
	booked := c.Book(t, c.Booking(path, c.AddPractitioner(t), start, time.Hour))
	for _, ahead := range []time.Duration{0, time.Minute - time.Microsecond} {
		c.Clock.SetAhead(ahead)
		early := c.Admin().Post(t, booked+"/no-show", harness.Body{}).Refused(t, http.StatusConflict, "appointment-not-begun")
		require.Equal(t, start.Format(time.RFC3339), early.Text("startTime"))
	}
	require.Equal(t, "SCHEDULED", c.Admin().Get(t, booked).OK(t).Text("status"))
	c.RequireBalance(t, path, 40, 0, 4)
	c.Clock.SetAhead(time.Minute)
	require.Equal(t, "NO_SHOW", c.Admin().Post(t, booked+"/no-show", harness.Body{}).OK(t).Text("status"))
	c.RequireBalance(t, path, 40, 0, 0)
	c.RequireClean(t)
}

func TestAddendaOfASession(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	path := c.Authorize(t, 40)
	practitioner := c.AddPractitioner(t)
	booked := c.Book(t, c.Booking(path, practitioner, c.At(t, -1, "15:00"), time.Hour))
	session := "/sessions/" +
		c.Admin().Post(t, booked+"/complete", harness.Body{}).OK(t).Body["session"].(map[string]any)["id"].(string)
	c.Admin().Put(t, session+"/note", harness.Body{"narrative": "They worked."}).OK(t)
	added := c.Admin().Post(t, session+"/addenda", harness.Body{"text": "The parent was there."})
	require.Equal(t, http.StatusCreated, added.Status, "%s", added.Raw)
	addendum := added.Body["addenda"].([]any)[0].(map[string]any)
	require.Equal(t, "The parent was there.", addendum["text"])
	require.Len(t, addendum["hash"], 64)
	read := c.Admin().Get(t, session).OK(t)
	require.Equal(t, added.Body["addenda"], read.Body["addenda"])
	require.Equal(t, "They worked.", read.Text("narrative"))
	require.Error(t, c.TryAsProgram(t, "UPDATE session_addenda SET text = 'x'"), "a signed session cannot be changed")
	for _, b := range []func(string) harness.Answer{
		func(path string) harness.Answer { return c.Admin().Get(t, path) },
		func(path string) harness.Answer {
			return c.Admin().Put(t, path+"/note", harness.Body{"narrative": "x"})
		},
		func(path string) harness.Answer { return c.Admin().Post(t, path+"/addenda", harness.Body{"text": "x"}) },
	} {
		b("/sessions/"+uuid.NewString()).Refused(t, http.StatusNotFound, "session-not-found")
	}
	c.RequireClean(t)
}

func TestAppointmentLists(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	path := c.Authorize(t, 100)
	practitioner, other := c.AddPractitioner(t), c.AddPractitioner(t)
	var all []string
	for day := range 5 {
		all = append(all,
			c.Book(t, c.Booking(path, []uuid.UUID{practitioner, other}[day%2], c.At(t, day-2, "23:00"), 30*time.Minute)))
	}
	c.Admin().Post(t, all[0]+"/complete", harness.Body{}).OK(t)
	c.Admin().Post(t, all[4]+"/cancel", harness.Body{}).OK(t)
	ids := func(query string) []string {
		t.Helper()
		var found []string
		for cursor := ""; ; {
			page := c.Admin().Get(t, "/appointments?limit=2&"+query+cursor).OK(t)
			for _, item := range page.Body["data"].([]any) {
				found = append(found, "/appointments/"+item.(map[string]any)["id"].(string))
			}
			if page.Body["nextCursor"] == nil {
				return found
			}
			cursor = "&cursor=" + page.Text("nextCursor")
		}
	}
	today := c.At(t, 0, "00:00").Format(time.DateOnly)
	require.Equal(t, all, ids(""))
	require.Equal(t, []string{all[4], all[3], all[2], all[1], all[0]}, ids("sort=-startTime&"))
	require.Equal(t, []string{all[0], all[2], all[4]}, ids("practitionerId="+practitioner.String()))
	require.Equal(t, all, ids("patientId="+c.Own.Patient.String()))
	require.Equal(t, []string{all[0]}, ids("status=COMPLETED"))
	require.Equal(t, []string{all[1], all[2], all[3]}, ids("status=SCHEDULED"))
	require.Equal(t, all[2:], ids("from="+today), "days are days in the clinic's time zone")
	require.Equal(t, all[:3], ids("to="+today))
	require.Equal(t, []string{all[2]}, ids("from="+today+"&to="+today+"&practitionerId="+practitioner.String()))
	c.Admin().Get(t, "/appointments?day=1").Refused(t, http.StatusBadRequest, "malformed-request")
}

// TestAppointmentVerifyFindsManualChanges makes appointments and their
// reservations inconsistent.
func TestAppointmentVerifyFindsManualChanges(t *testing.T) {
	t.Parallel()
	for it, tamper := range map[string]string{
		"an appointment that was closed directly in the database": `UPDATE appointments SET status = 'CANCELLED'
			WHERE id = $1`,
		"an appointment with too many units": `UPDATE appointment_patients SET units = units + 1
			WHERE appointment_id = $1`,
		"an appointment without units": `UPDATE appointment_patients SET units = 0
			WHERE appointment_id = $1`,
		"an appointment without its reservation": `UPDATE appointment_patients SET reservation_id = NULL
			WHERE appointment_id = $1`,
		"an appointment on another day": `UPDATE appointments SET service_date = service_date + 1
			WHERE id = $1`,
		"a reservation of another appointment": `UPDATE unit_reservations
			SET appointment_id = gen_random_uuid() WHERE appointment_id = $1`,
	} {
		t.Run("it finds "+it, func(t *testing.T) {
			t.Parallel()
			c := harness.Open(t)
			path := c.Authorize(t, 40)
			booked := c.Book(t, c.Booking(path, c.AddPractitioner(t), c.At(t, 1, "15:00"), time.Hour))
			c.RequireClean(t)
			c.ExecAsOwner(t, tamper, strings.TrimPrefix(booked, "/appointments/"))
			a := c.Admin().Verify(t)
			require.Equal(t, false, a.Body["ok"])
			for _, item := range a.Body["problems"].([]any) {
				problem := item.(map[string]any)
				require.Equal(t, "appointment", problem["check"])
				require.Equal(t, strings.TrimPrefix(path, "/authorizations/"), problem["authorizationId"])
				require.Contains(t, fmt.Sprint(problem["expected"], problem["found"]), "units")
			}
		})
	}
}

// TestAuthorizationWithAppointmentWithoutUnitsIsNotDeleted has an appointment that is too
// short for a unit, without a reservation and an entry.
func TestAuthorizationWithAppointmentWithoutUnitsIsNotDeleted(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	path := c.Authorize(t, 10, harness.Body{"insuranceId": c.AddInsurance(t, "rounding", "FLOOR")})
	booked := c.Book(t, c.Booking(path, c.AddPractitioner(t), c.At(t, -1, "15:00"), 10*time.Minute))
	c.Admin().Delete(t, path).Refused(t, http.StatusConflict, "authorization-has-history")
	c.Admin().Post(t, booked+"/complete", harness.Body{}).OK(t)
	c.Admin().Delete(t, path).Refused(t, http.StatusConflict, "authorization-has-history")
	c.RequireBalance(t, path, 10, 0, 0)
}

// TestAppointmentVerifyFindsManuallyChangedSession changes a session, whose units
// must equal the used ones.
func TestAppointmentVerifyFindsManuallyChangedSession(t *testing.T) {
	t.Parallel()
	for it, tamper := range map[string]string{
		"more units":                     `UPDATE session_patients SET units = units + 1 WHERE session_id = $1`,
		"units without an authorization": `UPDATE session_patients SET unauthorized_units = 6 WHERE session_id = $1`,
		"a missing patient":              `DELETE FROM session_patients WHERE session_id = $1`,
		"another authorization's": `UPDATE session_patients SET authorization_id = gen_random_uuid()
			WHERE session_id = $1`,
		"a session without an appointment": `UPDATE appointments SET session_id = gen_random_uuid() WHERE session_id = $1`,
		"a session without used units": `UPDATE appointment_patients SET reservation_id = NULL
			WHERE appointment_id = (SELECT appointment_id FROM sessions WHERE id = $1)`,
	} {
		t.Run("it finds "+it, func(t *testing.T) {
			t.Parallel()
			c := harness.Open(t)
			path := c.Authorize(t, 5)
			practitioner := c.AddPractitioner(t)
			short := c.Book(t, c.Booking(path, practitioner, c.At(t, -1, "11:00"), 5*time.Minute))
			c.Admin().Post(t, short+"/complete", harness.Body{}).OK(t)
			booked := c.Book(t, c.Booking(path, practitioner, c.At(t, -1, "15:00"), time.Hour))
			done := c.Admin().Post(t, booked+"/complete", harness.Body{"endTime": c.At(t, -1, "16:30")}).OK(t)
			require.Equal(t, 2, done.Number(t, "session", "unauthorizedUnits"))
			c.RequireClean(t)
			c.ExecAsOwner(t, tamper, done.Body["session"].(map[string]any)["id"])
			a := c.Admin().Verify(t)
			require.Equal(t, false, a.Body["ok"])
			problems := a.Body["problems"].([]any)
			for _, each := range problems[1:] { // then the claim lines of the session do not agree either
				require.Equal(t, "reconciliation", each.(map[string]any)["check"], "%s", a.Raw)
			}
			problem := problems[0].(map[string]any)
			require.Equal(t, "session", problem["check"])
			require.Equal(t, strings.TrimPrefix(path, "/authorizations/"), problem["authorizationId"])
			require.Contains(t, problem["expected"], harness.IDOf(booked))
		})
	}
}

// TestAppointmentIsPublishedAndRecorded checks the published events and the audit trail.
func TestAppointmentIsPublishedAndRecorded(t *testing.T) {
	t.Parallel()
	c := harness.OpenInTheAfternoon(t)
	path := c.Authorize(t, 40)
	practitioner := c.AddPractitioner(t)
	at := c.Ago(3 * time.Hour)
	booked := c.Book(t, c.Booking(path, practitioner, at, time.Hour, harness.Body{"notes": "secret words"}))
	c.Admin().Patch(t, booked, harness.Body{"endTime": at.Add(90 * time.Minute)}).OK(t)
	c.Admin().Post(t, booked+"/start", harness.Body{"startTime": at}).OK(t)
	c.Admin().Post(t, booked+"/complete",
		harness.Body{"startTime": at, "endTime": at.Add(time.Hour), "narrative": "secret words"}).OK(t)
	opened, err := sql.Open("pgx", c.Database.OwnerURL)
	require.NoError(t, err)
	defer opened.Close()
	read := func(query string) []string {
		rows, err := opened.QueryContext(t.Context(), query)
		require.NoError(t, err)
		defer func() { _ = rows.Close() }() // rows.Err returns the error
		var all []string
		for rows.Next() {
			var text string
			require.NoError(t, rows.Scan(&text))
			all = append(all, text)
		}
		require.NoError(t, rows.Err())
		return all
	}
	require.Equal(t,
		[]string{"appointment.booked", "appointment.rescheduled", "appointment.started", "appointment.completed"},
		read(`SELECT type FROM outbox WHERE type LIKE 'appointment.%' ORDER BY sequence`))
	require.Equal(t, []string{"appointment.book", "appointment.reschedule", "appointment.start", "appointment.complete"},
		read(`SELECT action FROM audit_events WHERE subject_type = 'appointment' ORDER BY sequence`))
	require.Equal(t, []string{c.Own.Patient.String()},
		read(`SELECT DISTINCT patient_id::text FROM audit_events WHERE subject_type = 'appointment'`))
	for _, text := range append(read(`SELECT payload::text FROM outbox`),
		read(`SELECT concat(before::text, after::text) FROM audit_events`)...) {
		require.NotContains(t, text, "secret words")
	}
	for _, text := range read(`SELECT payload::text FROM outbox`) {
		require.NotContains(t, text, c.Own.Patient.String(), "published events do not name the patient")
	}
	require.Empty(t, read(`SELECT id::text FROM commands WHERE answer::text LIKE '%secret words%'`))
}
