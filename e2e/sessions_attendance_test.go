package e2e

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omnirapeutic/e2e/harness"
	"omnirapeutic/modules/rbac"
)

// group books an appointment of an hour, two hours ago, for the clinic's patient and others. It
// returns the paths of the appointment and of the authorizations, in the order of the patients.
func group(t testing.TB, c *harness.Clinic, others ...string) (appointment string, authorizations []string) {
	t.Helper()
	authorizations = []string{c.Authorize(t, 10)}
	patients := []harness.Body{{"patientId": c.Own.Patient, "authorizationId": harness.IDOf(authorizations[0])}}
	for _, id := range others {
		path := c.Authorize(t, 10, harness.Body{"patientId": id})
		authorizations = append(authorizations, path)
		patients = append(patients, harness.Body{"patientId": id, "authorizationId": harness.IDOf(path)})
	}
	return c.Book(t, c.Booking(authorizations[0], c.AddPractitioner(t), c.Ago(2*time.Hour), time.Hour, harness.Body{
		"patientId": nil, "authorizationId": nil, "patients": patients,
	})), authorizations
}

// part returns a patient's part in a session.
func part(t testing.TB, session map[string]any, patient any) map[string]any {
	t.Helper()
	for _, each := range session["patients"].([]any) {
		if p := each.(map[string]any); p["patientId"] == patient {
			return p
		}
	}
	t.Fatalf("the session has no patient %v", patient)
	return nil
}

func TestAttendanceOfEachPatient(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	absent, late := c.AddPatient(t), c.AddPatient(t)
	appointment, paths := group(t, c, absent, late)
	start := startOf(t, c, appointment)
	done := c.Admin().Post(t, appointment+"/complete", harness.Body{"patients": []harness.Body{
		{"patientId": absent, "attended": false},
		{"patientId": late, "startTime": start.Add(15 * time.Minute), "endTime": start.Add(45 * time.Minute)},
	}}).OK(t)
	session := done.Body["session"].(map[string]any)
	require.EqualValues(t, 4, part(t, session, c.Own.Patient.String())["units"])
	require.Equal(t, false, part(t, session, absent)["attended"])
	require.EqualValues(t, 0, part(t, session, absent)["units"])
	require.Nil(t, part(t, session, absent)["startTime"])
	require.EqualValues(t, 2, part(t, session, late)["units"])
	require.EqualValues(t, 30, part(t, session, late)["minutes"])
	require.Equal(t, start.Add(15*time.Minute).Format(time.RFC3339), part(t, session, late)["startTime"])
	c.RequireBalance(t, paths[0], 10, 4, 0)
	c.RequireBalance(t, paths[1], 10, 0, 0)
	c.RequireBalance(t, paths[2], 10, 2, 0)
	stored := c.Admin().Get(t, "/sessions/"+session["id"].(string)).OK(t).Body
	require.Equal(t, session["patients"], harness.WithoutNames(stored["patients"]))

	t.Run("is corrected like other fields", func(t *testing.T) {
		corrected := c.Admin().Post(t, "/sessions/"+session["id"].(string)+"/correct", harness.Body{
			"patients": []harness.Body{
				{"patientId": c.Own.Patient, "attended": false}, {"patientId": absent, "attended": true}, {"patientId": late},
			},
			"reason": "Two children were mixed up.",
		}).OK(t).Body["session"].(map[string]any)
		require.EqualValues(t, 0, part(t, corrected, c.Own.Patient.String())["units"])
		require.EqualValues(t, 4, part(t, corrected, absent)["units"])
		require.EqualValues(t, 2, part(t, corrected, late)["units"])
		c.RequireBalance(t, paths[0], 10, 0, 0)
		c.RequireBalance(t, paths[1], 10, 4, 0)
		c.RequireBalance(t, paths[2], 10, 2, 0)
		versions := c.Admin().Get(t, "/sessions/"+session["id"].(string)+"/versions").OK(t).Body["versions"].([]any)
		require.Equal(t, false, part(t, versions[0].(map[string]any), absent)["attended"])
	})
	t.Run("an absent patient can be booked at that time", func(t *testing.T) {
		c.Book(t, c.Booking(paths[0], c.AddPractitioner(t), start, time.Hour))
	})
	c.RequireClean(t)
}

func TestInvalidAttendance(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	other := c.AddPatient(t)
	appointment, _ := group(t, c, other)
	start := startOf(t, c, appointment)
	for field, patients := range map[string][]harness.Body{
		"patients": {
			{"patientId": c.Own.Patient, "attended": false}, {"patientId": other, "attended": false},
		},
		"patients[0].patientId": {{"patientId": c.AddPatient(t), "attended": false}},
		"patients[1].patientId": {{"patientId": other, "attended": false}, {"patientId": other, "attended": true}},
		"patients[0].attended":  {{"patientId": other, "attended": false, "startTime": start}},
		"patients[0].startTime": {{"patientId": other, "startTime": start.Add(-time.Minute)}},
		"patients[0].endTime":   {{"patientId": other, "endTime": start.Add(2 * time.Hour)}},
	} {
		refused := c.Admin().Post(t, appointment+"/complete", harness.Body{"patients": patients, "confirm": true}).
			Refused(t, http.StatusUnprocessableEntity, "validation-failed")
		require.Equal(t, field, refused.Body["errors"].([]any)[0].(map[string]any)["field"], "%s", refused.Raw)
	}
}

func TestAbsentPatientsUnitsStayConsumedIfThePracticeSaysSo(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	c.Admin().Patch(t, "/organizations/"+c.Own.ID.String(), harness.Body{"noShowConsumes": true}).OK(t)
	absent := c.AddPatient(t)
	appointment, paths := group(t, c, absent)
	session := c.Admin().Post(t, appointment+"/complete",
		harness.Body{"patients": []harness.Body{{"patientId": absent, "attended": false}}}).OK(t).Body["session"]
	require.EqualValues(t, 4, part(t, session.(map[string]any), absent)["units"])
	c.RequireBalance(t, paths[1], 10, 4, 0)
	c.RequireClean(t)
}

func TestPayerDecidesOnTheUnitsOfAPatientWhoDoesNotCome(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	insurance := c.AddInsurance(t, "noShowConsumes", true)
	payer := "/payers/" + c.Admin().Get(t, "/insurances/"+insurance.String()).OK(t).Text("payerId")
	path, who := c.Authorize(t, 40, harness.Body{"insuranceId": insurance}), c.AddPractitioner(t)
	missed := func(days int) string {
		appointment := c.Book(t, c.Booking(path, who, c.At(t, days, "09:00"), time.Hour))
		c.Admin().Post(t, appointment+"/no-show", harness.Body{}).OK(t)
		return appointment
	}
	missed(-2)
	c.RequireBalance(t, path, 40, 4, 0)

	changed := c.Admin().Patch(t, payer, harness.Body{"noShowConsumes": false}).OK(t)
	require.Equal(t, false, changed.Body["noShowConsumes"])
	require.Equal(t, []any{
		map[string]any{"startsOn": "0001-01-01", "consumes": true},
		map[string]any{"startsOn": c.Date(t, 0), "consumes": false},
	}, changed.Body["noShowRules"])
	reopened := missed(-1)
	c.RequireBalance(t, path, 40, 8, 0)
	c.Admin().Post(t, reopened+"/reopen", harness.Body{"reason": "The child came."}).OK(t)
	c.RequireBalance(t, path, 40, 4, 4)

	c.Admin().Patch(t, payer, harness.Body{"noShowConsumes": true, "noShowConsumesFrom": c.Date(t, 1)}).OK(t)
	planned := c.Admin().Patch(t, payer, harness.Body{"noShowConsumes": nil, "noShowConsumesFrom": c.Date(t, 1)}).OK(t)
	require.Len(t, planned.Body["noShowRules"], 3, "a planned rule is replaced")
	for _, invalid := range []harness.Body{
		{"noShowConsumesFrom": c.Date(t, 1)},
		{"noShowConsumes": true, "noShowConsumesFrom": c.Date(t, -1)},
		{"noShowConsumes": true},
	} {
		c.Admin().Patch(t, payer, invalid).Refused(t, http.StatusUnprocessableEntity, "validation-failed")
	}
	c.RequireClean(t)
}

func TestPayerDecidesOnTheUnitsOfAnAbsentPatient(t *testing.T) {
	t.Parallel()
	for consumes, want := range map[bool]int{true: 4, false: 0} {
		c := harness.Open(t)
		c.Admin().Patch(t, "/organizations/"+c.Own.ID.String(), harness.Body{"noShowConsumes": !consumes}).OK(t)
		path := c.Authorize(t, 10, harness.Body{"insuranceId": c.AddInsurance(t, "noShowConsumes", consumes)})
		present := c.AddPatient(t)
		other := c.Authorize(t, 10, harness.Body{"patientId": present})
		appointment := c.Book(t, c.Booking(path, c.AddPractitioner(t), c.At(t, -1, "09:00"), time.Hour, harness.Body{
			"patientId": nil, "authorizationId": nil, "patients": []harness.Body{
				{"patientId": c.Own.Patient, "authorizationId": harness.IDOf(path)},
				{"patientId": present, "authorizationId": harness.IDOf(other)},
			},
		}))
		completed(t, c, appointment, harness.Body{"patients": []harness.Body{{"patientId": c.Own.Patient, "attended": false}}})
		c.RequireBalance(t, path, 10, want, 0)
		c.RequireBalance(t, other, 10, 4, 0)
		c.RequireClean(t)
	}
}

func TestSessionsOverlapInRealTime(t *testing.T) {
	t.Parallel()
	c := harness.OpenInTheAfternoon(t)
	path := c.Authorize(t, 100)
	practitioner := c.AddPractitioner(t)
	other := c.AddPatient(t)
	otherPath := c.Authorize(t, 100, harness.Body{"patientId": other})
	ofOther := harness.Body{"patientId": other}
	at := c.At(t, -1, "09:00")
	completed(t, c, c.Book(t, c.Booking(path, practitioner, at, time.Hour)))
	next := c.Book(t, c.Booking(otherPath, practitioner, at.Add(time.Hour), time.Hour, ofOther))
	early := harness.Body{"startTime": at.Add(45 * time.Minute)}

	refused := c.Admin().Post(t, next+"/complete", early).Refused(t, http.StatusConflict, "session-overlap")
	overlap := refused.Body["overlaps"].([]any)[0].(map[string]any)
	require.Equal(t, practitioner.String(), overlap["practitionerId"])
	require.EqualValues(t, 15, overlap["minutes"])
	require.Equal(t, "Jordan Lee has another session from 09:00 to 10:00. 15 minutes overlap.", refused.Body["detail"])
	c.RequireBalance(t, otherPath, 100, 0, 4)

	early["overlapReason"] = "Both children had joint work."
	c.As(c.Own.Tokens[rbac.Admin]).Post(t, next+"/complete", early).OK(t)
	session := c.Admin().Get(t, next).OK(t).Text("sessionId")
	require.Equal(t, "Both children had joint work.", c.Admin().Get(t, "/sessions/"+session).OK(t).Text("overlapReason"))

	require.Len(t, c.Admin().All(t, "/sessions?conflict=overlap", nil), 2, "both sessions are on the worklist")
	t.Run("a correction keeps an accepted overlap, and cannot make another", func(t *testing.T) {
		c.Admin().Post(t, "/sessions/"+session+"/correct",
			harness.Body{"endTime": at.Add(90 * time.Minute), "reason": "Ended earlier."}).OK(t)
		later := "/sessions/" + completed(t, c, c.Book(t, c.Booking(path, practitioner, at.Add(3*time.Hour), time.Hour)))
		c.Admin().Post(t, later+"/correct", harness.Body{
			"startTime": at.Add(80 * time.Minute), "confirm": true, "reason": "Typing error.",
		}).Refused(t, http.StatusConflict, "session-overlap")
		c.Admin().Post(t, "/sessions/"+session+"/correct", harness.Body{
			"endTime": at.Add(190 * time.Minute), "confirm": true, "reason": "Typing error.",
		}).Refused(t, http.StatusConflict, "session-overlap")
	})
	t.Run("a child with two technicians in one track", func(t *testing.T) {
		second := c.AddPractitioner(t)
		booked := c.Book(t, c.Booking(path, second, at.Add(6*time.Hour), time.Hour))
		refused := c.Admin().Post(t, booked+"/complete", harness.Body{
			"startTime": at, "endTime": at.Add(time.Hour), "confirm": true,
		}).Refused(t, http.StatusConflict, "session-overlap")
		require.Equal(t, c.Own.Patient.String(), refused.Body["overlaps"].([]any)[0].(map[string]any)["patientId"])
	})
	t.Run("an appointment in progress counts", func(t *testing.T) {
		running := c.Book(t, c.Booking(path, practitioner, c.Ago(30*time.Minute), time.Hour))
		c.Admin().Post(t, running+"/start", harness.Body{"startTime": c.Ago(30 * time.Minute)}).OK(t)
		booked := c.Book(t, c.Booking(otherPath, practitioner, c.Ago(90*time.Minute), time.Hour, ofOther))
		c.Admin().Post(t, booked+"/complete", harness.Body{"endTime": c.Ago(20 * time.Minute)}).
			Refused(t, http.StatusConflict, "session-overlap")
	})
	t.Run("services that may run together do not conflict", func(t *testing.T) {
		supervision := addService(t, c, "97155")
		analyst := c.AddPractitioner(t)
		advice := c.Authorize(t, 100, harness.Body{"serviceCodeId": supervision})
		c.Admin().Put(t, "/service-pairs", harness.Body{"pairs": []harness.Body{{"code": "97153", "otherCode": "97155"}}})
		completed(t, c, c.Book(t, c.Booking(advice, analyst, at.Add(15*time.Minute), 30*time.Minute,
			harness.Body{"serviceCodeId": supervision})))
	})
	t.Run("the worklist is empty once one of them is void", func(t *testing.T) {
		c.Admin().Post(t, "/sessions/"+session+"/void", harness.Body{"appointment": "CANCELLED", "reason": "Wrong child."}).OK(t)
		require.Empty(t, c.Admin().All(t, "/sessions?conflict=overlap", nil))
	})
	c.RequireClean(t)
}

func TestAcceptingAnOverlapNeedsItsPermission(t *testing.T) {
	t.Parallel()
	c := harness.OpenInTheAfternoon(t)
	practitioner := c.AddPractitioner(t)
	c.LinkUsers(t, c.Own, practitioner, c.Own.Patient)
	path := c.Authorize(t, 100)
	completed(t, c, c.Book(t, c.Booking(path, practitioner, c.Ago(3*time.Hour), time.Hour)))
	next := c.Book(t, c.Booking(path, practitioner, c.Ago(2*time.Hour), time.Hour))
	c.As(c.Own.Tokens[rbac.Technician]).Post(t, next+"/complete", harness.Body{
		"startTime": c.Ago(150 * time.Minute), "overlapReason": "I was in both.",
	}).Refused(t, http.StatusForbidden, "forbidden")
}

func TestRosterOfAGroup(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	second, third := c.AddPatient(t), c.AddPatient(t)
	appointment, paths := group(t, c, second)
	added := c.Authorize(t, 10, harness.Body{"patientId": third})
	roster := func(entries ...string) harness.Body {
		var patients []harness.Body
		for i := 0; i < len(entries); i += 2 {
			patients = append(patients, harness.Body{"patientId": entries[i], "authorizationId": harness.IDOf(entries[i+1])})
		}
		return harness.Body{"patients": patients}
	}
	first := c.Own.Patient.String()
	c.RequireBalance(t, paths[1], 10, 0, 4)
	changed := c.Admin().Patch(t, appointment, roster(first, paths[0], third, added)).OK(t)
	require.Len(t, changed.Body["patients"], 2)
	c.RequireBalance(t, paths[0], 10, 0, 4)
	c.RequireBalance(t, paths[1], 10, 0, 0)
	c.RequireBalance(t, added, 10, 0, 4)
	c.Admin().Patch(t, appointment, roster(third, added)).OK(t)
	c.RequireBalance(t, paths[0], 10, 0, 0)
	require.Equal(t, third, c.Admin().Get(t, appointment).OK(t).Text("patientId"))

	t.Run("an invalid roster changes nothing", func(t *testing.T) {
		for field, b := range map[string]harness.Body{
			"patients[0].authorizationId": roster(first, added),
			"patients[1].patientId":       roster(third, added, third, added),
			"patients":                    {"patients": roster(third, added)["patients"], "authorizationId": harness.IDOf(added)},
		} {
			refused := c.Admin().Patch(t, appointment, b).Refused(t, http.StatusUnprocessableEntity, "validation-failed")
			require.Equal(t, field, refused.Body["errors"].([]any)[0].(map[string]any)["field"], "%s", refused.Raw)
		}
	})
	t.Run("a refusal names the patient and the authorization", func(t *testing.T) {
		short := c.Authorize(t, 3, harness.Body{"patientId": second})
		refused := c.Admin().Patch(t, appointment, roster(third, added, second, short)).
			Refused(t, http.StatusConflict, "insufficient-units")
		require.Equal(t, "Patient 2 of 2: Insufficient units available. Available: 3, Requested: 4", refused.Text("detail"))
		require.Equal(t, second, refused.Text("patientId"))
		require.Equal(t, harness.IDOf(short), refused.Text("authorizationId"))
	})
	c.RequireClean(t)
}

func TestUnusualGroupSizeIsAWarning(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	code := addService(t, c, "97154")
	path := c.Authorize(t, 10, harness.Body{"serviceCodeId": code})
	booked := c.Admin().Post(t, "/appointments", c.Booking(path, c.AddPractitioner(t), c.At(t, 1, "09:00"), time.Hour,
		harness.Body{"serviceCodeId": code}))
	booked.Created(t)
	require.Equal(t, "97154 is for groups of 2 to 8 patients. This appointment has 1.",
		booked.Body["warnings"].([]any)[0].(map[string]any)["message"])
}
