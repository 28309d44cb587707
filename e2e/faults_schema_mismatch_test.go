package e2e

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestAMissingTableOrColumnIsUnavailableNotAnError runs the program on a schema with missing parts,
// like an old program during an upgrade, or a new one before it.
func TestAMissingTableOrColumnIsUnavailableNotAnError(t *testing.T) {
	t.Parallel()
	c := open(t)
	path := c.authorize(t, 10)
	patient := "/patients/" + c.own.patient.String()
	for name, test := range map[string]struct {
		change, restore string
		request         func() answer
	}{
		"a list of a missing table": {
			"ALTER TABLE service_codes RENAME TO service_codes_gone", "ALTER TABLE service_codes_gone RENAME TO service_codes",
			func() answer { return c.admin().get(t, "/service-codes") },
		},
		"a record with a missing column": {
			"ALTER TABLE patients RENAME COLUMN first_name TO given_name",
			"ALTER TABLE patients RENAME COLUMN given_name TO first_name",
			func() answer { return c.admin().patch(t, patient, body{"firstName": "Ada"}) },
		},
		"a booking with a missing column": {
			"ALTER TABLE unit_entries RENAME COLUMN kind TO movement", "ALTER TABLE unit_entries RENAME COLUMN movement TO kind",
			func() answer { return c.admin().post(t, path+"/reserve", body{"units": 1}) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			require.Less(t, test.request().status, http.StatusMultipleChoices, "it works")
			c.asOwner(t, test.change)
			refused := test.request()
			c.asOwner(t, test.restore)
			refused.refused(t, http.StatusServiceUnavailable, "schema-mismatch")
			require.NotEmpty(t, refused.header.Get("Retry-After"))
			require.Less(t, test.request().status, http.StatusMultipleChoices, "it works again")
		})
	}
}

// TestAnAddedColumnCausesNoFailedRequests adds a column to tables for which the program's
// connections have prepared statements.
func TestAnAddedColumnCausesNoFailedRequests(t *testing.T) {
	t.Parallel()
	c := open(t)
	path := c.authorize(t, 10)
	patient := "/patients/" + c.own.patient.String()
	requests := func() []answer {
		return []answer{
			c.admin().get(t, patient), c.admin().patch(t, patient, body{"firstName": "Ada"}), c.admin().get(t, "/patients"),
			c.admin().get(t, path), c.admin().get(t, path+"/entries"), c.admin().post(t, path+"/reserve", body{"units": 1}),
		}
	}
	for range 3 {
		requests()
	}
	for _, table := range []string{"patients", "authorizations", "unit_entries", "unit_reservations", "insurances"} {
		c.asOwner(t, "ALTER TABLE "+table+" ADD COLUMN added_later text")
	}
	for _, a := range requests() {
		require.Less(t, a.status, http.StatusMultipleChoices, "%s", a.raw)
	}
}
