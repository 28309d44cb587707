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

	"omnirapeutic/modules/rbac"
	"omnirapeutic/platform/db/dbtest"
)

// service creates another service and returns its id.
func (c *clinic) service(t testing.TB, code string, credentials ...string) uuid.UUID {
	t.Helper()
	if credentials == nil {
		credentials = []string{}
	}
	return c.admin().post(t, "/service-codes",
		body{"code": code, "description": code, "requiredCredentials": credentials}).created(t)
}

// insuredBy returns an insurance of the clinic's patient by a payer with the rounding
// rule.
func (c *clinic) insuredBy(t testing.TB, rounding string) uuid.UUID {
	t.Helper()
	payer := c.admin().post(t, "/payers", body{"name": "Plan " + rounding, "rounding": rounding}).created(t)
	return c.admin().post(t, "/insurances", body{
		"patientId": c.own.patient, "payerId": payer, "memberNumber": "M-1", "startsOn": "2020-01-01",
	}).created(t)
}

func TestAppointmentsUseUpAFullyBookedAuthorization(t *testing.T) { // 5
	t.Parallel()
	c := open(t)
	path := c.authorize(t, 12)
	who := c.employ(t)
	var all []string
	for i := range 3 {
		all = append(all, c.book(t, c.booking(path, who, c.hour(t, -1, "08:00").Add(time.Duration(i)*hour), hour)))
	}
	require.Equal(t, "EXHAUSTED", c.admin().get(t, path).text("status"))
	for i, booked := range all {
		c.admin().post(t, booked+"/complete", body{}).ok(t)
		c.requireBalance(t, path, 12, 4*(i+1), 4*(2-i))
	}
	c.requireClean(t)
}

func TestAppointmentRescheduleUpAndDownThenCancel(t *testing.T) { // 6
	t.Parallel()
	c := open(t)
	path := c.authorize(t, 12, body{"caps": caps("DAY", 10)})
	who := c.employ(t)
	at := c.hour(t, 1, "09:00")
	booked := c.book(t, c.booking(path, who, at, hour))
	for _, step := range []struct {
		change body
		units  int
	}{
		{body{"endTime": at.Add(2 * hour)}, 8},
		{body{"endTime": at.Add(30 * time.Minute)}, 2},
		{body{"startTime": at.Add(24 * hour), "endTime": at.Add(25 * hour)}, 4},
	} {
		require.Equal(t, step.units, c.admin().patch(t, booked, step.change).ok(t).number(t, "units"))
		c.requireBalance(t, path, 12, 0, step.units)
		c.requireClean(t)
	}
	c.admin().patch(t, booked, body{"endTime": at.Add(24*hour + 150*time.Minute + 15*time.Minute)}).
		refused(t, http.StatusConflict, "cap-exceeded")
	c.admin().patch(t, booked, body{"endTime": at.Add(24*hour + 4*hour)}).
		refused(t, http.StatusConflict, "insufficient-units")
	c.requireBalance(t, path, 12, 0, 4)
	c.admin().patch(t, booked, body{"startTime": at.AddDate(2, 0, 0), "endTime": at.AddDate(2, 0, 0).Add(hour)}).
		refused(t, http.StatusConflict, "outside-authorization-dates")
	refused := c.admin().post(t, "/appointments", c.booking(path, who, at.Add(30*hour), 105*time.Minute)).
		refused(t, http.StatusConflict, "cap-exceeded")
	require.Equal(t, 1, refused.number(t, "missing"))
	require.Len(t, c.admin().get(t, path+"/reservations").body["data"], 1, "one reservation for life")

	reservation := c.admin().get(t, booked).body["patients"].([]any)[0].(map[string]any)["reservationId"]
	c.admin().post(t, path+"/release", body{"reservationId": reservation}).refused(t, http.StatusConflict,
		"reservation-belongs-to-appointment")
	c.admin().post(t, path+"/consume", body{"reservationId": reservation}).refused(t, http.StatusConflict,
		"reservation-belongs-to-appointment")
	c.admin().post(t, booked+"/cancel", body{}).ok(t)
	c.requireBalance(t, path, 12, 0, 0)
	c.requireClean(t)
}

func TestAppointmentMovesToAnotherAuthorization(t *testing.T) {
	t.Parallel()
	c := open(t)
	from, to := c.authorize(t, 12), c.authorize(t, 4)
	id := func(path string) string { return strings.TrimPrefix(path, "/authorizations/") }
	who := c.employ(t)
	at := c.hour(t, 1, "09:00")
	booked := c.book(t, c.booking(from, who, at, hour))
	c.admin().patch(t, booked, body{"authorizationId": id(to), "endTime": at.Add(75 * time.Minute)}).
		refused(t, http.StatusConflict, "insufficient-units")
	c.requireBalance(t, from, 12, 0, 4)
	require.Equal(t, id(to), c.admin().patch(t, booked, body{"authorizationId": id(to)}).ok(t).text("authorizationId"))
	c.requireBalance(t, from, 12, 0, 0)
	c.requireBalance(t, to, 4, 0, 4)
	c.admin().patch(t, booked, body{"authorizationId": id(from)}).ok(t)
	c.admin().post(t, booked+"/cancel", body{}).ok(t)
	c.requireBalance(t, from, 12, 0, 0)
	c.requireBalance(t, to, 4, 0, 0)
	c.requireClean(t)
}

func TestAppointmentFirstAndLastDay(t *testing.T) { // 7
	t.Parallel()
	c := open(t)
	zone := newYork(t)
	path := c.authorize(t, 40, body{"startDate": "2026-03-01", "endDate": "2026-03-31"})
	who := c.employ(t)
	at := func(month time.Month, day, hour, minute int) time.Time {
		return time.Date(2026, month, day, hour, minute, 0, 0, zone)
	}
	late := c.book(t, c.booking(path, who, at(time.March, 31, 23, 45), 15*time.Minute))
	require.Equal(t, "2026-03-31", c.admin().get(t, late).text("serviceDate"), "although it is the first of April in UTC")
	c.book(t, c.booking(path, who, at(time.March, 1, 0, 0), 15*time.Minute))
	for _, outside := range []time.Time{at(time.April, 1, 0, 0), at(time.February, 28, 23, 45)} {
		refused := c.admin().post(t, "/appointments", c.booking(path, who, outside, 15*time.Minute)).
			refused(t, http.StatusConflict, "outside-authorization-dates")
		require.Equal(t, "2026-03-31", refused.text("endDate"))
	}
	c.requireClean(t)
}

func TestAppointmentIsDocumentedAfterTheAuthorizationEnded(t *testing.T) {
	t.Parallel()
	c := open(t)
	path := c.authorize(t, 10, body{
		"startDate": c.hour(t, -60, "00:00").Format(time.DateOnly), "endDate": c.hour(t, -30, "00:00").Format(time.DateOnly),
	})
	who := c.employ(t)
	booked := c.book(t, c.booking(path, who, c.hour(t, -30, "22:00"), hour))
	require.Equal(t, "EXPIRED", c.admin().get(t, path).text("status"))
	done := c.admin().post(t, booked+"/complete", body{"endTime": c.hour(t, -30, "23:30")}).ok(t)
	require.Equal(t, 0, done.number(t, "session", "unauthorizedUnits"))
	c.requireBalance(t, path, 10, 6, 0)

	t.Run("work on a day outside the dates is not authorized", func(t *testing.T) {
		booked := c.book(t, c.booking(path, who, c.hour(t, -31, "09:00"), hour))
		done := c.admin().post(t, booked+"/complete",
			body{"startTime": c.hour(t, -29, "09:00"), "endTime": c.hour(t, -29, "10:00"), "confirm": true}).ok(t)
		require.Equal(t, 4, done.number(t, "session", "unauthorizedUnits"))
		c.requireBalance(t, path, 10, 6, 0)
	})
	c.requireClean(t)
}

func TestAppointmentLongerThanTheAvailableUnits(t *testing.T) {
	t.Parallel()
	c := open(t)
	path := c.authorize(t, 6)
	who := c.employ(t)
	booked := c.book(t, c.booking(path, who, c.hour(t, -1, "09:00"), hour))
	done := c.admin().post(t, booked+"/complete", body{"endTime": c.hour(t, -1, "11:00")}).ok(t)
	require.Equal(t, 8, done.number(t, "session", "units"))
	require.Equal(t, 2, done.number(t, "session", "unauthorizedUnits"))
	c.requireBalance(t, path, 6, 6, 0)
	exceptions := c.admin().get(t, "/sessions?unauthorized=true").body["data"].([]any)
	require.Len(t, exceptions, 1)
	require.EqualValues(t, 2, exceptions[0].(map[string]any)["unauthorizedUnits"])
	c.requireClean(t)
}

func TestAppointmentClockChanges(t *testing.T) {
	t.Parallel()
	c := open(t)
	zone := newYork(t)
	path := c.authorize(t, 40, body{"startDate": "2026-01-01", "endDate": "2026-12-31"})
	who := c.employ(t)
	for _, test := range []struct {
		from, to time.Time
		units    int
	}{
		// Two hours have passed.
		{time.Date(2026, time.March, 8, 1, 0, 0, 0, zone), time.Date(2026, time.March, 8, 4, 0, 0, 0, zone), 8},
		// Four.
		{time.Date(2026, time.November, 1, 0, 0, 0, 0, zone), time.Date(2026, time.November, 1, 3, 0, 0, 0, zone), 16},
	} {
		a := c.admin().post(t, "/appointments", c.booking(path, who, test.from, test.to.Sub(test.from)))
		a.created(t)
		require.Equal(t, test.units, a.number(t, "units"))
	}
	c.requireBalance(t, path, 40, 0, 24)
	c.requireClean(t)
}

func TestAppointmentUnitsByThePayersRule(t *testing.T) { // 11
	t.Parallel()
	c := open(t)
	who := c.employ(t)
	at := c.hour(t, 2, "00:00")
	for rounding, units := range map[string][]int{ // of 7, 8, 22, 23 and 38 minutes
		"CEIL": {1, 1, 2, 2, 3}, "FLOOR": {0, 0, 1, 1, 2}, "MIDPOINT": {0, 1, 1, 2, 3},
	} {
		path := c.authorize(t, 100, body{"insuranceId": c.insuredBy(t, rounding)})
		sum := 0
		for i, minutes := range []int{7, 8, 22, 23, 38} {
			a := c.admin().post(t, "/appointments", c.booking(path, who, at, time.Duration(minutes)*time.Minute))
			a.created(t)
			require.Equal(t, units[i], a.number(t, "units"), "%d minutes by %s", minutes, rounding)
			require.Equal(t, rounding, a.body["patients"].([]any)[0].(map[string]any)["rounding"].(map[string]any)["method"])
			sum += units[i]
			at = at.Add(hour)
		}
		c.requireBalance(t, path, 100, 0, sum)
	}
	t.Run("of the whole visit", func(t *testing.T) {
		insurance := c.insuredBy(t, "CMS_TOTAL")
		advice := c.service(t, "97155")
		one := c.authorize(t, 100, body{"insuranceId": insurance})
		other := c.authorize(t, 100, body{"insuranceId": insurance, "serviceCodeId": advice})
		at := c.hour(t, 3, "09:00")
		require.Equal(t, 0, c.admin().post(t, "/appointments", c.booking(one, who, at, 7*time.Minute)).number(t, "units"))
		require.Equal(t, 1, c.admin().post(t, "/appointments",
			c.booking(other, who, at.Add(hour), 7*time.Minute, body{"serviceCodeId": advice})).number(t, "units"))
		again := c.book(t, c.booking(one, who, at.Add(2*hour), 7*time.Minute))
		require.Equal(t, 0, c.admin().get(t, again).number(t, "units"))
		require.Equal(t, 1,
			c.admin().patch(t, again, body{"endTime": at.Add(2*hour + 9*time.Minute)}).ok(t).number(t, "units"))
	})
	c.requireClean(t)
}

// TestAppointmentUnitsOfEveryMinute previews every length from a minute to eight hours
// by every rule. It counts the units minute by minute, without division.
func TestAppointmentUnitsOfEveryMinute(t *testing.T) {
	t.Parallel()
	skipUnlessLong(t)
	c := open(t)
	who := c.employ(t)
	start := c.hour(t, 1, "09:00")
	// The minutes of the first unit, by rule.
	for method, first := range map[string]int{"CEIL": 1, "FLOOR": 15, "MIDPOINT": 8, "CMS_TOTAL": 8} {
		path := c.authorize(t, 100, body{"insuranceId": c.insuredBy(t, method)})
		units, next := 0, first
		for minutes := 1; minutes <= 480; minutes++ {
			if minutes == next {
				units++
				next += 15
			}
			reported := c.admin().post(t, "/appointments/preview",
				c.booking(path, who, start, time.Duration(minutes)*time.Minute)).ok(t)
			require.Equal(t, true, reported.body["bookable"], "%s", reported.raw)
			require.Equal(t, units, reported.occurrences(t)[0].number(t, "units"), "%d minutes by %s", minutes, method)
		}
	}
}

func TestAppointmentWithoutUnitsIsCompletedWithSome(t *testing.T) {
	t.Parallel()
	c := open(t)
	path := c.authorize(t, 10, body{"insuranceId": c.insuredBy(t, "FLOOR")})
	who := c.employ(t)
	booked := c.book(t, c.booking(path, who, c.hour(t, -1, "09:00"), 10*time.Minute))
	c.requireBalance(t, path, 10, 0, 0)
	c.requireClean(t)
	done := c.admin().post(t, booked+"/complete", body{"endTime": c.hour(t, -1, "09:45"), "confirm": true}).ok(t)
	require.Equal(t, 3, done.number(t, "session", "units"))
	c.requireBalance(t, path, 10, 3, 0)
	c.requireClean(t)
}

func TestAppointmentGroupsAndSeveralStaff(t *testing.T) {
	t.Parallel()
	c := open(t)
	group := c.service(t, "97154")
	var patients, authorizations []string
	members := []any{}
	for range 4 {
		patient := c.admin().post(t, "/patients", body{"firstName": "A", "lastName": "B", "dateOfBirth": "2019-01-01"}).
			created(t)
		path := c.authorize(t, 8, body{"patientId": patient, "serviceCodeId": group})
		patients, authorizations = append(patients, patient.String()), append(authorizations, path)
		members = append(members, body{"patientId": patient, "authorizationId": strings.TrimPrefix(path, "/authorizations/")})
	}
	one, other := c.employ(t), c.employ(t)
	at := c.hour(t, -1, "15:00")
	b := c.booking(authorizations[0], one, at, hour,
		body{"serviceCodeId": group, "patients": members, "patientId": nil, "authorizationId": nil})
	booked := c.book(t, b)
	for _, path := range authorizations {
		c.requireBalance(t, path, 8, 0, 4)
	}
	require.Len(t, c.admin().get(t, "/appointments?patientId="+patients[3]).body["data"], 1)
	require.Len(t, c.admin().get(t, "/appointments").body["data"], 1, "it is one appointment")

	t.Run("one without units refuses all", func(t *testing.T) {
		short := c.booking(authorizations[0], other, at.Add(2*hour), 75*time.Minute,
			body{"serviceCodeId": group, "patients": members, "patientId": nil, "authorizationId": nil})
		c.admin().post(t, "/appointments", short).refused(t, http.StatusConflict, "insufficient-units")
		for _, path := range authorizations {
			c.requireBalance(t, path, 8, 0, 4)
		}
	})
	t.Run("both technicians are unavailable", func(t *testing.T) {
		path := c.authorize(t, 20)
		two := c.booking(path, one, at.Add(3*hour), hour,
			body{"practitionerIds": []uuid.UUID{one, other}, "practitionerId": nil})
		pair := c.book(t, two)
		for _, who := range []uuid.UUID{one, other} {
			clash := c.booking(authorizations[0], who, at.Add(3*hour), hour,
				body{"serviceCodeId": group, "patientId": patients[0]})
			refused := c.admin().post(t, "/appointments", clash).refused(t, http.StatusConflict, "practitioner-overlap")
			require.Equal(t, pair, "/appointments/"+refused.text("appointmentId"))
		}
		c.admin().patch(t, pair, body{"practitionerId": one}).ok(t)
		require.Empty(t, c.admin().get(t, "/appointments?practitionerId="+other.String()).body["data"])
		c.book(t,
			c.booking(authorizations[0], other, at.Add(3*hour), hour, body{"serviceCodeId": group, "patientId": patients[0]}))
	})
	done := c.admin().post(t, booked+"/complete", body{"endTime": at.Add(30 * time.Minute)}).ok(t)
	require.Len(t, done.body["session"].(map[string]any)["patients"], 4)
	c.requireBalance(t, authorizations[3], 8, 2, 0)
	c.requireClean(t)
}

func TestAppointmentServicesThatMayRunTogether(t *testing.T) {
	t.Parallel()
	c := open(t)
	advice, family := c.service(t, "97155"), c.service(t, "97156")
	direct := c.authorize(t, 40)
	supervised := c.authorize(t, 40, body{"serviceCodeId": advice})
	guided := c.authorize(t, 40, body{"serviceCodeId": family})
	at := c.hour(t, 1, "15:00")
	first := c.book(t, c.booking(direct, c.employ(t), at, 2*hour))
	c.book(t, c.booking(supervised, c.employ(t), at.Add(30*time.Minute), 30*time.Minute, body{"serviceCodeId": advice}))
	refused := c.admin().post(t, "/appointments", c.booking(guided, c.employ(t), at, hour, body{"serviceCodeId": family})).
		refused(t, http.StatusConflict, "patient-overlap")
	require.Equal(t, first, "/appointments/"+refused.text("appointmentId"))
	after := c.book(t, c.booking(guided, c.employ(t), at.Add(2*hour), hour, body{"serviceCodeId": family})) // back to back
	c.admin().patch(t, after, body{"startTime": at.Add(119 * time.Minute)}).
		refused(t, http.StatusConflict, "patient-overlap")
	c.requireClean(t)
}

func TestAppointmentNeedsACredential(t *testing.T) {
	t.Parallel()
	c := open(t)
	advice := c.service(t, "97155", "BCBA")
	path := c.authorize(t, 40, body{"serviceCodeId": advice})
	at := c.hour(t, 1, "15:00")
	ends := at.Format(time.DateOnly)
	who := c.employ(t, body{"code": "BCBA", "expiresOn": ends})
	refused := c.admin().post(t, "/appointments",
		c.booking(path, c.employ(t, "RBT"), at, hour, body{"serviceCodeId": advice})).
		refused(t, http.StatusConflict, "credential-missing")
	require.Equal(t, []any{"BCBA"}, refused.body["required"])
	booked := c.book(t, c.booking(path, who, at, hour, body{"serviceCodeId": advice}))
	c.admin().patch(t, booked, body{"startTime": at.Add(24 * hour), "endTime": at.Add(25 * hour)}).
		refused(t, http.StatusConflict, "credential-missing")
	c.admin().patch(t, "/practitioners/"+who.String(), body{"status": "INACTIVE"}).ok(t)
	refused = c.admin().post(t, "/appointments",
		c.booking(path, who, at.Add(24*hour), hour, body{"serviceCodeId": advice})).
		refused(t, http.StatusConflict, "practitioner-inactive")
	require.Equal(t, []string{"practitioner-inactive", "credential-missing"}, refused.reasons(t))
	c.admin().patch(t, booked, body{"endTime": at.Add(2 * hour)}).refused(t, http.StatusConflict, "practitioner-inactive")
	c.requireClean(t)
}

func TestAppointmentOnAnAuthorizationThatIsNotActive(t *testing.T) {
	t.Parallel()
	c := open(t)
	path := c.authorize(t, 40)
	who := c.employ(t)
	at := c.hour(t, 1, "15:00")
	booked := c.book(t, c.booking(path, who, at, hour))
	c.admin().patch(t, path, body{"status": "CANCELLED", "strandedBookings": "KEEP"}).ok(t)
	c.admin().post(t, "/appointments", c.booking(path, who, at.Add(hour), hour)).
		refused(t, http.StatusConflict, "authorization-not-active")
	c.admin().patch(t, booked, body{"endTime": at.Add(2 * hour)}).
		refused(t, http.StatusConflict, "authorization-not-active")
	c.admin().patch(t, booked, body{"endTime": at.Add(30 * time.Minute)}).ok(t)
	c.admin().post(t, booked+"/cancel", body{}).ok(t)
	c.requireBalance(t, path, 40, 0, 0)
	c.requireClean(t)
}

func TestAppointmentRefusesInvalidRequests(t *testing.T) {
	t.Parallel()
	c := open(t)
	path := c.authorize(t, 40)
	who := c.employ(t)
	at := c.hour(t, 1, "15:00")
	foreign := c.as(c.other.tokens[rbac.Admin])
	stranger := foreign.post(t, "/practitioners", body{"firstName": "A", "lastName": "B"}).created(t)
	for _, test := range []struct {
		field  string
		change body
	}{
		{"patientId", body{"patientId": c.other.patient}},
		{"serviceCodeId", body{"serviceCodeId": c.other.serviceCode}},
		{"practitionerId", body{"practitionerId": stranger}},
		{"authorizationId", body{"authorizationId": uuid.NewString()}},
		{
			"authorizationId",
			body{
				"authorizationId": strings.TrimPrefix(c.authorize(t, 4, body{"serviceCodeId": c.service(t, "97151")}),
					"/authorizations/"),
			},
		},
		{"endTime", body{"endTime": at}},
		{"endTime", body{"endTime": at.Add(25 * hour)}},
		{"startTime", body{"startTime": at.Add(time.Second)}},
		{"patientId", body{"patientId": nil, "authorizationId": nil}},
		{"practitionerId", body{"practitionerId": nil}},
		{"authorizationId", body{"authorizationId": nil}},
		{
			"patients",
			body{
				"patients": []any{body{"patientId": c.own.patient, "authorizationId": strings.TrimPrefix(path, "/authorizations/")}},
			},
		},
		{"practitionerIds", body{"practitionerIds": []uuid.UUID{who}}},
	} {
		t.Run(fmt.Sprint(test.change), func(t *testing.T) {
			a := c.admin().post(t, "/appointments", c.booking(path, who, at, hour, test.change)).
				refused(t, http.StatusUnprocessableEntity, "validation-failed")
			require.Equal(t, test.field, a.body["errors"].([]any)[0].(map[string]any)["field"], "%s", a.raw)
		})
	}
	booked := c.book(t, c.booking(path, who, at, hour))
	c.admin().post(t, booked+"/complete", body{}).refused(t, http.StatusUnprocessableEntity, "validation-failed")
	c.admin().with("If-Match", `"7"`).patch(t, booked, body{"endTime": at.Add(2 * hour)}).
		refused(t, http.StatusPreconditionFailed, "stale-version")
	for _, verb := range []string{"start", "complete", "cancel", "no-show"} {
		c.admin().post(t, "/appointments/"+uuid.NewString()+"/"+verb, body{}).
			refused(t, http.StatusNotFound, "appointment-not-found")
		foreign.post(t, booked+"/"+verb, body{}).refused(t, http.StatusNotFound, "appointment-not-found")
	}
	foreign.get(t, booked).refused(t, http.StatusNotFound, "appointment-not-found")
	foreign.patch(t, booked, body{"notes": "x"}).refused(t, http.StatusNotFound, "appointment-not-found")
	require.Empty(t, foreign.get(t, "/appointments").body["data"])
	c.requireBalance(t, path, 40, 0, 4)
	c.requireClean(t)
}

func TestBookingOnADamagedLedgerIsRefused(t *testing.T) {
	t.Parallel()
	c := open(t)
	path := c.authorize(t, 40)
	who := c.employ(t)
	at := c.hour(t, 1, "15:00")
	booked := c.book(t, c.booking(path, who, at, hour))
	c.admin().post(t, path+"/reserve", body{"units": 3, "expiresInSeconds": 60})
	c.asOwner(t, "UPDATE authorizations SET scheduled_units = 0 WHERE id = $1",
		strings.TrimPrefix(path, "/authorizations/"))
	c.clock.set(time.Minute)
	c.admin().post(t, "/appointments", c.booking(path, who, at.Add(hour), hour)).
		refused(t, http.StatusConflict, "books-damaged")
	c.admin().patch(t, booked, body{"endTime": at.Add(2 * hour)}).refused(t, http.StatusConflict, "books-damaged")
}

func TestAppointmentNoShow(t *testing.T) {
	t.Parallel()
	c := open(t)
	path := c.authorize(t, 40)
	who := c.employ(t)
	at := c.hour(t, -1, "15:00")
	missed := c.book(t, c.booking(path, who, at, hour))
	require.Equal(t, "NO_SHOW", c.admin().post(t, missed+"/no-show", body{"reason": "no call"}).ok(t).text("status"))
	c.requireBalance(t, path, 40, 0, 0)
	c.admin().patch(t, "/organizations/"+c.own.id.String(), body{"noShowConsumes": true}).ok(t)
	missed = c.book(t, c.booking(path, who, at, hour))
	c.admin().post(t, missed+"/no-show", body{}).ok(t)
	c.requireBalance(t, path, 40, 4, 0)
	c.requireClean(t)
}

// TestAppointmentNoShowBeforeTheStart uses a frozen clock.
func TestAppointmentNoShowBeforeTheStart(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	c := &clinic{database: database, clock: frozen(time.Now().UTC().Truncate(time.Minute))}
	c.listen(t, database.Open(t))
	c.own = c.found(t, "own")
	path := c.authorize(t, 40)
	start := c.clock.now().Add(time.Minute)
	booked := c.book(t, c.booking(path, c.employ(t), start, hour))
	for _, ahead := range []time.Duration{0, time.Minute - time.Microsecond} {
		c.clock.set(ahead)
		early := c.admin().post(t, booked+"/no-show", body{}).refused(t, http.StatusConflict, "appointment-not-begun")
		require.Equal(t, start.Format(time.RFC3339), early.text("startTime"))
	}
	require.Equal(t, "SCHEDULED", c.admin().get(t, booked).ok(t).text("status"))
	c.requireBalance(t, path, 40, 0, 4)
	c.clock.set(time.Minute)
	require.Equal(t, "NO_SHOW", c.admin().post(t, booked+"/no-show", body{}).ok(t).text("status"))
	c.requireBalance(t, path, 40, 0, 0)
	c.requireClean(t)
}

func TestAppointmentSessionIsLocked(t *testing.T) {
	t.Parallel()
	c := open(t)
	path := c.authorize(t, 40)
	who := c.employ(t)
	booked := c.book(t, c.booking(path, who, c.hour(t, -1, "15:00"), hour))
	session := "/sessions/" +
		c.admin().post(t, booked+"/complete", body{}).ok(t).body["session"].(map[string]any)["id"].(string)
	changed := c.admin().patch(t, session, body{"narrative": "They worked."}).ok(t)
	require.Equal(t, 2, changed.number(t, "version"))
	c.clock.set(72 * hour)
	c.own.tokens[rbac.Admin] = c.signIn(t, "own", rbac.Admin)
	c.admin().patch(t, session, body{"narrative": "They worked well."}).refused(t, http.StatusConflict, "session-locked")
	added := c.admin().post(t, session+"/addenda", body{"text": "The parent was there."})
	require.Equal(t, http.StatusCreated, added.status, "%s", added.raw)
	addendum := added.body["addenda"].([]any)[0].(map[string]any)
	require.Equal(t, "The parent was there.", addendum["text"])
	require.Len(t, addendum["hash"], 64)
	read := c.admin().get(t, session).ok(t)
	require.Equal(t, added.body["addenda"], read.body["addenda"])
	require.Equal(t, "They worked.", read.text("narrative"))
	require.Error(t, c.tryAsProgram(t, "UPDATE session_addenda SET text = 'x'"), "a signed session cannot be changed")
	for _, b := range []func(string) answer{
		func(path string) answer { return c.admin().get(t, path) },
		func(path string) answer { return c.admin().patch(t, path, body{"narrative": "x"}) },
		func(path string) answer { return c.admin().post(t, path+"/addenda", body{"text": "x"}) },
	} {
		b("/sessions/"+uuid.NewString()).refused(t, http.StatusNotFound, "session-not-found")
	}
	c.requireClean(t)
}

// tryAsProgram changes the database as the program's role.
func (c *clinic) tryAsProgram(t *testing.T, statement string) error {
	t.Helper()
	opened, err := sql.Open("pgx", c.database.AppURL)
	require.NoError(t, err)
	defer opened.Close()
	_, err = opened.ExecContext(t.Context(), statement)
	return err
}

func TestAppointmentLists(t *testing.T) {
	t.Parallel()
	c := open(t)
	path := c.authorize(t, 100)
	who, other := c.employ(t), c.employ(t)
	var all []string
	for day := range 5 {
		all = append(all,
			c.book(t, c.booking(path, []uuid.UUID{who, other}[day%2], c.hour(t, day-2, "23:00"), 30*time.Minute)))
	}
	c.admin().post(t, all[0]+"/complete", body{}).ok(t)
	c.admin().post(t, all[4]+"/cancel", body{}).ok(t)
	ids := func(query string) []string {
		t.Helper()
		var found []string
		for cursor := ""; ; {
			page := c.admin().get(t, "/appointments?limit=2&"+query+cursor).ok(t)
			for _, item := range page.body["data"].([]any) {
				found = append(found, "/appointments/"+item.(map[string]any)["id"].(string))
			}
			if page.body["nextCursor"] == nil {
				return found
			}
			cursor = "&cursor=" + page.text("nextCursor")
		}
	}
	today := c.hour(t, 0, "00:00").Format(time.DateOnly)
	require.Equal(t, all, ids(""))
	require.Equal(t, []string{all[4], all[3], all[2], all[1], all[0]}, ids("sort=-startTime&"))
	require.Equal(t, []string{all[0], all[2], all[4]}, ids("practitionerId="+who.String()))
	require.Equal(t, all, ids("patientId="+c.own.patient.String()))
	require.Equal(t, []string{all[0]}, ids("status=COMPLETED"))
	require.Equal(t, []string{all[1], all[2], all[3]}, ids("status=SCHEDULED"))
	require.Equal(t, all[2:], ids("from="+today), "days are days in the clinic's time zone")
	require.Equal(t, all[:3], ids("to="+today))
	require.Equal(t, []string{all[2]}, ids("from="+today+"&to="+today+"&practitionerId="+who.String()))
	c.admin().get(t, "/appointments?day=1").refused(t, http.StatusBadRequest, "malformed-request")
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
			c := open(t)
			path := c.authorize(t, 40)
			booked := c.book(t, c.booking(path, c.employ(t), c.hour(t, 1, "15:00"), hour))
			c.requireClean(t)
			c.asOwner(t, tamper, strings.TrimPrefix(booked, "/appointments/"))
			a := c.admin().verify(t)
			require.Equal(t, false, a.body["ok"])
			for _, item := range a.body["problems"].([]any) {
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
	c := open(t)
	path := c.authorize(t, 10, body{"insuranceId": c.insuredBy(t, "FLOOR")})
	booked := c.book(t, c.booking(path, c.employ(t), c.hour(t, -1, "15:00"), 10*time.Minute))
	c.admin().delete(t, path).refused(t, http.StatusConflict, "authorization-has-history")
	c.admin().post(t, booked+"/complete", body{}).ok(t)
	c.admin().delete(t, path).refused(t, http.StatusConflict, "authorization-has-history")
	c.requireBalance(t, path, 10, 0, 0)
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
			c := open(t)
			path := c.authorize(t, 5)
			who := c.employ(t)
			short := c.book(t, c.booking(path, who, c.hour(t, -1, "11:00"), 5*time.Minute))
			c.admin().post(t, short+"/complete", body{}).ok(t)
			booked := c.book(t, c.booking(path, who, c.hour(t, -1, "15:00"), hour))
			done := c.admin().post(t, booked+"/complete", body{"endTime": c.hour(t, -1, "16:30")}).ok(t)
			require.Equal(t, 2, done.number(t, "session", "unauthorizedUnits"))
			c.requireClean(t)
			c.asOwner(t, tamper, done.body["session"].(map[string]any)["id"])
			a := c.admin().verify(t)
			require.Equal(t, false, a.body["ok"])
			require.Len(t, a.body["problems"], 1, "%s", a.raw)
			problem := a.body["problems"].([]any)[0].(map[string]any)
			require.Equal(t, "session", problem["check"])
			require.Equal(t, strings.TrimPrefix(path, "/authorizations/"), problem["authorizationId"])
			require.Contains(t, problem["expected"], idOf(booked))
		})
	}
}

// TestAppointmentIsPublishedAndRecorded checks the published events and the audit trail.
func TestAppointmentIsPublishedAndRecorded(t *testing.T) {
	t.Parallel()
	c := open(t)
	path := c.authorize(t, 40)
	who := c.employ(t)
	at := c.ago(3 * hour)
	booked := c.book(t, c.booking(path, who, at, hour, body{"notes": "secret words"}))
	c.admin().patch(t, booked, body{"endTime": at.Add(90 * time.Minute)}).ok(t)
	c.admin().post(t, booked+"/start", body{"startTime": at}).ok(t)
	c.admin().post(t, booked+"/complete",
		body{"startTime": at, "endTime": at.Add(hour), "narrative": "secret words"}).ok(t)
	opened, err := sql.Open("pgx", c.database.OwnerURL)
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
	require.Equal(t, []string{c.own.patient.String()},
		read(`SELECT DISTINCT patient_id::text FROM audit_events WHERE subject_type = 'appointment'`))
	for _, text := range append(read(`SELECT payload::text FROM outbox`),
		read(`SELECT concat(before::text, after::text) FROM audit_events`)...) {
		require.NotContains(t, text, "secret words")
	}
	for _, text := range read(`SELECT payload::text FROM outbox`) {
		require.NotContains(t, text, c.own.patient.String(), "published events do not name the patient")
	}
	require.Empty(t, read(`SELECT id::text FROM commands WHERE answer::text LIKE '%secret words%'`))
}
