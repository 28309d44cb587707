package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"omnirapeutic/e2e/harness"
	"omnirapeutic/modules/rbac"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/telemetry/logtest"
)

// namedAppointment books an appointment all of whose references have different texts, and returns its path.
func namedAppointment(t *testing.T, c *harness.Clinic) (path string, practitioner uuid.UUID) {
	t.Helper()
	patient := c.Admin().Post(t, "/patients", harness.Body{
		"firstName": "Ada", "lastName": "Stone", "dateOfBirth": "2018-01-01",
	}).Created(t).String()
	practitioner = c.Admin().Post(t, "/practitioners", harness.Body{
		"firstName": "Sam", "lastName": "Hill", "credentials": []any{harness.Body{"code": "RBT"}},
	}).Created(t)
	location := c.Admin().Post(t, "/locations", harness.Body{"name": "Main clinic", "kind": "CLINIC"}).Created(t)
	payer := c.Admin().Post(t, "/payers", harness.Body{"name": "Acme Health"}).Created(t)
	insurance := c.Admin().Post(t, "/insurances", harness.Body{
		"patientId": patient, "payerId": payer, "memberNumber": "M-1", "startsOn": "2020-01-01",
	}).Created(t)
	authorization := c.Authorize(t, 40, harness.Body{
		"patientId": patient, "authNumber": "AUTH-1", "insuranceId": insurance,
	})
	path = c.Book(t, c.Booking(authorization, practitioner, c.At(t, -2, "09:00"), time.Hour, harness.Body{
		"patientId": patient, "locationId": location, "supervisingPractitionerId": practitioner,
	}))
	return path, practitioner
}

// TestAnswersHaveTheNamesOfTheirReferences reads an appointment and its session, alone and in a list.
func TestAnswersHaveTheNamesOfTheirReferences(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	path, _ := namedAppointment(t, c)
	session := "/sessions/" + completed(t, c, path)
	code := c.Admin().Get(t, "/service-codes/"+c.Own.ServiceCode.String()).OK(t).Text("code")
	want := map[string]any{
		"patient": "Ada Stone", "practitioners": []any{"Sam Hill"}, "supervisor": "Sam Hill", "serviceCode": code,
		"authorization": "AUTH-1", "location": "Main clinic", "payer": "Acme Health", "availableUnits": 36.0,
	}
	one := c.Admin().Get(t, path).OK(t)
	require.Equal(t, want, one.Body["display"])
	require.Equal(t, map[string]any{"patient": "Ada Stone", "authorization": "AUTH-1", "payer": "Acme Health", "availableUnits": 36.0},
		one.Body["patients"].([]any)[0].(map[string]any)["display"])
	require.NotContains(t, one.Body, "patient", "it was not expanded")
	list := c.Admin().Get(t, "/appointments").OK(t).Body["data"].([]any)
	require.Equal(t, want, list[0].(map[string]any)["display"])
	sessions := c.Admin().Get(t, "/sessions").OK(t).Body["data"].([]any)
	for _, s := range []map[string]any{c.Admin().Get(t, session).OK(t).Body, sessions[0].(map[string]any)} {
		require.Equal(t, map[string]any{
			"patient": "Ada Stone", "practitioners": []any{"Sam Hill"}, "supervisor": "Sam Hill", "serviceCode": code,
			"location": "Main clinic",
		}, s["display"])
		require.Equal(t, c.Own.ServiceCode.String(), s["serviceCodeId"])
		require.Equal(t, one.Body["patients"].([]any)[0].(map[string]any)["display"],
			s["patients"].([]any)[0].(map[string]any)["display"], "number, payer and units left of the authorization")
	}
	authorization := c.Admin().Get(t, "/authorizations/"+one.Text("authorizationId")).OK(t)
	require.Equal(t, map[string]any{
		"patient": "Ada Stone", "serviceCode": code, "insurance": "Acme Health", "payer": "Acme Health",
	}, authorization.Body["display"])
}

// TestCompletedAppointmentsHaveBookedAndActualTimes completes an appointment that began late.
func TestCompletedAppointmentsHaveBookedAndActualTimes(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	path, _ := namedAppointment(t, c)
	before := c.Admin().Get(t, path).OK(t)
	require.Nil(t, before.Body["actualStartTime"])
	start, end := c.At(t, -2, "09:10"), c.At(t, -2, "10:05")
	answer := c.Admin().Post(t, path+"/complete", harness.Body{"startTime": start, "endTime": end}).OK(t)
	for _, a := range []map[string]any{
		c.Admin().Get(t, path).OK(t).Body, c.Admin().Get(t, "/appointments").OK(t).Body["data"].([]any)[0].(map[string]any),
	} {
		require.Equal(t, before.Text("startTime"), a["startTime"])
		require.Equal(t, start.UTC().Format(time.RFC3339), a["actualStartTime"])
		require.Equal(t, end.UTC().Format(time.RFC3339), a["actualEndTime"])
	}
	require.NotEmpty(t, answer.Body)
}

// TestReferencesAreExpanded compares each expanded record with the answer to reading it alone.
func TestReferencesAreExpanded(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	path, practitioner := namedAppointment(t, c)
	a := c.Admin().Get(t, path+"?expand=patient,practitioners,serviceCode&expand=authorization,location,supervisor").OK(t)
	alone := func(path string) any {
		body := map[string]any(c.Admin().Get(t, path).OK(t).Body)
		delete(body, "display")
		return body
	}
	for member, path := range map[string]string{
		"patient":       "/patients/" + a.Text("patientId"),
		"serviceCode":   "/service-codes/" + a.Text("serviceCodeId"),
		"authorization": "/authorizations/" + a.Text("authorizationId"),
		"location":      "/locations/" + a.Text("locationId"),
		"supervisor":    "/practitioners/" + practitioner.String(),
	} {
		require.Equal(t, alone(path), a.Body[member], member)
	}
	require.Equal(t, []any{alone("/practitioners/" + practitioner.String())}, a.Body["practitioners"])
	part := a.Body["patients"].([]any)[0].(map[string]any)
	require.Equal(t, a.Body["patient"], part["patient"], "everywhere in the answer")

	session := c.Admin().Get(t, "/sessions/"+completed(t, c, path)+"?expand=authorization,location").OK(t)
	require.Equal(t, a.Body["location"], session.Body["location"])
	require.Contains(t, session.Body["patients"].([]any)[0], "authorization")
}

// TestUnknownReferencesAreRefused names the known references, and the nearest.
func TestUnknownReferencesAreRefused(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	a := c.Admin().Get(t, "/appointments?expand=patients")
	require.Equal(t, http.StatusBadRequest, a.Status)
	field := a.Body["errors"].([]any)[0].(map[string]any)
	require.Equal(t, "expand", field["field"])
	require.Equal(t, "patient", field["nearest"])
	require.Contains(t, field["known"], "practitioners")
	require.Contains(t, a.Text("detail"), "did you mean patient")
	mistyped := c.Admin().Get(t, "/appointments?expnd=patient")
	require.Equal(t, http.StatusBadRequest, mistyped.Status)
	require.Equal(t, "expand", mistyped.Body["errors"].([]any)[0].(map[string]any)["nearest"])
}

// TestNamesOfPatientsAreLimitedToTheCallersScope lets a technician read an appointment whose patient is not on the caseload.
func TestNamesAreLimitedToTheCallersScope(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	path, practitioner := namedAppointment(t, c)
	c.LinkUsers(t, c.Own, practitioner)
	technician := c.As(c.SignIn(t, "own", rbac.Technician))
	a := technician.Get(t, path+"?expand=patient,practitioners,authorization").OK(t)
	display := a.Body["display"].(map[string]any)
	require.NotContains(t, display, "patient", "the patient is not on the caseload")
	require.NotContains(t, display, "authorization")
	require.Equal(t, []any{"Sam Hill"}, display["practitioners"])
	require.Nil(t, a.Body["patient"])
	require.Contains(t, a.Body, "patient")
	require.Nil(t, a.Body["authorization"])
}

// TestFamiliesSeeTheNamesOfTheirAppointments lets a parent read an appointment of their child, without permissions for
// practitioners and locations.
func TestFamiliesSeeTheNamesOfTheirAppointments(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	path, practitioner := namedAppointment(t, c)
	patient := c.Admin().Get(t, path).OK(t).Text("patientId")
	c.LinkUsers(t, c.Own, practitioner, uuid.MustParse(patient))
	parent := c.As(c.Own.Tokens[rbac.Patient])
	a := parent.Get(t, path+"?expand=patient,practitioners,location").OK(t)
	display := a.Body["display"].(map[string]any)
	require.Equal(t, []any{"Ada Stone", []any{"Sam Hill"}, "Main clinic"},
		[]any{display["patient"], display["practitioners"], display["location"]})
	require.Equal(t, patient, a.Body["patient"].(map[string]any)["id"])
	require.Equal(t, []any{nil}, a.Body["practitioners"], "the record needs the permission, unlike its name")
	list := parent.Get(t, "/appointments").OK(t).Body["data"].([]any)
	require.Equal(t, display, list[0].(map[string]any)["display"])

	technician := c.As(c.SignIn(t, "own", rbac.Technician))
	require.Equal(t, "Ada Stone", technician.Get(t, path).OK(t).Body["display"].(map[string]any)["patient"],
		"the patient is on the caseload")
}

// TestExpandedPatientsAreInTheAuditTrail requires an event of the read with both the appointment and the patient.
func TestExpandedPatientsAreInTheAuditTrail(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	path, _ := namedAppointment(t, c)
	a := c.Admin().Get(t, path+"?expand=patient").OK(t)
	events := c.Admin().Get(t, "/admin/audit-events?limit=200&patientId="+a.Text("patientId")).OK(t)
	text, err := json.Marshal(events.Body)
	require.NoError(t, err)
	require.Contains(t, string(text), `"appointment.read"`)
	require.True(t, strings.Contains(string(text), `"patient"`), "%s", text)
}

// TestNamesCostTheSameForAnyPage counts the statements of a page with 1, 20 and 200 appointments.
func TestNamesCostTheSameForAnyPage(t *testing.T) {
	t.Parallel()
	logger, log := logtest.Recorder()
	c := harness.Open(t, func(config *db.Config) { config.SlowQuery, config.Logger = 1, logger })
	practitioner := c.AddPractitioner(t)
	for hour := range 10 {
		patient := c.AddPatient(t)
		authorization := c.Authorize(t, 200, harness.Body{"patientId": patient, "authNumber": "A-" + strconv.Itoa(hour)})
		for day := range 20 {
			c.Book(t, c.Booking(authorization, practitioner, c.At(t, -1-day, fmt.Sprintf("%02d:00", 8+hour)), time.Hour,
				harness.Body{"patientId": patient}))
		}
	}
	statements := func(path string, rows int) []string {
		log.Reset()
		data := c.Admin().Get(t, path).OK(t).Body["data"].([]any)
		require.Len(t, data, rows)
		last := data[rows-1].(map[string]any)["display"].(map[string]any)
		require.Equal(t, "Bo Example", last["patient"])
		require.Contains(t, last, "authorization")
		return slices.DeleteFunc(statementsOf(log), func(s string) bool { return strings.Contains(s, "audit_") })
	}
	for _, expand := range []string{"", "&expand=patient,practitioners,serviceCode,authorization"} {
		statements("/appointments?limit=1"+expand, 1) // fills caches
		one := statements("/appointments?limit=1"+expand, 1)
		require.Equal(t, one, statements("/appointments?limit=20"+expand, 20))
		require.Equal(t, one, statements("/appointments?limit=200"+expand, 200))
	}
}
