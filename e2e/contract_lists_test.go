package e2e

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"omnirapeutic/e2e/harness"
	"omnirapeutic/modules/rbac"
)

func addPatientNamed(t testing.TB, c *harness.Clinic, name string) {
	t.Helper()
	c.Admin().Post(t, "/patients", harness.Body{"firstName": "A", "lastName": name, "dateOfBirth": "2019-01-01"}).
		Created(t)
}

func TestListsAreSortedAndStable(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	for _, name := range []string{"Rivera", "chen", "Ångström", "Chen", "o'Neil", "Zhou", "Abbott", "chen", "Li"} {
		addPatientNamed(t, c, name)
	}
	t.Run("by name, ignoring case", func(t *testing.T) {
		names := harness.Column(c.Admin().All(t, "/patients?sort=lastName&limit=2", nil), "lastName")
		require.True(t, slices.IsSortedFunc(names,
			func(a, b string) int { return strings.Compare(strings.ToLower(a), strings.ToLower(b)) }), "%v", names)
		require.Len(t, names, 10)
		backwards := harness.Column(c.Admin().All(t, "/patients?sort=-lastName&limit=3", nil), "id")
		slices.Reverse(backwards)
		require.Equal(t, harness.Column(c.Admin().All(t, "/patients?sort=lastName&limit=4", nil), "id"), backwards)
	})
	t.Run("records entered meanwhile move nothing", func(t *testing.T) {
		before := harness.Column(c.Admin().All(t, "/patients?sort=lastName&limit=200", nil), "id")
		seen := harness.Column(c.Admin().All(t, "/patients?sort=lastName&limit=2", func(page int) {
			addPatientNamed(t, c, fmt.Sprintf("Aa%d", page)) // sorts before everything shown
			addPatientNamed(t, c, fmt.Sprintf("Zz%d", page))
		}), "id")
		require.Len(t, slices.Compact(slices.Sorted(slices.Values(seen))), len(seen), "nothing twice")
		for _, id := range before {
			require.Contains(t, seen, id)
		}
	})
	t.Run("a cursor is valid for its list, filters, order and reader only", func(t *testing.T) {
		first := c.Admin().Get(t, "/patients?sort=lastName&limit=1")
		cursor := url.QueryEscape(first.Text("nextCursor"))
		require.NotContains(t, cursor, "Abbott")
		for _, path := range []string{
			"/patients?sort=-lastName&cursor=", "/patients?cursor=", "/patients?sort=lastName&status=ACTIVE&cursor=",
			"/practitioners?sort=lastName&cursor=",
		} {
			c.Admin().Get(t, path+cursor).Refused(t, http.StatusUnprocessableEntity, "validation-failed")
		}
		same := "/patients?sort=lastName&cursor=" + cursor
		require.Equal(t, http.StatusOK, c.Admin().Get(t, same).Status)
		c.As(c.Own.Tokens[rbac.Scheduler]).Get(t, same).Refused(t, http.StatusUnprocessableEntity, "validation-failed")
		c.As(c.Other.Tokens[rbac.Admin]).Get(t, same).Refused(t, http.StatusUnprocessableEntity, "validation-failed")
	})
	t.Run("another instance continues it", func(t *testing.T) {
		second := harness.SecondInstance(t, c, c.Database.Open(t))
		first := c.Admin().Get(t, "/patients?sort=lastName&limit=1")
		a := second.Admin().Get(t, "/patients?sort=lastName&limit=1&cursor="+url.QueryEscape(first.Text("nextCursor")))
		require.Equal(t, http.StatusOK, a.Status, "%s", a.Raw)
	})
	t.Run("it refuses unknown sort orders and filters", func(t *testing.T) {
		c.Admin().Get(t, "/patients?sort=firstName").Refused(t, http.StatusUnprocessableEntity, "validation-failed")
		c.Admin().Get(t, "/patients?order=lastName").Refused(t, http.StatusBadRequest, "malformed-request")
	})
}

func TestAuthorizationsAreSortedByTheirDates(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	for _, end := range []string{"2026-06-30", "2026-03-31", "2026-12-31", "2026-06-30", "2027-01-31"} {
		c.Authorize(t, 10, harness.Body{"startDate": "2026-01-01", "endDate": end})
	}
	ends := harness.Column(c.Admin().All(t, "/authorizations?sort=endDate&limit=2", nil), "endDate")
	require.Equal(t, []string{"2026-03-31", "2026-06-30", "2026-06-30", "2026-12-31", "2027-01-31"}, ends)
	slices.Reverse(ends)
	require.Equal(t, ends, harness.Column(c.Admin().All(t, "/authorizations?sort=-endDate&limit=1", nil), "endDate"))
	created := harness.Column(c.Admin().All(t, "/authorizations?limit=2", nil), "id")
	slices.Reverse(created)
	require.Equal(t, created, harness.Column(c.Admin().All(t, "/authorizations?sort=-createdAt&limit=2", nil), "id"))
	for _, list := range []string{
		"/practitioners?sort=-lastName", "/payers?sort=name", "/insurances?sort=startsOn", "/service-codes?sort=-code",
		"/locations?sort=-name", "/cancellation-reasons?sort=-code",
		"/organizations?sort=name",
	} {
		require.Equal(t, http.StatusOK, c.Admin().Get(t, list).Status)
	}
}

// TestInvalidRangesOfListsAreRefused checks that an invalid filter is an error and not an
// empty list.
func TestInvalidRangesOfListsAreRefused(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	for path, ends := range map[string][2]string{
		"/appointments":              {"2026-03-02", "2026-03-01"},
		"/sessions":                  {"2026-03-02", "2026-03-01"},
		"/admin/audit-events":        {"2026-03-02T00:00:00Z", "2026-03-01T00:00:00Z"},
		"/admin/audit-events/export": {"2026-03-02T00:00:00Z", "2026-03-01T00:00:00Z"},
	} {
		invalid := c.Admin().Get(t, path+"?from="+ends[0]+"&to="+ends[1]).
			Refused(t, http.StatusUnprocessableEntity, "validation-failed")
		require.Equal(t, "to must not be before from.", invalid.Body["detail"], path)
		for _, query := range []string{
			"?from=" + ends[1] + "&to=" + ends[0], "?from=" + ends[0] + "&to=" + ends[0], "?from=" + ends[0], "?to=" + ends[0],
		} {
			require.Equal(t, http.StatusOK, c.Admin().Get(t, path+query).Status, path+query)
		}
	}
}
