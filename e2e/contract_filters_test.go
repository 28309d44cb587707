package e2e

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omnirapeutic/modules/rbac"
)

// TestEveryBooleanFilterHasThreeStates requests each list with a boolean filter three times: all,
// true, and false. Both halves are not empty, and together they are all. It finds the filters in
// the OpenAPI document.
func TestEveryBooleanFilterHasThreeStates(t *testing.T) {
	t.Parallel()
	c := open(t)
	fixtures := map[string]func(t *testing.T) (path string){
		"listReservations open":        c.openAndReleased,
		"listSessions unauthorized":    c.authorizedAndNot,
		"listAlerts acknowledged":      c.acknowledgedAndNot,
		"reportExpiring renewed":       c.renewedAndNot,
		"listUsers disabled":           c.enabledAndNot,
		"listEmergencyGrants reviewed": c.reviewedAndNot,
		"listEmergencyGrants open":     c.reviewedAndNot,
	}
	operations, _ := readOperations(t)
	found := []string{}
	for _, op := range operations {
		for _, p := range op.parameters {
			if p.in == "query" && p.schema["type"] == "boolean" {
				found = append(found, op.name+" "+p.name)
			}
		}
	}
	slices.Sort(found)
	for _, filter := range found {
		t.Run(filter, func(t *testing.T) {
			fixture, ok := fixtures[filter]
			require.True(t, ok, "a new filter needs records on both sides")
			path := fixture(t)
			_, name, _ := strings.Cut(filter, " ")
			ids := func(query string) []string {
				separator := "?"
				if strings.Contains(path, "?") {
					separator = "&"
				}
				var all []string
				for _, item := range c.admin().get(t, path+separator+"limit=200"+query).ok(t).body["data"].([]any) {
					record := item.(map[string]any)
					id, _ := record["id"].(string)
					kind, _ := record["kind"].(string) // of an alert
					all = append(all, id+kind)
				}
				slices.Sort(all)
				return all
			}
			yes, no := ids("&"+name+"=true"), ids("&"+name+"=false")
			require.NotEmpty(t, yes)
			require.NotEmpty(t, no)
			both := append(slices.Clone(yes), no...)
			slices.Sort(both)
			require.Equal(t, ids(""), both)
		})
	}
}

func (c *clinic) openAndReleased(t *testing.T) string {
	path := c.authorize(t, 20)
	released := c.admin().post(t, path+"/reserve", body{"units": 1}).reservationID(t)
	c.admin().post(t, path+"/release", body{"reservationId": released}).ok(t)
	c.admin().post(t, path+"/reserve", body{"units": 2}).reservationID(t)
	return path + "/reservations"
}

func (c *clinic) authorizedAndNot(t *testing.T) string {
	path, who := c.authorize(t, 5), c.employ(t)
	for i, length := range []time.Duration{time.Hour, 90 * time.Minute} {
		at := c.hour(t, -2-i, "09:00")
		booked := c.book(t, c.booking(path, who, at, 15*time.Minute))
		c.admin().post(t, booked+"/complete", body{"startTime": at, "endTime": at.Add(length), "confirm": true}).ok(t)
	}
	return "/sessions"
}

func (c *clinic) acknowledgedAndNot(t *testing.T) string {
	for range 2 {
		path := c.authorize(t, 10)
		c.admin().post(t, path+"/reserve", body{"units": 10})
	}
	alerts := c.admin().get(t, "/alerts").ok(t).body["data"].([]any)
	c.admin().post(t, "/alerts/"+alerts[0].(map[string]any)["id"].(string)+"/acknowledge", body{})
	return "/alerts"
}

func (c *clinic) renewedAndNot(t *testing.T) string {
	today := c.clock.now()
	day := func(n int) string { return today.AddDate(0, 0, n).Format(time.DateOnly) }
	c.authorize(t, 10, body{"startDate": day(-30), "endDate": day(20)})
	c.authorize(t, 10, body{"startDate": day(21), "endDate": day(90)})
	other := c.admin().post(t, "/patients", body{"firstName": "B", "lastName": "C", "dateOfBirth": "2019-01-01"}).
		created(t)
	c.authorize(t, 10, body{"patientId": other, "startDate": day(-30), "endDate": day(20)})
	return "/reports/expiring"
}

func (c *clinic) enabledAndNot(t *testing.T) string {
	c.admin().patch(t, c.userWith(t, c.admin(), rbac.Biller), body{"disabled": true}).ok(t)
	return "/users"
}

func (c *clinic) reviewedAndNot(t *testing.T) string {
	technician := c.as(c.own.tokens[rbac.Technician])
	take := func() string {
		return "/emergency-grants/" + technician.post(t, "/emergency-grants",
			body{"patientId": c.own.patient, "reason": emergencyReason}).created(t).String()
	}
	over := take()
	technician.post(t, over+"/revoke", body{}).ok(t)
	c.admin().post(t, over+"/review", body{"justified": true}).ok(t)
	take()
	return "/emergency-grants"
}

// TestAnExpiredHoldIsNotOpenAnywhere reads a hold after its expiry and before the sweeper releases
// it.
func TestAnExpiredHoldIsNotOpenAnywhere(t *testing.T) {
	t.Parallel()
	c := open(t)
	path := c.authorize(t, 10)
	hold := c.admin().post(t, path+"/reserve", body{"units": 10, "expiresInSeconds": 60})
	require.Equal(t, true, hold.body["reservation"].(map[string]any)["open"])
	require.Equal(t, "EXHAUSTED", c.admin().get(t, path).text("status"))
	c.clock.advance(time.Minute)

	listed := func(query string) []any {
		return c.admin().get(t, path+"/reservations"+query).ok(t).body["data"].([]any)
	}
	require.Equal(t, false, listed("")[0].(map[string]any)["open"])
	require.Empty(t, listed("?open=true"))
	require.Len(t, listed("?open=false"), 1)
	c.requireBalance(t, path, 10, 0, 0)
	require.Equal(t, "ACTIVE", c.admin().get(t, path).text("status"))
	require.Equal(t, 10, c.admin().get(t, path+"/available-units").ok(t).number(t, "availableUnits"))
	require.Empty(t, c.admin().get(t, "/alerts").ok(t).body["data"])
	usage := c.admin().get(t, "/reports/utilization").ok(t).body["data"].([]any)[0].(map[string]any)
	require.EqualValues(t, 0, usage["scheduledUnits"])
	c.admin().post(t, path+"/release", body{"reservationId": hold.body["reservation"].(map[string]any)["id"]}).
		refused(t, http.StatusConflict, "reservation-closed")

	_, err := c.app.Authorizations.SweepHolds(t.Context())
	require.NoError(t, err)
	c.requireBalance(t, path, 10, 0, 0)
	require.Len(t, listed("?open=false"), 1)
	c.requireClean(t)
}
