package e2e

import (
	"net/http"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"omnirapeutic/e2e/harness"
)

// TestMissingRecordsAreNotFound calls every operation on a record that does not exist.
func TestMissingRecordsAreNotFound(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	unknown := uuid.New().String()
	for noun, code := range map[string]string{
		"organizations": "organization-not-found", "patients": "patient-not-found", "practitioners": "practitioner-not-found",
		"payers": "payer-not-found", "insurances": "insurance-not-found", "service-codes": "service-code-not-found",
		"locations":            "location-not-found",
		"cancellation-reasons": "cancellation-reason-not-found",
		"authorizations":       "authorization-not-found", "diagnoses": "diagnosis-not-found", "rates": "rate-not-found",
	} {
		path := "/" + noun + "/" + unknown
		c.Admin().Get(t, path).Refused(t, http.StatusNotFound, code)
		c.Admin().Patch(t, path, harness.Body{}).Refused(t, http.StatusNotFound, code)
	}
	c.Admin().Delete(t, "/authorizations/"+unknown).Refused(t, http.StatusNotFound, "authorization-not-found")
	path := c.Authorize(t, 4)
	for _, verb := range []string{"/release", "/consume"} {
		c.Admin().Post(t, path+verb, harness.Body{"reservationId": unknown}).
			Refused(t, http.StatusNotFound, "reservation-not-found")
	}
}

// TestUniqueValuesAreRefused gives two records a value that must be unique.
func TestUniqueValuesAreRefused(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	for noun, test := range map[string]struct {
		code   string
		unique harness.Body
		rest   harness.Body
	}{
		"/patients": {
			"medical-record-number-taken",
			harness.Body{"medicalRecordNumber": "MR-1"},
			harness.Body{"firstName": "A", "lastName": "B", "dateOfBirth": "2019-01-01"},
		},
		"/practitioners": {"npi-taken", harness.Body{"npi": "1234567893"}, harness.Body{"firstName": "A", "lastName": "B"}},
		"/service-codes": {"service-code-taken", harness.Body{"code": "97155"}, harness.Body{"description": "x"}},
	} {
		full := harness.Body{}
		for _, part := range []harness.Body{test.unique, test.rest} {
			for k, v := range part {
				full[k] = v
			}
		}
		c.Admin().Post(t, noun, full).Created(t)
		taken := c.Admin().Post(t, noun, full).Refused(t, http.StatusConflict, test.code)
		for field := range test.unique {
			require.Equal(t, field, taken.Body["field"])
			if field == "code" {
				test.rest["code"] = "97156"
			}
		}
		other := c.Admin().Post(t, noun, test.rest).Created(t)
		c.Admin().Patch(t, noun+"/"+other.String(), test.unique).Refused(t, http.StatusConflict, test.code)
	}
}

func TestNothingToReleaseOrToConsume(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	path := c.Authorize(t, 4)
	c.Admin().Post(t, path+"/release", harness.Body{"units": 1}).
		Refused(t, http.StatusConflict, "insufficient-reserved-units")
	c.Admin().Post(t, path+"/consume", harness.Body{"units": 1, "serviceDate": "2020-01-01"}).
		Refused(t, http.StatusConflict, "outside-authorization-dates")
	require.Equal(t, http.StatusOK, c.Admin().Post(t, path+"/consume", harness.Body{"units": 4}).Status)
	c.Admin().Post(t, path+"/consume", harness.Body{"units": 1}).Refused(t, http.StatusConflict, "insufficient-units")
	pending := c.Authorize(t, 4, harness.Body{"status": "PENDING"})
	c.Admin().Post(t, pending+"/consume", harness.Body{"units": 1}).
		Refused(t, http.StatusConflict, "authorization-not-active")
}
