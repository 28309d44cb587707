package e2e

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"omnirapeutic/e2e/harness"
)

// TestAMissingTableOrColumnIsUnavailableNotAnError runs the program on a schema with missing parts,
// like an old program during an upgrade, or a new one before it.
func TestAMissingTableOrColumnIsUnavailableNotAnError(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	path := c.Authorize(t, 10)
	patient := "/patients/" + c.Own.Patient.String()
	for name, test := range map[string]struct {
		change, restore string
		request         func() harness.Answer
	}{
		"a list of a missing table": {
			"ALTER TABLE service_codes RENAME TO service_codes_gone", "ALTER TABLE service_codes_gone RENAME TO service_codes",
			func() harness.Answer { return c.Admin().Get(t, "/service-codes") },
		},
		"a record with a missing column": {
			"ALTER TABLE patients RENAME COLUMN first_name TO given_name",
			"ALTER TABLE patients RENAME COLUMN given_name TO first_name",
			func() harness.Answer { return c.Admin().Patch(t, patient, harness.Body{"firstName": "Ada"}) },
		},
		"a booking with a missing column": {
			"ALTER TABLE unit_entries RENAME COLUMN kind TO movement", "ALTER TABLE unit_entries RENAME COLUMN movement TO kind",
			func() harness.Answer { return c.Admin().Post(t, path+"/reserve", harness.Body{"units": 1}) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			require.Less(t, test.request().Status, http.StatusMultipleChoices, "it works")
			c.ExecAsOwner(t, test.change)
			refused := test.request()
			c.ExecAsOwner(t, test.restore)
			refused.Refused(t, http.StatusServiceUnavailable, "schema-mismatch")
			require.NotEmpty(t, refused.Header.Get("Retry-After"))
			require.Less(t, test.request().Status, http.StatusMultipleChoices, "it works again")
		})
	}
}

// TestAnAddedColumnCausesNoFailedRequests adds a column to tables for which the program's
// connections have prepared statements.
func TestAnAddedColumnCausesNoFailedRequests(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	path := c.Authorize(t, 10)
	patient := "/patients/" + c.Own.Patient.String()
	requests := func() []harness.Answer {
		return []harness.Answer{
			c.Admin().Get(t, patient), c.Admin().Patch(t, patient,
				harness.Body{"firstName": "Ada"}), c.Admin().Get(t, "/patients"),
			c.Admin().Get(t, path), c.Admin().Get(t,
				path+"/entries"), c.Admin().Post(t, path+"/reserve", harness.Body{"units": 1}),
		}
	}
	for range 3 {
		requests()
	}
	for _, table := range []string{"patients", "authorizations", "unit_entries", "unit_reservations", "insurances"} {
		c.ExecAsOwner(t, "ALTER TABLE "+table+" ADD COLUMN added_later text")
	}
	for _, a := range requests() {
		require.Less(t, a.Status, http.StatusMultipleChoices, "%s", a.Raw)
	}
}
