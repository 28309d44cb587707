package e2e

import (
	"encoding/json"

	"github.com/stretchr/testify/require"

	"omnirapeutic/e2e/harness"
	"omnirapeutic/modules/rbac"
	"omnirapeutic/platform/openapi"
)

// recordBilling exports a session, and retracts the export.
func (s *recording) recordBilling(admin harness.Caller) {
	c := s.c
	biller := c.As(c.Own.Tokens[rbac.Biller])
	patient := c.Own.Patient.String()
	admin.Patch(s.t, "/patients/"+patient, harness.Body{"sex": "FEMALE", "address": homeAddress}).OK(s.t)
	payer := admin.Post(s.t, "/payers",
		harness.Body{"name": "Harbor Health", "payerCode": "87726", "claimFilingCode": "CI"}).Created(s.t)
	insurance := admin.Post(s.t, "/insurances", harness.Body{
		"patientId": patient, "payerId": payer, "memberNumber": "M-55830", "startsOn": "2026-01-01", "relationship": "SELF",
	}).Created(s.t)
	authorization := admin.Post(s.t, "/authorizations", harness.Body{
		"patientId": patient, "serviceCodeId": c.Own.ServiceCode, "insuranceId": insurance, "authNumber": "AUTH-5001",
		"totalUnits": 24, "startDate": "2026-01-15", "endDate": "2026-07-14",
	}).Created(s.t)
	admin.Patch(s.t, "/service-codes/"+c.Own.ServiceCode.String(), harness.Body{"note": nil}).OK(s.t)
	practitioner := c.AddPractitioner(s.t, "RBT")
	admin.Patch(s.t, "/practitioners/"+practitioner.String(),
		harness.Body{"npi": "1245319599", "taxonomyCode": "106S00000X"}).OK(s.t)
	booked := c.Book(s.t, harness.Body{
		"patientId": patient, "practitionerId": practitioner, "serviceCodeId": c.Own.ServiceCode,
		"authorizationId": authorization, "startTime": "2026-02-24T15:00:00Z", "endTime": "2026-02-24T16:00:00Z",
		"placeOfService": "12",
	})
	admin.Post(s.t, booked+"/complete", harness.Body{}).OK(s.t)

	const days = "from=2026-02-24&to=2026-02-24"
	export := harness.Body{"payerId": payer, "from": "2026-02-24", "to": "2026-02-24"}
	s.record(biller, "listBillingLines", "A missing rate", "/billing/lines?"+days+"&state=BLOCKED", nil)
	s.record(biller, "createBillingExport", "Everything is blocked", "/billing/exports", export)
	admin.Post(s.t, "/rates", harness.Body{
		"payerId": payer, "serviceCodeId": c.Own.ServiceCode, "startsOn": "2026-01-01", "centsPerUnit": 1575,
	}).Created(s.t)
	path := "/billing/exports/" +
		s.record(biller, "createBillingExport", "All ready lines of a payer", "/billing/exports", export).Created(s.t).String()
	s.record(biller, "listBillingLines", "Exported lines", "/billing/lines?"+days+"&state=EXPORTED", nil)
	s.record(biller, "listBillingExports", "The exports of a payer", "/billing/exports?payerId="+payer.String(), nil)
	s.record(biller, "getBillingExport", "An export", path, nil)
	claims := s.record(biller, "listBillingClaims", "The claims of an export", path+"/claims", nil).Body["data"].([]any)
	s.record(biller, "setClaimControlNumber", "From the remittance advice",
		"/billing/claims/"+claims[0].(map[string]any)["id"].(string)+"/control-number",
		harness.Body{"controlNumber": "2026055000123"})
	for operation, file := range map[string]string{
		"downloadBillingExportCsv": "/csv", "downloadBillingExportJson": "/json", "downloadBillingExportX12": "/x12",
	} {
		a := biller.GetRaw(s.t, path+file)
		s.store(s.routes[operation], a)
		text := a.Raw
		if file != "/json" {
			var err error
			text, err = json.Marshal(string(a.Raw))
			require.NoError(s.t, err)
		}
		s.examples[operation] = []openapi.Example{{
			Name: "a-file", Summary: "A file", Status: a.Status, Path: map[string]string{"id": harness.IDOf(path)},
			Response: text,
		}}
	}
	s.record(biller, "reconcileBilling", "A day", "/billing/reconciliation?"+days, nil)
	s.record(biller, "retractBillingExport", "A rejected file", path+"/retract",
		harness.Body{"reason": "The clearinghouse rejected the file."})
	s.record(biller, "retractBillingExport", "It was retracted before", path+"/retract", harness.Body{"reason": "Again."})
}
