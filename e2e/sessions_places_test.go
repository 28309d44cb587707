package e2e

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omnirapeutic/e2e/harness"
	"omnirapeutic/modules/rbac"
)

// addLocation creates a location and returns its id.
func addLocation(t testing.TB, c *harness.Clinic, b harness.Body) string {
	t.Helper()
	return c.Admin().Post(t, "/locations", b).Created(t).String()
}

// pacific creates a clinic on the Pacific coast, three hours behind the practice.
func pacific(t testing.TB, c *harness.Clinic) string {
	t.Helper()
	return addLocation(t, c, harness.Body{"name": "West Clinic", "kind": "CLINIC", "timeZone": "America/Los_Angeles"})
}

// onThePacific returns an instant at a local time on the Pacific coast.
func onThePacific(t testing.TB, c *harness.Clinic, days int, wall string) time.Time {
	t.Helper()
	return c.At(t, days, wall).Add(3 * time.Hour)
}

func TestSessionHasThePlaceOfItsAppointment(t *testing.T) {
	t.Parallel()
	c := harness.OpenInTheAfternoon(t)
	supervisor, who := c.AddPractitioner(t, harness.Body{"code": "BCBA"}), c.AddPractitioner(t)
	home := addLocation(t, c, harness.Body{"name": "Home", "kind": "HOME"})
	path := c.Book(t, c.Booking(c.Authorize(t, 10), who, c.Ago(2*time.Hour), time.Hour, harness.Body{
		"locationId": home, "supervisingPractitionerId": supervisor,
	}))
	booked := c.Admin().Get(t, path).OK(t)
	require.Equal(t, "12", booked.Text("placeOfService"), "of the location")
	require.Equal(t, home, booked.Text("locationId"))
	require.Equal(t, supervisor.String(), booked.Text("supervisingPractitionerId"))
	require.Nil(t, booked.Body["timeZone"])

	changed := c.Admin().Patch(t, path, harness.Body{"placeOfService": "99"}).OK(t)
	require.Equal(t, "99", changed.Text("placeOfService"))
	require.Equal(t, 2, changed.Number(t, "version"))
	session := "/sessions/" + completed(t, c, path)
	s := c.Admin().Get(t, session).OK(t)
	require.Equal(t, "99", s.Text("placeOfService"))
	require.Equal(t, home, s.Text("locationId"))
	require.Equal(t, supervisor.String(), s.Text("supervisingPractitionerId"))
	c.Admin().Patch(t, path, harness.Body{"placeOfService": "12"}).
		Refused(t, http.StatusConflict, "appointment-transition")

	b := harness.Body{"placeOfService": "03", "supervisingPractitionerId": nil, "reason": "It was at school."}
	preview := c.Admin().Post(t, session+"/correct/preview", harness.Body{"placeOfService": "03"}).OK(t)
	require.Equal(t, "99", preview.Body["current"].(map[string]any)["placeOfService"])
	require.Equal(t, "03", preview.Body["corrected"].(map[string]any)["placeOfService"])
	corrected := c.Admin().Post(t, session+"/correct", b).OK(t)
	require.Equal(t, "03", corrected.Body["session"].(map[string]any)["placeOfService"])
	require.Nil(t, corrected.Body["session"].(map[string]any)["supervisingPractitionerId"])
	require.Equal(t, "03", corrected.Body["appointment"].(map[string]any)["placeOfService"])
	versions := c.Admin().Get(t, session+"/versions").OK(t).Body["versions"].([]any)
	require.Len(t, versions, 2)
	first, last := versions[0].(map[string]any), versions[1].(map[string]any)
	require.Equal(t, []any{"99", "03"}, []any{first["placeOfService"], last["placeOfService"]})
	require.Equal(t, []any{supervisor.String(), nil},
		[]any{first["supervisingPractitionerId"], last["supervisingPractitionerId"]})
	require.Equal(t, home, first["locationId"])
	c.RequireClean(t)
}

func TestNewLocationSetsThePlaceOfService(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	school := addLocation(t, c, harness.Body{"name": "School", "kind": "SCHOOL"})
	home := addLocation(t, c, harness.Body{"name": "Home", "kind": "HOME"})
	path := c.Book(t, c.Booking(c.Authorize(t, 10), c.AddPractitioner(t), c.At(t, 1, "12:00"), time.Hour))
	require.Nil(t, c.Admin().Get(t, path).OK(t).Body["placeOfService"])
	require.Equal(t, "03", c.Admin().Patch(t, path, harness.Body{"locationId": school}).OK(t).Text("placeOfService"))
	both := harness.Body{"locationId": home, "placeOfService": "14"}
	require.Equal(t, "14", c.Admin().Patch(t, path, both).OK(t).Text("placeOfService"))
	gone := c.Admin().Patch(t, path, harness.Body{"locationId": nil}).OK(t)
	require.Nil(t, gone.Body["locationId"])
	require.Nil(t, gone.Body["placeOfService"])
}

func TestInvalidPlacesAreRefused(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	path, who := c.Authorize(t, 20), c.AddPractitioner(t)
	closed := addLocation(t, c, harness.Body{"name": "Closed", "kind": "CLINIC", "active": false})
	foreign := c.As(c.Other.Tokens["ADMIN"]).Post(t, "/locations", harness.Body{"name": "Other", "kind": "CLINIC"}).Created(t)
	inactive := c.AddPractitioner(t)
	c.Admin().Patch(t, "/practitioners/"+inactive.String(), harness.Body{"status": "INACTIVE"}).OK(t)
	booked := c.Book(t, c.Booking(path, who, c.At(t, 2, "12:00"), time.Hour))
	session := delivered(t, c, path, who)
	for _, place := range []struct {
		field string
		value any
	}{
		{"placeOfService", "98"},
		{"locationId", closed},
		{"locationId", foreign},
		{"supervisingPractitionerId", inactive},
		{"supervisingPractitionerId", c.Own.Patient},
	} {
		b := harness.Body{place.field: place.value, "reason": "Wrong."}
		for _, refused := range []harness.Answer{
			c.Admin().Post(t, "/appointments", c.Booking(path, who, c.At(t, 1, "12:00"), time.Hour,
				harness.Body{place.field: place.value})),
			c.Admin().Patch(t, booked, harness.Body{place.field: place.value}),
			c.Admin().Post(t, session+"/correct", b),
		} {
			refused.Refused(t, http.StatusUnprocessableEntity, "validation-failed")
			require.Equal(t, place.field, refused.Body["errors"].([]any)[0].(map[string]any)["field"])
		}
	}
	old := c.Authorize(t, 10, harness.Body{"startDate": "2021-01-01", "endDate": "2022-12-31"})
	at := func(day string) time.Time {
		start, err := time.Parse(time.RFC3339, day+"T17:00:00Z")
		require.NoError(t, err)
		return start
	}
	telehealth := harness.Body{"placeOfService": "10"}
	c.Admin().Post(t, "/appointments", c.Booking(old, who, at("2021-12-31"), time.Hour, telehealth)).
		Refused(t, http.StatusUnprocessableEntity, "validation-failed")
	c.Admin().Post(t, "/appointments", c.Booking(old, who, at("2022-01-01"), time.Hour, telehealth)).Created(t)
}

// TestTheTimeZoneOfTheLocationDecidesTheServiceDate: 21:30 in Los Angeles is 0:30 in New York.
func TestTheTimeZoneOfTheLocationDecidesTheServiceDate(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	west, who := pacific(t, c), c.AddPractitioner(t)
	path := c.Authorize(t, 40, harness.Body{"caps": []harness.Body{{"period": "DAY", "units": 4}}})
	late := onThePacific(t, c, 1, "21:30")
	booked := c.Book(t, c.Booking(path, who, late, time.Hour, harness.Body{"locationId": west}))
	require.Equal(t, c.Date(t, 1), c.Admin().Get(t, booked).OK(t).Text("serviceDate"))
	require.Equal(t, "America/Los_Angeles", c.Admin().Get(t, booked).OK(t).Text("timeZone"))
	c.Admin().Post(t, "/appointments", c.Booking(path, who, c.At(t, 1, "12:00"), time.Hour)).
		Refused(t, http.StatusConflict, "cap-exceeded")
	east := c.Book(t, c.Booking(path, who, c.At(t, 2, "12:00"), time.Hour))
	require.Equal(t, c.Date(t, 2), c.Admin().Get(t, east).OK(t).Text("serviceDate"))

	c.Admin().Patch(t, booked, harness.Body{"locationId": nil}).Refused(t, http.StatusConflict, "cap-exceeded")
	c.Admin().Post(t, east+"/cancel", harness.Body{}).OK(t)
	moved := c.Admin().Patch(t, booked, harness.Body{"locationId": nil}).OK(t)
	require.Equal(t, c.Date(t, 2), moved.Text("serviceDate"))
	c.Book(t, c.Booking(path, who, c.At(t, 1, "12:00"), time.Hour))
	c.RequireBalance(t, path, 40, 0, 8)
	c.RequireClean(t)
}

// TestANewTimeZoneOfTheOrganizationDoesNotMoveLocations changes the organization's time zone.
func TestANewTimeZoneOfTheOrganizationDoesNotMoveLocations(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	booked := c.Book(t, c.Booking(c.Authorize(t, 10), c.AddPractitioner(t), onThePacific(t, c, 1, "21:30"), time.Hour,
		harness.Body{"locationId": pacific(t, c)}))
	c.Admin().Patch(t, ownPath(c), harness.Body{"timeZone": "Europe/Paris"}).OK(t)
	require.Equal(t, c.Date(t, 1), c.Admin().Get(t, booked).OK(t).Text("serviceDate"))
}

// TestVisitsFollowTheTimeZoneOfTheLocation rounds 7 minutes in New York together with 33 minutes at
// 21:30 in Los Angeles: both are on one service date.
func TestVisitsFollowTheTimeZoneOfTheLocation(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	path := c.Authorize(t, 40, harness.Body{"insuranceId": c.AddInsurance(t, "rounding", "CMS_TOTAL")})
	who, west := c.AddPractitioner(t), pacific(t, c)
	units := func(session string) int { return c.Admin().Get(t, "/sessions/"+session).OK(t).Number(t, "units") }
	short := completed(t, c, c.Book(t, c.Booking(path, who, c.At(t, -2, "12:00"), 7*time.Minute)))
	require.Equal(t, 0, units(short))
	long := completed(t, c, c.Book(t, c.Booking(path, who, onThePacific(t, c, -2, "21:30"), 33*time.Minute,
		harness.Body{"locationId": west})))
	require.Equal(t, []int{1, 2}, []int{units(short), units(long)})
	require.Equal(t, c.Date(t, -2), c.Admin().Get(t, "/sessions/"+long).OK(t).Text("serviceDate"))
	c.RequireClean(t)

	corrected := c.Admin().Post(t, "/sessions/"+long+"/correct",
		harness.Body{"locationId": nil, "reason": "It was in New York.", "confirm": true}).OK(t)
	require.Equal(t, c.Date(t, -1), corrected.Body["session"].(map[string]any)["serviceDate"])
	require.Len(t, corrected.Body["recounted"], 1)
	require.Equal(t, []int{0, 2}, []int{units(short), units(long)})
	c.RequireClean(t)

	c.Admin().Post(t, "/sessions/"+long+"/correct",
		harness.Body{"locationId": west, "reason": "It was in Los Angeles.", "confirm": true}).OK(t)
	require.Equal(t, []int{1, 2}, []int{units(short), units(long)})
	c.RequireBalance(t, path, 40, 3, 0)
	c.RequireClean(t)
}

// TestRoundingOfTheServiceDateFollowsTheLocation changes the payer's rule at midnight.
func TestRoundingOfTheServiceDateFollowsTheLocation(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	payer := c.Admin().Post(t, "/payers", harness.Body{"name": "Plan", "rounding": "CEIL"}).Created(t)
	insurance := c.Admin().Post(t, "/insurances", harness.Body{
		"patientId": c.Own.Patient, "payerId": payer, "memberNumber": "M-1", "startsOn": "2020-01-01",
	}).Created(t)
	c.Admin().Patch(t, "/payers/"+payer.String(), harness.Body{"rounding": "FLOOR", "roundingFrom": c.Date(t, 2)}).OK(t)
	path, who := c.Authorize(t, 40, harness.Body{"insuranceId": insurance}), c.AddPractitioner(t)
	late := onThePacific(t, c, 1, "21:30")
	booked := c.Book(t, c.Booking(path, who, late, 20*time.Minute, harness.Body{"locationId": pacific(t, c)}))
	require.Equal(t, 2, c.Admin().Get(t, booked).OK(t).Number(t, "units"), "by the rule of the day before")
	require.Equal(t, 1, c.Admin().Patch(t, booked, harness.Body{"locationId": nil}).OK(t).Number(t, "units"))
}

func TestPlaceOfASeries(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	home := addLocation(t, c, harness.Body{"name": "Home", "kind": "HOME"})
	first := c.Admin().Post(t, "/appointments", c.Booking(c.Authorize(t, 40), c.AddPractitioner(t), c.At(t, 1, "12:00"),
		time.Hour, harness.Body{"recurrenceRule": "FREQ=DAILY;COUNT=3", "locationId": home}))
	first.Created(t)
	paths := []string{}
	for _, each := range first.Occurrences(t) {
		paths = append(paths, "/appointments/"+each.Text("appointmentId"))
		require.Equal(t, "12", c.Admin().Get(t, paths[len(paths)-1]).OK(t).Text("placeOfService"))
	}
	c.Admin().Patch(t, paths[1]+"?scope=following", harness.Body{"placeOfService": "99"}).OK(t)
	for i, want := range []string{"12", "99", "99"} {
		require.Equal(t, want, c.Admin().Get(t, paths[i]).OK(t).Text("placeOfService"))
	}
}

// modifiersOf returns the modifiers of the first patient.
func modifiersOf(a harness.Answer) any {
	return a.Body["patients"].([]any)[0].(map[string]any)["modifiers"]
}

func TestModifiersFollowThePayersRules(t *testing.T) {
	t.Parallel()
	c := harness.OpenInTheAfternoon(t)
	payer := c.Admin().Post(t, "/payers", harness.Body{"name": "Plan", "modifierRules": []harness.Body{
		{"modifier": "HM", "credentials": []string{"RBT"}, "codes": []string{"97153"}},
		{"modifier": "HO", "credentials": []string{"BCBA"}},
		{"modifier": "95", "placesOfService": []string{"02", "10"}},
	}}).Created(t)
	insurance := c.Admin().Post(t, "/insurances", harness.Body{
		"patientId": c.Own.Patient, "payerId": payer, "memberNumber": "M-1", "startsOn": "2020-01-01",
	}).Created(t)
	technician, analyst := c.AddPractitioner(t, harness.Body{"code": "RBT"}), c.AddPractitioner(t, harness.Body{"code": "BCBA"})
	path := c.Authorize(t, 20, harness.Body{"insuranceId": insurance})
	booked := c.Book(t, c.Booking(path, technician, c.Ago(2*time.Hour), time.Hour, harness.Body{"placeOfService": "10"}))
	require.Equal(t, []any{"HM", "95"}, modifiersOf(c.Admin().Get(t, booked).OK(t)))
	require.Equal(t, []any{"HM"}, modifiersOf(c.Admin().Patch(t, booked, harness.Body{"placeOfService": "12"}).OK(t)))
	require.Equal(t, []any{"HO"}, modifiersOf(c.Admin().Patch(t, booked, harness.Body{"practitionerId": analyst}).OK(t)))

	c.Admin().Patch(t, booked, harness.Body{"givenModifiers": []string{"HN"}}).
		Refused(t, http.StatusUnprocessableEntity, "validation-failed")
	c.Admin().Patch(t, booked, harness.Body{"givenModifiers": []string{"hn"}, "modifierReason": "x"}).
		Refused(t, http.StatusUnprocessableEntity, "validation-failed")
	b := harness.Body{"givenModifiers": []string{"HN", "GT"}, "modifierReason": "The payer asked for it."}
	given := c.Admin().Patch(t, booked, b).OK(t)
	require.Equal(t, []any{"HN", "GT"}, modifiersOf(given))
	require.Equal(t, []any{"HN", "GT"}, given.Body["givenModifiers"])
	require.Equal(t, 1, c.Count(t, `SELECT count(*) FROM audit_events WHERE action = 'appointment.reschedule'
		AND after::json ->> 'reason' = 'The payer asked for it.' AND after::json ->> 'modifiers' = 'HN GT'`))

	session := "/sessions/" + completed(t, c, booked)
	require.Equal(t, []any{"HN", "GT"}, modifiersOf(c.Admin().Get(t, session).OK(t)))
	corrected := c.Admin().Post(t, session+"/correct", harness.Body{"givenModifiers": nil, "reason": "By the rules."}).OK(t)
	require.Equal(t, []any{"HO"}, modifiersOf(harness.Answer{Body: corrected.Body["session"].(map[string]any)}))
	c.Admin().Post(t, session+"/correct", harness.Body{"placeOfService": "02", "reason": "Telehealth."}).OK(t)
	require.Equal(t, []any{"HO", "95"}, modifiersOf(c.Admin().Get(t, session).OK(t)))
	var all []any
	for _, v := range c.Admin().Get(t, session+"/versions").OK(t).Body["versions"].([]any) {
		all = append(all, modifiersOf(harness.Answer{Body: v.(map[string]any)}))
	}
	require.Equal(t, []any{[]any{"HN", "GT"}, []any{"HO"}, []any{"HO", "95"}}, all)

	c.Admin().Patch(t, "/payers/"+payer.String(), harness.Body{"modifierRules": []harness.Body{{"modifier": "U1"}}}).OK(t)
	require.Equal(t, []any{"HO", "95"}, modifiersOf(c.Admin().Get(t, session).OK(t)), "a session keeps its modifiers")
	corrected = c.Admin().Post(t, session+"/correct", harness.Body{"reason": "New rules."}).OK(t)
	require.Equal(t, []any{"U1"}, modifiersOf(harness.Answer{Body: corrected.Body["session"].(map[string]any)}))
	c.RequireBalance(t, path, 20, 4, 0)
	c.RequireClean(t)
}

func TestInvalidModifierRulesAreRefused(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	for _, rule := range []harness.Body{
		{"modifier": "9"},
		{"modifier": "hm"},
		{"modifier": "95", "placesOfService": []string{"98"}},
		{"modifier": "95", "codes": []string{"97 153"}},
		{"modifier": "95", "credentials": []string{"B.A"}},
	} {
		c.Admin().Post(t, "/payers", harness.Body{"name": "Plan", "modifierRules": []harness.Body{rule}}).
			Refused(t, http.StatusUnprocessableEntity, "validation-failed")
	}
}

func TestVisitsHaveTheSixFacts(t *testing.T) {
	t.Parallel()
	c := harness.OpenInTheAfternoon(t)
	who, home := c.AddPractitioner(t), addLocation(t, c, harness.Body{"name": "Home", "kind": "HOME"})
	present, absent := c.AddPatient(t), c.AddPatient(t)
	first := c.Authorize(t, 10)
	entry := func(patient any, path string) harness.Body {
		return harness.Body{"patientId": patient, "authorizationId": harness.IDOf(path)}
	}
	start := c.Ago(2 * time.Hour)
	booked := c.Book(t, c.Booking(first, who, start, time.Hour, harness.Body{
		"locationId": home, "patientId": nil, "authorizationId": nil, "patients": []harness.Body{
			entry(c.Own.Patient, first), entry(present, c.Authorize(t, 10, harness.Body{"patientId": present})),
			entry(absent, c.Authorize(t, 10, harness.Body{"patientId": absent})),
		},
	}))
	session := completed(t, c, booked, harness.Body{"patients": []harness.Body{
		{"patientId": present, "startTime": start.Add(15 * time.Minute)}, {"patientId": absent, "attended": false},
	}})
	voided := delivered(t, c, c.Authorize(t, 10), c.AddPractitioner(t), harness.Body{
		"startTime": c.Ago(5 * time.Hour),
		"endTime":   c.Ago(4 * time.Hour),
	})
	c.Admin().Post(t, voided+"/void", harness.Body{"reason": "Wrong.", "appointment": "CANCELLED"}).OK(t)

	rows := c.Admin().All(t, "/reports/visits?limit=1", nil)
	require.Len(t, rows, 2)
	require.Equal(t, []string{c.Own.Patient.String(), present}, harness.Column(rows, "patientId"))
	for i, row := range rows {
		require.Equal(t, session, row["sessionId"])
		require.Equal(t, "97153", row["serviceCode"])
		require.Equal(t, "12", row["placeOfService"])
		require.Equal(t, home, row["locationId"])
		require.Equal(t, who.String(), row["practitionerId"])
		require.NotEmpty(t, row["serviceDate"])
		require.Equal(t, start.Add(time.Duration(i)*15*time.Minute).Format(time.RFC3339), row["startTime"])
		require.Equal(t, start.Add(time.Hour).Format(time.RFC3339), row["endTime"])
		require.Nil(t, row["clockedInAt"])
	}
	csv := c.Admin().GetRaw(t, "/reports/visits?format=csv")
	require.Equal(t, http.StatusOK, csv.Status)
	require.Equal(t, 3, strings.Count(string(csv.Raw), "\r\n"), "%s", csv.Raw)
	require.Contains(t, string(csv.Raw), "sessionId,serviceCode,patientId,serviceDate,placeOfService")
	c.As(c.Own.Tokens[rbac.Scheduler]).Get(t, "/reports/visits").Refused(t, http.StatusForbidden, "forbidden")
}

func TestClockInAndClockOut(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	booked := c.Book(t, c.Booking(c.Authorize(t, 10), c.AddPractitioner(t), c.Ago(0), 10*time.Minute))
	c.Admin().Post(t, booked+"/clock-out", harness.Body{}).Refused(t, http.StatusConflict, "appointment-transition")
	c.Admin().Post(t, booked+"/start", harness.Body{
		"startTime": c.Ago(0), "coordinates": harness.Body{"latitude": 1, "longitude": 2},
	}).Refused(t, http.StatusUnprocessableEntity, "validation-failed")
	c.Admin().Post(t, booked+"/start", harness.Body{"coordinates": harness.Body{"latitude": 91, "longitude": 2}}).
		Refused(t, http.StatusUnprocessableEntity, "validation-failed")
	started := c.Admin().Post(t, booked+"/start", harness.Body{
		"coordinates": harness.Body{"latitude": 40.71, "longitude": -74},
	}).OK(t)
	require.NotNil(t, started.Body["clockedInAt"])
	require.Nil(t, started.Body["clockedOutAt"])

	c.Clock.Advance(6 * time.Minute)
	out := c.Admin().Post(t, booked+"/clock-out", harness.Body{
		"coordinates": harness.Body{"latitude": 40.72, "longitude": 0},
	}).OK(t)
	require.NotNil(t, out.Body["clockedOutAt"])
	require.Equal(t, "IN_PROGRESS", out.Text("status"))
	c.Clock.Advance(6 * time.Minute)
	completed(t, c, booked)
	rows := c.Admin().All(t, "/reports/visits", nil)
	require.Len(t, rows, 1)
	row := rows[0]
	require.Equal(t, []any{40.71, -74.0, 40.72, 0.0}, []any{
		row["clockInLatitude"], row["clockInLongitude"], row["clockOutLatitude"], row["clockOutLongitude"],
	})
	begin, err := time.Parse(time.RFC3339, row["startTime"].(string))
	require.NoError(t, err)
	require.Equal(t, begin.Add(6*time.Minute).Format(time.RFC3339), row["endTime"], "the session ends at the clock-out")
	require.Equal(t, out.Body["clockedOutAt"], row["clockedOutAt"])
	c.Admin().Post(t, booked+"/clock-out", harness.Body{}).Refused(t, http.StatusConflict, "appointment-transition")
	c.RequireClean(t)
}

func TestCompletionWithCoordinatesIsTheClockOut(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	booked := c.Book(t, c.Booking(c.Authorize(t, 10), c.AddPractitioner(t), c.Ago(0), time.Hour))
	c.Admin().Post(t, booked+"/start", harness.Body{}).OK(t)
	c.Clock.Advance(40 * time.Minute)
	here := harness.Body{"latitude": -33.9, "longitude": 18.4}
	c.Admin().Post(t, booked+"/complete", harness.Body{"coordinates": here, "endTime": c.Ago(0)}).
		Refused(t, http.StatusUnprocessableEntity, "validation-failed")
	session := completed(t, c, booked, harness.Body{"coordinates": here})
	row := c.Admin().All(t, "/reports/visits", nil)[0]
	require.Equal(t, []any{nil, -33.9, 18.4},
		[]any{row["clockInLatitude"], row["clockOutLatitude"], row["clockOutLongitude"]})
	require.NotNil(t, row["clockedInAt"])
	require.Equal(t, 40*time.Minute, lengthOf(t, row))
	clockedOut := row["clockedOutAt"]

	c.Admin().Post(t, "/sessions/"+session+"/correct", harness.Body{
		"endTime": c.Ago(10 * time.Minute), "reason": "The family confirmed the time.",
	}).OK(t)
	row = c.Admin().All(t, "/reports/visits", nil)[0]
	require.Equal(t, 30*time.Minute, lengthOf(t, row), "the visit has the corrected times")
	require.Equal(t, clockedOut, row["clockedOutAt"], "the clock is evidence and stays")

	c.Admin().Post(t, "/sessions/"+session+"/void", harness.Body{"reason": "Wrong.", "appointment": "SCHEDULED"}).OK(t)
	require.Empty(t, c.Admin().All(t, "/reports/visits", nil))
	require.Nil(t, c.Admin().Get(t, booked).OK(t).Body["clockedInAt"], "the appointment can be started again")
	c.RequireClean(t)
}

// lengthOf returns the length of a visit.
func lengthOf(t *testing.T, row map[string]any) time.Duration {
	t.Helper()
	start, err := time.Parse(time.RFC3339, row["startTime"].(string))
	require.NoError(t, err)
	end, err := time.Parse(time.RFC3339, row["endTime"].(string))
	require.NoError(t, err)
	return end.Sub(start)
}
