package e2e

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"omnirapeutic/modules/rbac"
)

// everyDay is the same working hours on all days of the week.
func everyDay(from, to string) []body {
	var weekly []body
	for _, day := range []string{"MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY", "SUNDAY"} {
		weekly = append(weekly, body{"weekday": day, "from": from, "to": to})
	}
	return weekly
}

func (a answer) openings(t testing.TB) []string {
	t.Helper()
	all := []string{}
	for _, item := range a.ok(t).body["data"].([]any) {
		all = append(all, answer{body: item.(map[string]any)}.wall(t, "startTime"))
	}
	return all
}

func TestOpeningsOfAPractitioner(t *testing.T) {
	t.Parallel()
	c := open(t)
	who := c.employ(t)
	path := c.authorize(t, 100)
	day := c.hour(t, 3, "00:00")
	date := day.Format(time.DateOnly)
	hours := fmt.Sprintf("/practitioners/%s/availability", who)
	ask := fmt.Sprintf("/practitioners/%s/openings?from=%s&to=%s&minutes=60&step=30", who, date, date)

	empty := c.admin().get(t, hours).ok(t)
	require.Equal(t, 0, empty.number(t, "version"))
	require.Empty(t, empty.body["weekly"])
	require.Equal(t, false, c.admin().get(t, ask).ok(t).body["availabilityKnown"])
	plain := c.admin().post(t, "/appointments", c.booking(path, who, c.hour(t, 3, "22:00"), hour))
	plain.created(t)
	require.Nil(t, plain.body["warnings"], "without hours there is no warning")

	c.admin().post(t, "/appointments", c.booking(path, who, c.hour(t, 3, "10:00"), hour)).created(t)
	set := c.admin().send(t, http.MethodPut, hours, body{
		"weekly": everyDay("09:00", "13:00"), "exceptions": []body{}, "bufferBeforeMinutes": 0, "bufferAfterMinutes": 15,
	}).ok(t)
	require.Equal(t, 1, set.number(t, "version"))
	require.JSONEq(t, string(set.raw), string(c.admin().get(t, hours).ok(t).raw))
	require.Equal(t, []string{"11:30", "12:00"}, c.admin().get(t, ask).openings(t))

	outside := c.admin().post(t, "/appointments", c.booking(path, who, c.hour(t, 4, "18:00"), hour))
	outside.created(t)
	warning := outside.body["warnings"].([]any)[0].(map[string]any)
	require.Equal(t, "outside-availability", warning["code"])
	require.Equal(t, who.String(), warning["practitionerId"])
	near := c.admin().post(t, "/appointments", c.booking(path, who, c.hour(t, 3, "11:00"), hour))
	near.created(t)
	require.Equal(t, "within-buffer", near.body["warnings"].([]any)[0].(map[string]any)["code"])
	fine := c.admin().post(t, "/appointments", c.booking(path, who, c.hour(t, 5, "09:00"), hour))
	fine.created(t)
	require.Nil(t, fine.body["warnings"])

	c.admin().with("If-Match", `"7"`).send(t, http.MethodPut, hours,
		body{"weekly": []body{}, "exceptions": []body{}, "bufferBeforeMinutes": 0, "bufferAfterMinutes": 0}).
		refused(t, http.StatusPreconditionFailed, "stale-version")
	c.admin().with("If-Match", `"1"`).send(t, http.MethodPut, hours, body{
		"weekly": everyDay("09:00", "13:00"), "exceptions": []body{{"startDate": date, "endDate": date, "hours": []body{}}},
		"bufferBeforeMinutes": 0, "bufferAfterMinutes": 0,
	}).ok(t)
	require.Empty(t, c.admin().get(t, ask).openings(t))

	invalid := c.admin().send(t, http.MethodPut, hours, body{
		"weekly":              []body{{"weekday": "MONDAY", "from": "22:00", "to": "06:00"}},
		"exceptions":          []body{},
		"bufferBeforeMinutes": 0,
		"bufferAfterMinutes":  0,
	}).refused(t, http.StatusUnprocessableEntity, "validation-failed")
	require.Equal(t, "weekly[0].to", invalid.body["errors"].([]any)[0].(map[string]any)["field"])
	last := day.AddDate(0, 0, 31).Format(time.DateOnly)
	c.admin().get(t, fmt.Sprintf("/practitioners/%s/openings?from=%s&to=%s&minutes=60", who, date, last)).
		refused(t, http.StatusUnprocessableEntity, "validation-failed")

	for _, at := range []string{"availability", "openings?minutes=60&from=" + date + "&to=" + date} {
		c.admin().get(t, fmt.Sprintf("/practitioners/%s/%s", uuid.New(), at)).refused(t, http.StatusNotFound,
			"availability-practitioner-not-found")
		c.as(c.other.tokens[rbac.Admin]).get(t, fmt.Sprintf("/practitioners/%s/%s", who, at)).
			refused(t, http.StatusNotFound, "availability-practitioner-not-found")
	}
	c.admin().send(t, http.MethodPut, fmt.Sprintf("/practitioners/%s/availability", uuid.New()), body{
		"weekly": []body{}, "exceptions": []body{}, "bufferBeforeMinutes": 0, "bufferAfterMinutes": 0,
	}).refused(t, http.StatusNotFound, "availability-practitioner-not-found")
	past := c.clock.now().AddDate(0, 0, -3).In(newYork(t)).Format(time.DateOnly)
	require.Empty(t,
		c.admin().get(t, fmt.Sprintf("/practitioners/%s/openings?from=%s&to=%s&minutes=60", who, past, past)).openings(t))
	c.requireClean(t)
}
