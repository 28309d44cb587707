package e2e

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"omnirapeutic/e2e/harness"
	"omnirapeutic/modules/rbac"
)

// homeAddress is an address of a patient.
var homeAddress = harness.Body{"line1": "12 Elm Street", "line2": nil, "city": "Albany", "state": "NY", "zip": "12207"}

// billingIdentity has all values of an organization's billing identity.
func billingIdentity(changes ...harness.Body) harness.Body {
	b := harness.Body{
		"npi": "1234567893", "taxId": "12-3456789", "taxonomyCode": "261QM0850X",
		"address":     harness.Body{"line1": "1 Main Street", "line2": "Suite 4", "city": "Albany", "state": "NY", "zip": "12207-1234"},
		"submitterId": "OMNI01", "contactName": "Bo Biller", "contactPhone": "5185550100",
		"receiverId": "CLEARING", "receiverName": "Harbor Clearinghouse",
	}
	for _, change := range changes {
		for k, v := range change {
			b[k] = v
		}
	}
	return b
}

func TestBillingIdentityIsReplacedAsAWhole(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	before := c.Admin().Get(t, "/billing-identity").OK(t)
	require.Nil(t, before.Body["npi"])
	require.Nil(t, before.Body["address"])
	set := c.Admin().Put(t, "/billing-identity", billingIdentity()).OK(t)
	require.Equal(t, "123456789", set.Text("taxId"))
	require.Equal(t, "122071234", set.Body["address"].(map[string]any)["zip"])
	require.EqualValues(t, 2, set.Body["version"])
	require.Equal(t, set.Body, c.As(c.Own.Tokens[rbac.Biller]).Get(t, "/billing-identity").OK(t).Body)
	c.As(c.Own.Tokens[rbac.Biller]).Put(t, "/billing-identity", billingIdentity()).Refused(t, http.StatusForbidden, "forbidden")
	c.Admin().WithHeader("If-Match", `"1"`).Put(t, "/billing-identity", billingIdentity()).
		Refused(t, http.StatusPreconditionFailed, "stale-version")
	require.Nil(t, c.Admin().Put(t, "/billing-identity", harness.Body{"npi": "1234567893"}).OK(t).Body["taxId"])
	require.Nil(t, c.As(c.Other.Tokens[rbac.Admin]).Get(t, "/billing-identity").OK(t).Body["npi"])
}

func TestBillingIdentityNamesInvalidFields(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	short := harness.Body{"line1": "1 Main Street", "city": "Albany", "state": "NY", "zip": "12207"}
	for field, change := range map[string]harness.Body{
		"npi":          {"npi": "1234567890"},
		"taxId":        {"taxId": "12345"},
		"taxonomyCode": {"taxonomyCode": "103K"},
		"address.zip":  {"address": short},
		"contactPhone": {"contactPhone": "555"},
	} {
		refused := c.Admin().Put(t, "/billing-identity", billingIdentity(change)).
			Refused(t, http.StatusUnprocessableEntity, "validation-failed")
		require.Equal(t, field, refused.Body["errors"].([]any)[0].(map[string]any)["field"], "%s", refused.Raw)
	}
}

func TestRecordsHaveTheDataOfClaims(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	patient := "/patients/" + c.Own.Patient.String()
	require.Nil(t, c.Admin().Get(t, patient).Body["address"])
	changed := c.Admin().Patch(t, patient, harness.Body{"sex": "FEMALE", "address": homeAddress}).OK(t)
	require.Equal(t, "FEMALE", changed.Text("sex"))
	require.Equal(t, map[string]any(homeAddress), changed.Body["address"])
	require.Equal(t, changed.Body, c.Admin().Get(t, patient).Body)
	require.Nil(t, c.Admin().Patch(t, patient, harness.Body{"address": nil}).OK(t).Body["address"])
	wrong := harness.Body{"line1": "12 Elm Street", "city": "Albany", "state": "ny", "zip": "1220"}
	c.Admin().Patch(t, patient, harness.Body{"address": wrong}).Refused(t, http.StatusUnprocessableEntity, "validation-failed")

	practitioner := "/practitioners/" + c.AddPractitioner(t).String()
	c.Admin().Patch(t, practitioner, harness.Body{"taxonomyCode": "nonsense"}).
		Refused(t, http.StatusUnprocessableEntity, "validation-failed")
	require.Equal(t, "106S00000X",
		c.Admin().Patch(t, practitioner, harness.Body{"taxonomyCode": "106S00000X"}).OK(t).Text("taxonomyCode"))

	payer := c.Admin().Post(t, "/payers", harness.Body{"name": "Medicaid", "claimFilingCode": "MC"}).Created(t)
	require.Equal(t, "MC", c.Admin().Get(t, "/payers/"+payer.String()).Text("claimFilingCode"))
	c.Admin().Patch(t, "/payers/"+payer.String(), harness.Body{"claimFilingCode": "medicaid"}).
		Refused(t, http.StatusUnprocessableEntity, "validation-failed")

	insurance := c.Admin().Post(t, "/insurances", harness.Body{
		"patientId": c.Own.Patient, "payerId": payer, "memberNumber": "M-1", "startsOn": "2020-01-01", "relationship": "CHILD",
		"subscriberFirstName": "Ana", "subscriberLastName": "Example",
	}).Created(t)
	own := c.Admin().Patch(t, "/insurances/"+insurance.String(), harness.Body{
		"relationship": "SELF", "subscriberFirstName": nil, "subscriberLastName": nil,
	}).OK(t)
	require.Equal(t, "SELF", own.Text("relationship"))
	require.Nil(t, own.Body["subscriberLastName"])
}

func TestDiagnosesHaveRanksAndDates(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	biller := c.As(c.Own.Tokens[rbac.Biller])
	created := biller.Post(t, "/diagnoses", harness.Body{"patientId": c.Own.Patient, "code": "f840", "startsOn": "2024-01-01"})
	path := "/diagnoses/" + created.Created(t).String()
	require.Equal(t, "F84.0", created.Text("code"))
	require.EqualValues(t, 1, created.Body["rank"])
	biller.Post(t, "/diagnoses", harness.Body{"patientId": c.Own.Patient, "code": "F84.0", "startsOn": "2024-01-01"}).
		Refused(t, http.StatusConflict, "diagnosis-taken")
	biller.Post(t, "/diagnoses", harness.Body{"patientId": c.Own.Patient, "code": "autism", "startsOn": "2024-01-01"}).
		Refused(t, http.StatusUnprocessableEntity, "validation-failed")
	biller.Post(t, "/diagnoses", harness.Body{"patientId": c.Other.Patient, "code": "F84.0", "startsOn": "2024-01-01"}).
		Refused(t, http.StatusUnprocessableEntity, "validation-failed")
	require.EqualValues(t, 2, biller.Patch(t, path, harness.Body{"rank": 2, "endsOn": "2025-12-31"}).OK(t).Body["rank"])
	biller.Patch(t, path, harness.Body{"endsOn": "2023-12-31"}).Refused(t, http.StatusUnprocessableEntity, "validation-failed")
	again := biller.Post(t, "/diagnoses", harness.Body{"patientId": c.Own.Patient, "code": "F84.0", "startsOn": "2026-02-01"}).
		Created(t)
	biller.Patch(t, "/diagnoses/"+again.String(), harness.Body{"startsOn": "2024-01-01"}).
		Refused(t, http.StatusConflict, "diagnosis-taken")
	require.Len(t, biller.All(t, "/diagnoses?patientId="+c.Own.Patient.String(), nil), 2)
	for role, allowed := range map[rbac.Role]bool{
		rbac.Admin: true, rbac.Practitioner: true, rbac.Biller: true, rbac.Scheduler: false, rbac.Technician: false,
		rbac.Auditor: false, rbac.Patient: false, rbac.SuperAdmin: false,
	} {
		require.Equal(t, allowed, c.As(c.Own.Tokens[role]).Get(t, path).Status == http.StatusOK, role)
	}
}

func TestRatesAreDated(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	biller := c.As(c.Own.Tokens[rbac.Biller])
	payer := c.Admin().Post(t, "/payers", harness.Body{"name": "Medicaid"}).Created(t)
	rate := harness.Body{"payerId": payer, "serviceCodeId": c.Own.ServiceCode, "startsOn": "2024-01-01", "centsPerUnit": 1575}
	path := "/rates/" + biller.Post(t, "/rates", rate).Created(t).String()
	biller.Post(t, "/rates", rate).Refused(t, http.StatusConflict, "rate-taken")
	rate["startsOn"] = "2025-01-01"
	biller.Post(t, "/rates", rate).Created(t)
	require.EqualValues(t, 1600, biller.Patch(t, path, harness.Body{"centsPerUnit": 1600}).OK(t).Body["centsPerUnit"])
	require.Len(t, biller.All(t, "/rates?payerId="+payer.String(), nil), 2)
	biller.Post(t, "/rates", harness.Body{
		"payerId": harness.NewID(), "serviceCodeId": harness.NewID(), "startsOn": "2024-01-01", "centsPerUnit": 1,
	}).Refused(t, http.StatusUnprocessableEntity, "validation-failed")
}
