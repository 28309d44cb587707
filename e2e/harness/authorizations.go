package harness

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

// Authorize creates an authorization that is valid this year and returns its path.
func (c *Clinic) Authorize(t testing.TB, total int, changes ...Body) string {
	t.Helper()
	today := c.Clock.Now()
	b := Body{
		"patientId": c.Own.Patient, "serviceCodeId": c.Own.ServiceCode, "totalUnits": total,
		"startDate": today.AddDate(0, -1, 0).Format(time.DateOnly), "endDate": today.AddDate(0, 6, 0).Format(time.DateOnly),
	}
	for _, change := range changes {
		for k, v := range change {
			b[k] = v
		}
	}
	return "/authorizations/" + c.Admin().Post(t, "/authorizations", b).Created(t).String()
}

// RequireBalance checks the counters of an authorization.
func (c *Clinic) RequireBalance(t testing.TB, path string, total, used, scheduled int) {
	t.Helper()
	a := c.Admin().Get(t, path)
	require.Equal(t, http.StatusOK, a.Status, "%s", a.Raw)
	require.Equal(t, []int{total, used, scheduled, total - used - scheduled},
		[]int{
			a.Number(t, "totalUnits"), a.Number(t, "usedUnits"), a.Number(t, "scheduledUnits"),
			a.Number(t, "availableUnits"),
		},
		"total, used, scheduled, available in %s", a.Raw)
}

// RequireScheduledUnits checks the sum of scheduled units on authorizations.
func (c *Clinic) RequireScheduledUnits(t testing.TB, scheduled int, paths ...string) {
	t.Helper()
	sum := 0
	for _, path := range paths {
		sum += c.Admin().Get(t, path).Number(t, "scheduledUnits")
	}
	require.Equal(t, scheduled, sum)
}

// CountEntries counts the authorization's entries of one kind.
func (c *Clinic) CountEntries(t testing.TB, path, kind string) (n int) {
	t.Helper()
	for _, item := range c.Admin().Get(t, path+"/entries?limit=200").Body["data"].([]any) {
		if item.(map[string]any)["kind"] == kind {
			n++
		}
	}
	return n
}

// BulkItem returns a bulk's item on the authorization with that path.
func BulkItem(path, operation string, fields Body) Body {
	item := Body{"operation": operation, "authorizationId": strings.TrimPrefix(path, "/authorizations/")}
	for k, v := range fields {
		item[k] = v
	}
	return item
}

// BulkBody returns the body of a bulk of operations.
func BulkBody(items ...Body) Body { return Body{"operations": items} }

// AddInsurance creates a payer with a setting, such as its rounding, and an insurance of the
// own practice's patient by the payer. It returns the id of the insurance.
func (c *Clinic) AddInsurance(t testing.TB, setting string, value any) uuid.UUID {
	t.Helper()
	payer := c.Admin().Post(t, "/payers", Body{"name": fmt.Sprint("Plan ", value), setting: value}).Created(t)
	return c.Admin().Post(t, "/insurances", Body{
		"patientId": c.Own.Patient, "payerId": payer, "memberNumber": "M-1", "startsOn": "2020-01-01",
	}).Created(t)
}
