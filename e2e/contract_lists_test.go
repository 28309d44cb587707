package e2e

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"omnirapeutic/modules/rbac"
)

// all reads every page of a list, and calls between before each page but the first.
func (c caller) all(t testing.TB, path string, between func(page int)) []map[string]any {
	t.Helper()
	var found []map[string]any
	next := path
	for page := 0; ; page++ {
		if page > 0 && between != nil {
			between(page)
		}
		a := c.get(t, next)
		require.Equal(t, http.StatusOK, a.status, "%s", a.raw)
		for _, item := range a.body["data"].([]any) {
			found = append(found, item.(map[string]any))
		}
		cursor, ok := a.body["nextCursor"].(string)
		if !ok {
			return found
		}
		next = path + "&cursor=" + url.QueryEscape(cursor)
	}
}

func column(items []map[string]any, name string) []string {
	values := make([]string, len(items))
	for i, item := range items {
		values[i] = item[name].(string)
	}
	return values
}

func (c *clinic) patientNamed(t testing.TB, name string) {
	t.Helper()
	c.admin().post(t, "/patients", body{"firstName": "A", "lastName": name, "dateOfBirth": "2019-01-01"}).created(t)
}

func TestListsAreSortedAndStable(t *testing.T) {
	t.Parallel()
	c := open(t)
	for _, name := range []string{"Rivera", "chen", "Ångström", "Chen", "o'Neil", "Zhou", "Abbott", "chen", "Li"} {
		c.patientNamed(t, name)
	}
	t.Run("by name, ignoring case", func(t *testing.T) {
		names := column(c.admin().all(t, "/patients?sort=lastName&limit=2", nil), "lastName")
		require.True(t, slices.IsSortedFunc(names,
			func(a, b string) int { return strings.Compare(strings.ToLower(a), strings.ToLower(b)) }), "%v", names)
		require.Len(t, names, 10)
		backwards := column(c.admin().all(t, "/patients?sort=-lastName&limit=3", nil), "id")
		slices.Reverse(backwards)
		require.Equal(t, column(c.admin().all(t, "/patients?sort=lastName&limit=4", nil), "id"), backwards)
	})
	t.Run("records entered meanwhile move nothing", func(t *testing.T) {
		before := column(c.admin().all(t, "/patients?sort=lastName&limit=200", nil), "id")
		seen := column(c.admin().all(t, "/patients?sort=lastName&limit=2", func(page int) {
			c.patientNamed(t, fmt.Sprintf("Aa%d", page)) // sorts before everything shown
			c.patientNamed(t, fmt.Sprintf("Zz%d", page))
		}), "id")
		require.Len(t, slices.Compact(slices.Sorted(slices.Values(seen))), len(seen), "nothing twice")
		for _, id := range before {
			require.Contains(t, seen, id)
		}
	})
	t.Run("a cursor is valid for its list, filters, order and reader only", func(t *testing.T) {
		first := c.admin().get(t, "/patients?sort=lastName&limit=1")
		cursor := url.QueryEscape(first.text("nextCursor"))
		require.NotContains(t, cursor, "Abbott")
		for _, path := range []string{
			"/patients?sort=-lastName&cursor=", "/patients?cursor=", "/patients?sort=lastName&status=ACTIVE&cursor=",
			"/practitioners?sort=lastName&cursor=",
		} {
			c.admin().get(t, path+cursor).refused(t, http.StatusUnprocessableEntity, "validation-failed")
		}
		same := "/patients?sort=lastName&cursor=" + cursor
		require.Equal(t, http.StatusOK, c.admin().get(t, same).status)
		c.as(c.own.tokens[rbac.Scheduler]).get(t, same).refused(t, http.StatusUnprocessableEntity, "validation-failed")
		c.as(c.other.tokens[rbac.Admin]).get(t, same).refused(t, http.StatusUnprocessableEntity, "validation-failed")
	})
	t.Run("another instance continues it", func(t *testing.T) {
		second := secondInstance(t, c, c.database.Open(t))
		first := c.admin().get(t, "/patients?sort=lastName&limit=1")
		a := second.admin().get(t, "/patients?sort=lastName&limit=1&cursor="+url.QueryEscape(first.text("nextCursor")))
		require.Equal(t, http.StatusOK, a.status, "%s", a.raw)
	})
	t.Run("it refuses unknown sort orders and filters", func(t *testing.T) {
		c.admin().get(t, "/patients?sort=firstName").refused(t, http.StatusUnprocessableEntity, "validation-failed")
		c.admin().get(t, "/patients?order=lastName").refused(t, http.StatusBadRequest, "malformed-request")
	})
}

func TestAuthorizationsAreSortedByTheirDates(t *testing.T) {
	t.Parallel()
	c := open(t)
	for _, end := range []string{"2026-06-30", "2026-03-31", "2026-12-31", "2026-06-30", "2027-01-31"} {
		c.authorize(t, 10, body{"startDate": "2026-01-01", "endDate": end})
	}
	ends := column(c.admin().all(t, "/authorizations?sort=endDate&limit=2", nil), "endDate")
	require.Equal(t, []string{"2026-03-31", "2026-06-30", "2026-06-30", "2026-12-31", "2027-01-31"}, ends)
	slices.Reverse(ends)
	require.Equal(t, ends, column(c.admin().all(t, "/authorizations?sort=-endDate&limit=1", nil), "endDate"))
	created := column(c.admin().all(t, "/authorizations?limit=2", nil), "id")
	slices.Reverse(created)
	require.Equal(t, created, column(c.admin().all(t, "/authorizations?sort=-createdAt&limit=2", nil), "id"))
	for _, list := range []string{
		"/practitioners?sort=-lastName", "/payers?sort=name", "/insurances?sort=startsOn", "/service-codes?sort=-code",
		"/organizations?sort=name",
	} {
		require.Equal(t, http.StatusOK, c.admin().get(t, list).status)
	}
}

// TestInvalidRangesOfListsAreRefused checks that an invalid filter is an error and not an
// empty list.
func TestInvalidRangesOfListsAreRefused(t *testing.T) {
	t.Parallel()
	c := open(t)
	for path, ends := range map[string][2]string{
		"/appointments":              {"2026-03-02", "2026-03-01"},
		"/sessions":                  {"2026-03-02", "2026-03-01"},
		"/admin/audit-events":        {"2026-03-02T00:00:00Z", "2026-03-01T00:00:00Z"},
		"/admin/audit-events/export": {"2026-03-02T00:00:00Z", "2026-03-01T00:00:00Z"},
	} {
		invalid := c.admin().get(t, path+"?from="+ends[0]+"&to="+ends[1]).
			refused(t, http.StatusUnprocessableEntity, "validation-failed")
		require.Equal(t, "to must not be before from.", invalid.body["detail"], path)
		for _, query := range []string{
			"?from=" + ends[1] + "&to=" + ends[0], "?from=" + ends[0] + "&to=" + ends[0], "?from=" + ends[0], "?to=" + ends[0],
		} {
			require.Equal(t, http.StatusOK, c.admin().get(t, path+query).status, path+query)
		}
	}
}
