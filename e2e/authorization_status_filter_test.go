package e2e

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omnirapeutic/e2e/harness"
)

// TestFilteredByStatus compares the two computations of status: the SQL that filters
// lists, and the Go code for single reads.
func TestFilteredByStatus(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	day := func(n int) string { return c.Clock.Now().AddDate(0, 0, n).Format(time.DateOnly) }
	state := map[string]string{} // status in single reads, by id

	for _, terms := range []harness.Body{
		{},
		{"status": "PENDING"},
		{"totalUnits": 0},
		{"startDate": day(3)},
		{"startDate": day(-30), "endDate": day(-3)},
		{"status": "PENDING", "startDate": day(-30), "endDate": day(-3)},
	} {
		for _, booking := range []harness.Body{
			nil, {"units": 10}, {"units": 10, "expiresInSeconds": 1}, {"units": 9}, {"units": 4, "expiresInSeconds": 600},
		} {
			path := c.Authorize(t, 10, terms)
			if booking != nil {
				booking["serviceDate"] = c.Admin().Get(t, path).Text("startDate")
				c.Admin().Post(t, path+"/reserve", booking)
			}
			state[strings.TrimPrefix(path, "/authorizations/")] = ""
		}
	}
	cancelled := c.Authorize(t, 10)
	require.Equal(t, http.StatusOK, c.Admin().Patch(t, cancelled, harness.Body{"status": "CANCELLED"}).Status)
	state[strings.TrimPrefix(cancelled, "/authorizations/")] = ""

	c.Clock.SetAhead(time.Minute) // the short holds have expired and were not swept
	seen := map[string]bool{}
	for id := range state {
		state[id] = c.Admin().Get(t, "/authorizations/"+id).Text("status")
		seen[state[id]] = true
	}
	require.Len(t, seen, 6, "every state occurs: %v", seen)
	for status := range seen {
		t.Run("it finds the ones that are "+status, func(t *testing.T) {
			want := map[string]string{}
			for id, s := range state {
				if s == status {
					want[id] = s
				}
			}
			got := map[string]string{}
			for _, item := range c.Admin().Get(t, "/authorizations?limit=200&status="+status).Body["data"].([]any) {
				found := item.(map[string]any)
				got[found["id"].(string)] = found["status"].(string)
			}
			require.Equal(t, want, got)
		})
	}
}
