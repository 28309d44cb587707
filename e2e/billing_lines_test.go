package e2e

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"omnirapeutic/e2e/harness"
	"omnirapeutic/modules/rbac"
)

// billingOffice is a practice whose claims lack nothing.
type billingOffice struct {
	*harness.Clinic
	payer         uuid.UUID
	insurance     uuid.UUID
	technician    uuid.UUID
	authorization string // with the number A-1
}

// openBillingOffice completes the data of the clinic's own practice.
func openBillingOffice(t testing.TB) billingOffice {
	t.Helper()
	o := billingOffice{Clinic: harness.OpenInTheAfternoon(t)}
	admin := o.Admin()
	admin.Put(t, "/billing-identity", billingIdentity()).OK(t)
	o.payer = admin.Post(t, "/payers", harness.Body{
		"name": "Example Health", "payerCode": "60054", "claimFilingCode": "CI", "modifierRules": []harness.Body{
			{"modifier": "95", "codes": []string{"97153"}, "credentials": []string{}, "placesOfService": []string{"02", "10"}},
		},
	}).Created(t)
	o.insurance = o.insure(t, o.Own.Patient.String(), harness.Body{})
	admin.Post(t, "/rates", harness.Body{
		"payerId": o.payer, "serviceCodeId": o.Own.ServiceCode, "startsOn": "2020-01-01", "centsPerUnit": 1575,
	}).Created(t)
	o.technician = o.hire(t, "1234567893")
	o.authorization = o.grant(t, o.insurance, "A-1", harness.Body{})
	return o
}

// insure completes the data of a patient and insures the patient.
func (o billingOffice) insure(t testing.TB, patient string, changes harness.Body) uuid.UUID {
	t.Helper()
	o.Admin().Patch(t, "/patients/"+patient, harness.Body{"sex": "FEMALE", "address": homeAddress}).OK(t)
	o.Admin().Post(t, "/diagnoses", harness.Body{"patientId": patient, "code": "F84.0", "startsOn": "2020-01-01"}).Created(t)
	b := harness.Body{
		"patientId": patient, "payerId": o.payer, "memberNumber": "M-4711", "startsOn": "2020-01-01", "relationship": "SELF",
	}
	for k, v := range changes {
		b[k] = v
	}
	return o.Admin().Post(t, "/insurances", b).Created(t)
}

func (o billingOffice) hire(t testing.TB, npi string) uuid.UUID {
	t.Helper()
	id := o.AddPractitioner(t)
	o.Admin().Patch(t, "/practitioners/"+id.String(), harness.Body{"npi": npi, "taxonomyCode": "106S00000X"}).OK(t)
	return id
}

func (o billingOffice) grant(t testing.TB, insurance uuid.UUID, number string, changes harness.Body) string {
	t.Helper()
	return o.Authorize(t, 100, harness.Body{"insuranceId": insurance, "authNumber": number}, changes)
}

// deliver completes a session of an hour at the patient's home on the day that is some days ago, and
// returns its path.
func (o billingOffice) deliver(t testing.TB, authorization string, daysAgo int, changes ...harness.Body) string {
	t.Helper()
	changes = append([]harness.Body{{"placeOfService": "12"}}, changes...)
	booked := o.Book(t, o.Booking(authorization, o.technician, o.At(t, -daysAgo, "10:00"), time.Hour, changes...))
	return "/sessions/" + completed(t, o.Clinic, booked)
}

func (o billingOffice) biller() harness.Caller { return o.As(o.Own.Tokens[rbac.Biller]) }

// days is the query of the last ten days.
func (o billingOffice) days(t testing.TB) string {
	return "from=" + o.Date(t, -10) + "&to=" + o.Date(t, 0)
}

// lines returns the claim lines of the last ten days.
func (o billingOffice) lines(t testing.TB, filters string) []map[string]any {
	t.Helper()
	return o.biller().All(t, "/billing/lines?"+o.days(t)+filters, nil)
}

// export exports the ready lines of the last ten days.
func (o billingOffice) export(t testing.TB) harness.Answer {
	t.Helper()
	return o.biller().Post(t, "/billing/exports",
		harness.Body{"payerId": o.payer, "from": o.Date(t, -10), "to": o.Date(t, 0)})
}

// enterControlNumber enters the payer's number of the only claim of an export.
func (o billingOffice) enterControlNumber(t testing.TB, export uuid.UUID, number string) {
	t.Helper()
	claims := o.biller().Get(t, "/billing/exports/"+export.String()+"/claims").OK(t).Body["data"].([]any)
	require.Len(t, claims, 1)
	path := "/billing/claims/" + claims[0].(map[string]any)["id"].(string) + "/control-number"
	o.biller().Put(t, path, harness.Body{"controlNumber": number}).OK(t)
}

// states counts lines by their state.
func states(lines []map[string]any) map[string]int {
	count := map[string]int{}
	for _, l := range lines {
		count[l["state"].(string)]++
	}
	return count
}

// reasonsOf returns the codes and fields of a line's reasons.
func reasonsOf(line map[string]any) []string {
	reasons := []string{}
	for _, each := range line["reasons"].([]any) {
		r := each.(map[string]any)
		text := r["code"].(string)
		if field, ok := r["field"].(string); ok {
			text += " " + field
		}
		reasons = append(reasons, text)
	}
	slices.Sort(reasons)
	return reasons
}

func TestLineOfASessionIsReady(t *testing.T) {
	t.Parallel()
	o := openBillingOffice(t)
	session := o.deliver(t, o.authorization, 2)
	lines := o.lines(t, "")
	require.Len(t, lines, 1)
	line := lines[0]
	require.Equal(t, "READY", line["state"], "%v", line["reasons"])
	for member, value := range map[string]any{
		"sessionId": harness.IDOf(session), "patientId": o.Own.Patient.String(), "payerId": o.payer.String(),
		"memberNumber": "M-4711", "authNumber": "A-1", "code": "97153", "placeOfService": "12", "units": 4.0, "minutes": 60.0,
		"renderingPractitionerId": o.technician.String(), "chargeCents": 6300.0, "frequency": "1",
		"diagnoses": []any{"F84.0"}, "serviceDate": o.Date(t, -2), "exportId": nil, "claimId": nil,
	} {
		require.Equal(t, value, line[member], member)
	}
	require.Empty(t, o.lines(t, "&state=BLOCKED"))
	require.Len(t, o.lines(t, "&state=READY&payerId="+o.payer.String()), 1)
	require.Empty(t, o.lines(t, "&payerId="+harness.NewID().String()))
}

func TestLineNamesEveryMissingField(t *testing.T) {
	t.Parallel()
	o := openBillingOffice(t)
	o.deliver(t, o.authorization, 2)
	admin := o.Admin()
	patient, practitioner := "/patients/"+o.Own.Patient.String(), "/practitioners/"+o.technician.String()
	insurance, payer := "/insurances/"+o.insurance.String(), "/payers/"+o.payer.String()
	without := func(field string) func() {
		return func() { admin.Put(t, "/billing-identity", billingIdentity(harness.Body{field: nil})).OK(t) }
	}
	all := func() { admin.Put(t, "/billing-identity", billingIdentity()).OK(t) }
	patched := func(path string, b harness.Body) func() { return func() { admin.Patch(t, path, b).OK(t) } }
	for _, test := range []struct {
		field        string
		remove, undo func()
	}{
		{"organization.npi", without("npi"), all},
		{"organization.taxId", without("taxId"), all},
		{"organization.taxonomyCode", without("taxonomyCode"), all},
		{"organization.address", without("address"), all},
		{"organization.submitterId", without("submitterId"), all},
		{"organization.contactName", without("contactName"), all},
		{"organization.contactPhone", without("contactPhone"), all},
		{"organization.receiverId", without("receiverId"), all},
		{"organization.receiverName", without("receiverName"), all},
		{"patient.sex", patched(patient, harness.Body{"sex": nil}), patched(patient, harness.Body{"sex": "MALE"})},
		{
			"patient.address", patched(patient, harness.Body{"address": nil}),
			patched(patient, harness.Body{"address": homeAddress}),
		},
		{
			"patient.name", patched(patient, harness.Body{"lastName": "李"}),
			patched(patient, harness.Body{"lastName": "Example"}),
		},
		{
			"practitioner.npi", patched(practitioner, harness.Body{"npi": nil}),
			patched(practitioner, harness.Body{"npi": "1234567893"}),
		},
		{
			"practitioner.taxonomyCode", patched(practitioner, harness.Body{"taxonomyCode": nil}),
			patched(practitioner, harness.Body{"taxonomyCode": "106S00000X"}),
		},
		{
			"insurance.relationship", patched(insurance, harness.Body{"relationship": nil}),
			patched(insurance, harness.Body{"relationship": "SELF"}),
		},
		{
			"insurance.subscriber", patched(insurance, harness.Body{"relationship": "CHILD"}),
			patched(insurance, harness.Body{"relationship": "SELF"}),
		},
		{"payer.payerCode", patched(payer, harness.Body{"payerCode": nil}), patched(payer, harness.Body{"payerCode": "60054"})},
		{
			"payer.claimFilingCode", patched(payer, harness.Body{"claimFilingCode": nil}),
			patched(payer, harness.Body{"claimFilingCode": "CI"}),
		},
		{
			"authorization.authNumber", patched(o.authorization, harness.Body{"authNumber": nil}),
			patched(o.authorization, harness.Body{"authNumber": "A-1"}),
		},
	} {
		t.Run(test.field, func(t *testing.T) {
			test.remove()
			require.Equal(t, []string{"missing " + test.field}, reasonsOf(o.lines(t, "&reason=missing")[0]))
			o.export(t).Refused(t, http.StatusConflict, "nothing-ready")
			test.undo()
			require.Empty(t, o.lines(t, "&reason=missing"))
		})
	}
}

func TestLineIsBlockedWithoutDiagnosisRateOrUnits(t *testing.T) {
	t.Parallel()
	o := openBillingOffice(t)
	other := o.AddPatient(t)
	insurance := o.insure(t, other, harness.Body{})
	advice := addService(t, o.Clinic, "97156")
	o.deliver(t, o.grant(t, insurance, "A-2", harness.Body{"patientId": other, "serviceCodeId": advice}), 2,
		harness.Body{"patientId": other, "serviceCodeId": advice})
	require.Equal(t, []string{"missing payer.rate"}, reasonsOf(o.lines(t, "")[0]))

	diagnosis := o.Admin().Get(t, "/diagnoses?patientId="+other).OK(t).Body["data"].([]any)[0].(map[string]any)["id"].(string)
	o.Admin().Patch(t, "/diagnoses/"+diagnosis, harness.Body{"endsOn": o.Date(t, -3)}).OK(t)
	require.Equal(t, []string{"missing patient.diagnoses", "missing payer.rate"}, reasonsOf(o.lines(t, "")[0]))

	short := o.Authorize(t, 4, harness.Body{"insuranceId": o.insurance, "authNumber": "A-3"})
	at := o.At(t, -4, "09:00")
	booked := o.Book(t, o.Booking(short, o.technician, at, time.Hour, harness.Body{"placeOfService": "12"}))
	completed(t, o.Clinic, booked, harness.Body{"startTime": at, "endTime": at.Add(90 * time.Minute), "confirm": true})
	require.Equal(t, []string{"unauthorized"}, reasonsOf(o.lines(t, "&reason=unauthorized")[0]))
	private := o.Authorize(t, 4)
	o.deliver(t, private, 5)
	require.Contains(t, reasonsOf(o.lines(t, "")[0]), "missing authorization.insuranceId")
}

func TestLineIsBlockedWithoutPlaceOfService(t *testing.T) {
	t.Parallel()
	o := openBillingOffice(t)
	session := o.deliver(t, o.authorization, 2, harness.Body{"placeOfService": nil})
	require.Equal(t, []string{"missing session.placeOfService"}, reasonsOf(o.lines(t, "")[0]))
	o.biller().Post(t, session+"/correct", harness.Body{"placeOfService": "03", "reason": "At school."}).OK(t)
	require.Equal(t, "03", o.lines(t, "&state=READY")[0]["placeOfService"])
}

func TestLineOfASupervisedTechnicianNeedsItsSupervisor(t *testing.T) {
	t.Parallel()
	o := openBillingOffice(t)
	technician, payer := "/practitioners/"+o.technician.String(), "/payers/"+o.payer.String()
	service := "/service-codes/" + o.Own.ServiceCode.String()
	supervisor := o.hire(t, "1245319599")
	session := o.deliver(t, o.authorization, 2)
	holding := func(credentials ...harness.Body) {
		o.Admin().Patch(t, technician, harness.Body{"credentials": credentials}).OK(t)
	}
	reasons := func() []string { return reasonsOf(o.lines(t, "")[0]) }
	missing := []string{"missing session.supervisingPractitionerId"}
	holding(harness.Body{"code": "RBT", "expiresOn": o.Date(t, -5)})
	require.Empty(t, reasons(), "no rule asks for a supervisor")
	for _, path := range []string{payer, service} {
		o.Admin().Patch(t, path, harness.Body{"supervisedCredentials": []string{"RBT", "BCaBA"}}).OK(t)
		require.Equal(t, []any{"BCaBA", "RBT"}, o.Admin().Get(t, path).OK(t).Body["supervisedCredentials"])
		require.Equal(t, missing, reasons(), path)
		o.Admin().Patch(t, path, harness.Body{"supervisedCredentials": []string{}}).OK(t)
		require.Empty(t, reasons(), path)
		o.Admin().Patch(t, path, harness.Body{"supervisedCredentials": []string{"not a code"}}).
			Refused(t, http.StatusUnprocessableEntity, "validation-failed")
	}
	o.Admin().Patch(t, payer, harness.Body{"supervisedCredentials": []string{"RBT"}}).OK(t)
	holding(harness.Body{"code": "RBT"}, harness.Body{"code": "BCBA"})
	require.Empty(t, reasons(), "an analyst needs none")
	holding(harness.Body{"code": "RBT"}, harness.Body{"code": "BCBA", "expiresOn": o.Date(t, -3)})
	require.Equal(t, missing, reasons(), "the other credential had expired")

	o.Admin().Patch(t, technician, harness.Body{"npi": nil}).OK(t)
	require.Equal(t, append([]string{"missing practitioner.npi"}, missing...), reasons())
	o.Admin().Patch(t, technician, harness.Body{"npi": "1234567893"}).OK(t)
	correct := func(by any) {
		o.biller().Post(t, session+"/correct", harness.Body{"supervisingPractitionerId": by, "reason": "Supervised."}).OK(t)
	}
	correct(o.technician)
	require.Equal(t, missing, reasons(), "a technician cannot supervise the own session")
	correct(supervisor)
	require.Equal(t, "READY", o.lines(t, "")[0]["state"])
}

func TestLineIsBlockedByAMissingNote(t *testing.T) {
	t.Parallel()
	o := openBillingOffice(t)
	session := o.deliver(t, o.authorization, 2)
	o.Admin().Patch(t, "/service-codes/"+o.Own.ServiceCode.String(),
		harness.Body{"note": harness.Body{"minLength": 5, "startsOn": "2020-01-01"}}).OK(t)
	require.Equal(t, []string{"missing-note"}, reasonsOf(o.lines(t, "")[0]))
	o.Admin().Put(t, session+"/note", harness.Body{"narrative": "Two new mands."}).OK(t)
	require.Empty(t, reasonsOf(o.lines(t, "&state=READY")[0]))
}

func TestExportTakesReadyLinesAndLocksTheirSessions(t *testing.T) {
	t.Parallel()
	o := openBillingOffice(t)
	o.LinkUsers(t, o.Own, o.technician, o.Own.Patient)
	first := o.deliver(t, o.authorization, 2)
	o.deliver(t, o.authorization, 3)
	o.deliver(t, o.Authorize(t, 10), 4) // without an insurance: blocked
	e := o.export(t)
	path := "/billing/exports/" + e.Created(t).String()
	require.Equal(t, []any{1.0, 2.0, 8.0, 12600.0}, []any{e.Body["claims"], e.Body["lines"], e.Body["units"], e.Body["chargeCents"]})
	require.Equal(t, map[string]int{"EXPORTED": 2, "BLOCKED": 1}, states(o.lines(t, "")))
	require.Equal(t, e.Body, harness.WithoutNames(o.biller().Get(t, path).OK(t).Body))
	require.Equal(t, []any{map[string]any(e.Body)},
		harness.WithoutNames(o.biller().Get(t, "/billing/exports?payerId="+o.payer.String()).OK(t).Body["data"]))
	o.export(t).Refused(t, http.StatusConflict, "nothing-ready")

	hashes := map[string]string{}
	for _, each := range e.Body["files"].([]any) {
		hashes[each.(map[string]any)["format"].(string)] = each.(map[string]any)["hash"].(string)
	}
	for format, file := range map[string]string{"CSV": "/csv", "JSON": "/json", "X12": "/x12"} {
		content := downloaded(t, o, path+file)
		sum := sha256.Sum256([]byte(content))
		require.Equal(t, hashes[format], hex.EncodeToString(sum[:]), format)
		require.Equal(t, content, downloaded(t, o, path+file), "a file can be downloaded again")
		require.NotContains(t, content, "narrative")
	}
	require.Equal(t, 3, strings.Count(downloaded(t, o, path+"/csv"), "\r\n"), "a heading and two lines")
	var filed struct{ Lines []map[string]any }
	require.NoError(t, json.Unmarshal([]byte(downloaded(t, o, path+"/json")), &filed))
	require.Len(t, filed.Lines, 2)

	for role, code := range map[rbac.Role]string{rbac.Practitioner: "session-exported"} {
		o.LinkUsers(t, o.Own, o.technician)
		as := o.As(o.Own.Tokens[role])
		a := as.Post(t, first+"/correct", harness.Body{"endTime": o.At(t, -2, "10:30"), "reason": "Late."})
		require.Contains(t, []string{code, "session-not-found"}, a.Text("code"), "%s", a.Raw)
	}
	o.Admin().Put(t, first+"/note", harness.Body{"narrative": "Later."}).Refused(t, http.StatusConflict, "session-exported")
}

// downloaded returns a file of an export.
func downloaded(t testing.TB, o billingOffice, path string) string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, o.URL+"/api/v1"+path, nil)
	require.NoError(t, err)
	request.Header.Set("Authorization", "Bearer "+o.Own.Tokens[rbac.Biller])
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	var text strings.Builder
	_, err = io.Copy(&text, response.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, response.StatusCode, text.String())
	return text.String()
}

func TestTechnicianCannotCorrectAnExportedSession(t *testing.T) {
	t.Parallel()
	o := openBillingOffice(t)
	o.LinkUsers(t, o.Own, o.technician, o.Own.Patient)
	start := o.Ago(3 * time.Hour)
	booked := o.Book(t, o.Booking(o.authorization, o.technician, start, time.Hour, harness.Body{"placeOfService": "12"}))
	session := "/sessions/" + completed(t, o.Clinic, booked)
	o.export(t).Created(t)
	technician := o.As(o.Own.Tokens[rbac.Technician])
	change := harness.Body{"endTime": start.Add(30 * time.Minute), "reason": "The child left early."}
	if a := technician.Post(t, session+"/correct", change); a.Text("code") != "correction-too-late" { // after midnight
		a.Refused(t, http.StatusConflict, "session-exported")
		technician.Post(t, session+"/correct/preview", harness.Body{"endTime": start.Add(30 * time.Minute)}).
			Refused(t, http.StatusConflict, "session-exported")
		technician.Post(t, session+"/void", harness.Body{"appointment": "CANCELLED", "reason": "Mistake."}).
			Refused(t, http.StatusConflict, "session-exported")
	}
	technician.Put(t, session+"/note", harness.Body{"narrative": "Later."}).Refused(t, http.StatusConflict, "session-exported")
	technician.Post(t, session+"/addenda", harness.Body{"text": "The mother was there."}).Created(t)
	o.biller().Post(t, session+"/correct", change).OK(t)
}

func TestCorrectionOfAnExportedSessionReplacesTheClaim(t *testing.T) {
	t.Parallel()
	o := openBillingOffice(t)
	session := o.deliver(t, o.authorization, 2)
	o.deliver(t, o.authorization, 3)
	first := o.export(t).Created(t)
	o.biller().Post(t, session+"/correct", harness.Body{"endTime": o.At(t, -2, "10:30"), "reason": "Late."}).OK(t)
	require.Equal(t, map[string]int{"SUPERSEDED": 2, "BLOCKED": 2}, states(o.lines(t, "")))
	for _, l := range o.lines(t, "&state=BLOCKED") {
		require.Equal(t, "7", l["frequency"])
		require.Equal(t, []string{"control-number"}, reasonsOf(l))
	}
	o.export(t).Refused(t, http.StatusConflict, "nothing-ready")
	o.enterControlNumber(t, first, "ICN-1")
	require.Equal(t, map[string]int{"SUPERSEDED": 2, "READY": 2}, states(o.lines(t, "")))
	second := o.export(t)
	second.Created(t)
	require.Equal(t, []any{1.0, 2.0, 6.0}, []any{second.Body["claims"], second.Body["lines"], second.Body["units"]})
	require.Equal(t, map[string]int{"SUPERSEDED": 2, "EXPORTED": 2}, states(o.lines(t, "")))
}

func TestVoidOfAnExportedSessionVoidsTheClaim(t *testing.T) {
	t.Parallel()
	o := openBillingOffice(t)
	session := o.deliver(t, o.authorization, 2)
	first := o.export(t).Created(t)
	o.biller().Post(t, session+"/void", harness.Body{"appointment": "CANCELLED", "reason": "It did not take place."}).OK(t)
	require.Equal(t, map[string]int{"SUPERSEDED": 1, "BLOCKED": 1}, states(o.lines(t, "")))
	o.enterControlNumber(t, first, "ICN-1")
	lines := o.lines(t, "&state=READY")
	require.Equal(t, "8", lines[0]["frequency"])
	second := o.export(t).Created(t)
	text := downloaded(t, o, "/billing/exports/"+second.String()+"/x12")
	require.Contains(t, text, ":B:8*")
	require.Contains(t, text, "REF*F8*ICN-1~")
	require.Equal(t, map[string]int{"SUPERSEDED": 1, "EXPORTED": 1}, states(o.lines(t, "")))
	o.RequireClean(t)
	o.biller().Post(t, "/billing/exports/"+first.String()+"/retract", harness.Body{"reason": "Rejected."}).
		Refused(t, http.StatusConflict, "export-replaced")
}

func TestRetractedExportMakesItsLinesReadyAgain(t *testing.T) {
	t.Parallel()
	o := openBillingOffice(t)
	session := o.deliver(t, o.authorization, 2)
	first := o.export(t).Created(t)
	path := "/billing/exports/" + first.String() + "/retract"
	done := o.biller().Post(t, path, harness.Body{"reason": "The clearinghouse rejected the file."}).OK(t)
	require.NotNil(t, done.Body["retractedAt"])
	require.Equal(t, map[string]int{"RETRACTED": 1, "READY": 1}, states(o.lines(t, "")))
	o.biller().Post(t, path, harness.Body{"reason": "Again."}).Refused(t, http.StatusConflict, "export-retracted")
	o.Admin().Put(t, session+"/note", harness.Body{"narrative": "Unlocked."}).OK(t)
	second := o.export(t)
	require.NotEqual(t, first, second.Created(t))
	require.EqualValues(t, 2, second.Body["number"])
	require.Equal(t, map[string]int{"RETRACTED": 1, "EXPORTED": 1}, states(o.lines(t, "")))
	o.biller().Post(t, "/billing/exports/"+harness.NewID().String()+"/retract", harness.Body{"reason": "Unknown."}).
		Refused(t, http.StatusNotFound, "export-not-found")
	o.biller().Put(t, "/billing/claims/"+harness.NewID().String()+"/control-number", harness.Body{"controlNumber": "1"}).
		Refused(t, http.StatusNotFound, "claim-not-found")
}

func TestReconciliationAccountsForEveryUnit(t *testing.T) {
	t.Parallel()
	o := openBillingOffice(t)
	o.deliver(t, o.authorization, 2)
	o.export(t).Created(t)
	o.deliver(t, o.authorization, 3)
	private := o.Authorize(t, 20)
	corrected := o.deliver(t, private, 4)
	o.Admin().Post(t, corrected+"/correct", harness.Body{"endTime": o.At(t, -4, "10:30"), "reason": "Late."}).OK(t)
	o.Admin().Post(t, private+"/reserve", harness.Body{"units": 3, "serviceDate": o.Date(t, -1)}).ReservationID(t)
	o.Admin().Post(t, private+"/consume", harness.Body{"units": 3}).OK(t)
	found := o.biller().Get(t, "/billing/reconciliation?"+o.days(t)).OK(t)
	for member, units := range map[string]int{
		"consumedUnits": 13, "exportedUnits": 4, "readyUnits": 4, "waitingUnits": 2, "unitsWithoutSession": 3,
	} {
		require.EqualValues(t, units, found.Body[member], member)
	}
	require.Equal(t, true, found.Body["agrees"])
	require.Len(t, found.Body["authorizations"], 2)
	o.RequireClean(t)
}

func TestVerificationFindsATamperedLine(t *testing.T) {
	t.Parallel()
	o := openBillingOffice(t)
	o.deliver(t, o.authorization, 2)
	o.export(t).Created(t)
	o.RequireClean(t)
	require.Error(t, o.TryAsProgram(t, "UPDATE billing_lines SET units = 5"))
	o.ExecAsOwner(t, "ALTER TABLE billing_lines DISABLE TRIGGER USER")
	o.ExecAsOwner(t, "UPDATE billing_lines SET units = 5")
	require.Equal(t, []string{
		"billing: 1 lines with 5 units", "billing: 5 units on exported lines",
		"reconciliation: 5 on claims, 0 waiting for a claim, 0 without a session",
	}, billingProblems(t, o))
	o.ExecAsOwner(t, "UPDATE billing_lines SET units = 4")
	o.ExecAsOwner(t, "ALTER TABLE billing_files DISABLE TRIGGER USER")
	o.ExecAsOwner(t, "UPDATE billing_files SET content = content || ' ' WHERE format = 'CSV'")
	require.Equal(t, []string{"billing: a file CSV with another hash"}, billingProblems(t, o))
}

// billingProblems returns the checks of a verification that fail, with what they found.
func billingProblems(t testing.TB, o billingOffice) []string {
	t.Helper()
	var all []string
	for _, each := range o.Admin().Verify(t).Body["problems"].([]any) {
		p := each.(map[string]any)
		all = append(all, p["check"].(string)+": "+p["found"].(string))
	}
	slices.Sort(all)
	return all
}

func TestVerificationFindsAServiceThatIsBilledTwice(t *testing.T) {
	t.Parallel()
	o := openBillingOffice(t)
	for _, daysAgo := range []int{2, 3} {
		o.deliver(t, o.authorization, daysAgo)
		o.export(t).Created(t)
	}
	o.deliver(t, o.authorization, 4)
	o.RequireClean(t)
	o.ExecAsOwner(t, "ALTER TABLE billing_lines DISABLE TRIGGER USER")
	o.ExecAsOwner(t, `UPDATE billing_lines SET (session_id, session_version) =
		(SELECT session_id, session_version FROM billing_lines ORDER BY service_date LIMIT 1)`)
	require.Equal(t, []string{"reconciliation: 8 on claims, 8 waiting for a claim, 0 without a session"}, billingProblems(t, o))
}

func TestVerificationFindsADeletedLine(t *testing.T) {
	t.Parallel()
	o := openBillingOffice(t)
	o.deliver(t, o.authorization, 2)
	o.deliver(t, o.authorization, 3)
	o.export(t).Created(t)
	o.ExecAsOwner(t, "ALTER TABLE billing_lines DISABLE TRIGGER USER")
	o.ExecAsOwner(t, "DELETE FROM billing_lines WHERE position = 2")
	require.Equal(t, []string{"billing: 1 lines with 4 units"}, billingProblems(t, o))
}

func TestBillingNeedsItsPermissions(t *testing.T) {
	t.Parallel()
	o := openBillingOffice(t)
	o.deliver(t, o.authorization, 2)
	id := o.export(t).Created(t).String()
	for _, role := range rbac.Roles() {
		as := o.As(o.Own.Tokens[role])
		allowed := role == rbac.Admin || role == rbac.Biller
		for _, path := range []string{
			"/billing/lines?" + o.days(t), "/billing/reconciliation?" + o.days(t), "/billing/exports", "/billing/exports/" + id,
			"/billing/exports/" + id + "/claims",
		} {
			require.Equal(t, allowed, as.Get(t, path).Status == http.StatusOK, "%s %s", role, path)
		}
		if !allowed {
			as.Post(t, "/billing/exports/"+id+"/retract", harness.Body{"reason": "x"}).Refused(t, http.StatusForbidden, "forbidden")
		}
	}
	other := o.As(o.Other.Tokens[rbac.Biller])
	require.Empty(t, other.Get(t, "/billing/exports").OK(t).Body["data"])
	other.Get(t, "/billing/exports/"+id).Refused(t, http.StatusNotFound, "export-not-found")
}
