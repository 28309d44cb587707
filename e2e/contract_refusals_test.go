package e2e

import (
	"net/http"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

// TestMissingRecordsAreNotFound calls every operation on a record that does not exist.
func TestMissingRecordsAreNotFound(t *testing.T) {
	t.Parallel()
	c := open(t)
	unknown := uuid.New().String()
	for noun, code := range map[string]string{
		"organizations": "organization-not-found", "patients": "patient-not-found", "practitioners": "practitioner-not-found",
		"payers": "payer-not-found", "insurances": "insurance-not-found", "service-codes": "service-code-not-found",
		"authorizations": "authorization-not-found",
	} {
		path := "/" + noun + "/" + unknown
		c.admin().get(t, path).refused(t, http.StatusNotFound, code)
		c.admin().patch(t, path, body{}).refused(t, http.StatusNotFound, code)
	}
	c.admin().delete(t, "/authorizations/"+unknown).refused(t, http.StatusNotFound, "authorization-not-found")
	path := c.authorize(t, 4)
	for _, verb := range []string{"/release", "/consume"} {
		c.admin().post(t, path+verb, body{"reservationId": unknown}).refused(t, http.StatusNotFound, "reservation-not-found")
	}
}

// TestUniqueValuesAreRefused gives two records a value that must be unique.
func TestUniqueValuesAreRefused(t *testing.T) {
	t.Parallel()
	c := open(t)
	for noun, test := range map[string]struct {
		code   string
		unique body
		rest   body
	}{
		"/patients": {
			"medical-record-number-taken",
			body{"medicalRecordNumber": "MR-1"},
			body{"firstName": "A", "lastName": "B", "dateOfBirth": "2019-01-01"},
		},
		"/practitioners": {"npi-taken", body{"npi": "1234567893"}, body{"firstName": "A", "lastName": "B"}},
		"/service-codes": {"service-code-taken", body{"code": "97155"}, body{"description": "x"}},
	} {
		full := body{}
		for _, part := range []body{test.unique, test.rest} {
			for k, v := range part {
				full[k] = v
			}
		}
		c.admin().post(t, noun, full).created(t)
		taken := c.admin().post(t, noun, full).refused(t, http.StatusConflict, test.code)
		for field := range test.unique {
			require.Equal(t, field, taken.body["field"])
			if field == "code" {
				test.rest["code"] = "97156"
			}
		}
		other := c.admin().post(t, noun, test.rest).created(t)
		c.admin().patch(t, noun+"/"+other.String(), test.unique).refused(t, http.StatusConflict, test.code)
	}
}

func TestNothingToReleaseOrToConsume(t *testing.T) {
	t.Parallel()
	c := open(t)
	path := c.authorize(t, 4)
	c.admin().post(t, path+"/release", body{"units": 1}).refused(t, http.StatusConflict, "insufficient-reserved-units")
	c.admin().post(t, path+"/consume", body{"units": 1, "serviceDate": "2020-01-01"}).
		refused(t, http.StatusConflict, "outside-authorization-dates")
	require.Equal(t, http.StatusOK, c.admin().post(t, path+"/consume", body{"units": 4}).status)
	c.admin().post(t, path+"/consume", body{"units": 1}).refused(t, http.StatusConflict, "insufficient-units")
	pending := c.authorize(t, 4, body{"status": "PENDING"})
	c.admin().post(t, pending+"/consume", body{"units": 1}).refused(t, http.StatusConflict, "authorization-not-active")
}
