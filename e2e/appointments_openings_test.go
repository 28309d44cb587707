package e2e

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"omnirapeutic/e2e/harness"
	"omnirapeutic/modules/rbac"
)

// everyDay is the same working hours on all days of the week.
func everyDay(from, to string) []harness.Body {
	var weekly []harness.Body
	for _, day := range []string{"MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY", "SUNDAY"} {
		weekly = append(weekly, harness.Body{"weekday": day, "from": from, "to": to})
	}
	return weekly
}

func TestOpeningsOfAPractitioner(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	practitioner := c.AddPractitioner(t)
	path := c.Authorize(t, 100)
	day := c.At(t, 3, "00:00")
	date := day.Format(time.DateOnly)
	hours := fmt.Sprintf("/practitioners/%s/availability", practitioner)
	ask := fmt.Sprintf("/practitioners/%s/openings?from=%s&to=%s&minutes=60&step=30", practitioner, date, date)

	empty := c.Admin().Get(t, hours).OK(t)
	require.Equal(t, 0, empty.Number(t, "version"))
	require.Empty(t, empty.Body["weekly"])
	require.Equal(t, false, c.Admin().Get(t, ask).OK(t).Body["availabilityKnown"])
	plain := c.Admin().Post(t, "/appointments", c.Booking(path, practitioner, c.At(t, 3, "22:00"), time.Hour))
	plain.Created(t)
	require.Nil(t, plain.Body["warnings"], "without hours there is no warning")

	c.Admin().Post(t, "/appointments", c.Booking(path, practitioner, c.At(t, 3, "10:00"), time.Hour)).Created(t)
	set := c.Admin().Send(t, http.MethodPut, hours, harness.Body{
		"weekly": everyDay("09:00", "13:00"), "exceptions": []harness.Body{},
		"bufferBeforeMinutes": 0, "bufferAfterMinutes": 15,
	}).OK(t)
	require.Equal(t, 1, set.Number(t, "version"))
	require.Equal(t, set.Body, harness.WithoutNames(c.Admin().Get(t, hours).OK(t).Body))
	require.Equal(t, []string{"11:30", "12:00"}, c.Admin().Get(t, ask).Openings(t))

	outside := c.Admin().Post(t, "/appointments", c.Booking(path, practitioner, c.At(t, 4, "18:00"), time.Hour))
	outside.Created(t)
	warning := outside.Body["warnings"].([]any)[0].(map[string]any)
	require.Equal(t, "outside-availability", warning["code"])
	require.Equal(t, practitioner.String(), warning["practitionerId"])
	near := c.Admin().Post(t, "/appointments", c.Booking(path, practitioner, c.At(t, 3, "11:00"), time.Hour))
	near.Created(t)
	require.Equal(t, "within-buffer", near.Body["warnings"].([]any)[0].(map[string]any)["code"])
	fine := c.Admin().Post(t, "/appointments", c.Booking(path, practitioner, c.At(t, 5, "09:00"), time.Hour))
	fine.Created(t)
	require.Nil(t, fine.Body["warnings"])

	c.Admin().WithHeader("If-Match", `"7"`).Send(t, http.MethodPut, hours,
		harness.Body{
			"weekly": []harness.Body{}, "exceptions": []harness.Body{}, "bufferBeforeMinutes": 0, "bufferAfterMinutes": 0,
		}).
		Refused(t, http.StatusPreconditionFailed, "stale-version")
	c.Admin().WithHeader("If-Match", `"1"`).Send(t, http.MethodPut, hours, harness.Body{
		"weekly": everyDay("09:00", "13:00"), "exceptions": []harness.Body{
			{"startDate": date, "endDate": date, "hours": []harness.Body{}},
		},
		"bufferBeforeMinutes": 0, "bufferAfterMinutes": 0,
	}).OK(t)
	require.Empty(t, c.Admin().Get(t, ask).Openings(t))

	invalid := c.Admin().Send(t, http.MethodPut, hours, harness.Body{
		"weekly":              []harness.Body{{"weekday": "MONDAY", "from": "22:00", "to": "06:00"}},
		"exceptions":          []harness.Body{},
		"bufferBeforeMinutes": 0,
		"bufferAfterMinutes":  0,
	}).Refused(t, http.StatusUnprocessableEntity, "validation-failed")
	require.Equal(t, "weekly[0].to", invalid.Body["errors"].([]any)[0].(map[string]any)["field"])
	last := day.AddDate(0, 0, 31).Format(time.DateOnly)
	c.Admin().Get(t, fmt.Sprintf("/practitioners/%s/openings?from=%s&to=%s&minutes=60", practitioner, date, last)).
		Refused(t, http.StatusUnprocessableEntity, "validation-failed")

	for _, at := range []string{"availability", "openings?minutes=60&from=" + date + "&to=" + date} {
		c.Admin().Get(t, fmt.Sprintf("/practitioners/%s/%s", uuid.New(), at)).Refused(t, http.StatusNotFound,
			"availability-practitioner-not-found")
		c.As(c.Other.Tokens[rbac.Admin]).Get(t, fmt.Sprintf("/practitioners/%s/%s", practitioner, at)).
			Refused(t, http.StatusNotFound, "availability-practitioner-not-found")
	}
	c.Admin().Send(t, http.MethodPut, fmt.Sprintf("/practitioners/%s/availability", uuid.New()), harness.Body{
		"weekly": []harness.Body{}, "exceptions": []harness.Body{}, "bufferBeforeMinutes": 0, "bufferAfterMinutes": 0,
	}).Refused(t, http.StatusNotFound, "availability-practitioner-not-found")
	past := c.Clock.Now().AddDate(0, 0, -3).In(harness.NewYork(t)).Format(time.DateOnly)
	require.Empty(t,
		c.Admin().Get(t, fmt.Sprintf("/practitioners/%s/openings?from=%s&to=%s&minutes=60", practitioner, past, past)).
			Openings(t))
	c.RequireClean(t)
}
