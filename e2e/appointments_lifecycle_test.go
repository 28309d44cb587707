package e2e

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omnirapeutic/e2e/harness"
)

// Helpers for appointments. A clinic's days are days in New York.

// freezeAtMinute stops the clock at the next whole minute, so that no token is from the future.
func freezeAtMinute(c *harness.Clinic) time.Time {
	at := c.Ago(-time.Minute)
	c.Clock.Freeze(at)
	return at
}

func TestAppointmentLifecycle(t *testing.T) {
	t.Parallel()
	c := harness.OpenInTheAfternoon(t)
	path := c.Authorize(t, 20)
	practitioner := c.AddPractitioner(t)
	at := c.Ago(2 * time.Hour)
	b := c.Booking(path, practitioner, at, time.Hour, harness.Body{"notes": "bring the blue box"})

	result := c.Admin().Post(t, "/appointments", b)
	id := result.Created(t)
	require.Equal(t, "/api/v1/appointments/"+id.String(), result.Header.Get("Location"))
	require.Equal(t, "SCHEDULED", result.Text("status"))
	require.Equal(t, 4, result.Number(t, "units"))
	require.Equal(t, "bring the blue box", result.Text("notes"))
	c.RequireBalance(t, path, 20, 0, 4)
	read := c.Admin().Get(t, "/appointments/"+id.String()).OK(t)
	require.Equal(t, result.Body, harness.WithoutNames(read.Body))

	started := c.Admin().Post(t, "/appointments/"+id.String()+"/start", harness.Body{
		"startTime": at.Add(5 * time.Minute),
	}).OK(t)
	require.Equal(t, "IN_PROGRESS", started.Text("status"))
	require.Equal(t, at.Add(5*time.Minute).Format(time.RFC3339), started.Text("startedAt"))
	c.RequireBalance(t, path, 20, 0, 4)

	done := c.Admin().Post(t, "/appointments/"+id.String()+"/complete", harness.Body{
		"startTime": at, "endTime": at.Add(75 * time.Minute), "narrative": "They worked.",
	}).OK(t)
	require.Equal(t, 5, done.Number(t, "session", "units"))
	require.Equal(t, 0, done.Number(t, "session", "unauthorizedUnits"))
	appointment := done.Body["appointment"].(map[string]any)
	require.Equal(t, "COMPLETED", appointment["status"])
	session := done.Body["session"].(map[string]any)
	require.Equal(t, session["id"], appointment["sessionId"])
	c.RequireBalance(t, path, 20, 5, 0)

	kept := c.Admin().Get(t, "/sessions/"+session["id"].(string)).OK(t)
	require.Equal(t, "They worked.", kept.Text("narrative"))
	require.Equal(t, session["units"], kept.Body["units"])
	require.Len(t, c.Admin().Get(t, "/sessions?appointmentId="+id.String()).Body["data"], 1)
	for _, verb := range []string{"start", "complete", "cancel", "no-show"} {
		refused := c.Admin().Post(t, "/appointments/"+id.String()+"/"+verb, harness.Body{}).
			Refused(t, http.StatusConflict, "appointment-transition")
		require.Equal(t, "COMPLETED", refused.Text("from"))
		require.Empty(t, refused.Body["allowed"])
	}
	c.Admin().Patch(t, "/appointments/"+id.String(), harness.Body{"endTime": at.Add(2 * time.Hour)}).
		Refused(t, http.StatusConflict, "appointment-transition")
	require.Equal(t, "later", c.Admin().Patch(t, "/appointments/"+id.String(), harness.Body{"notes": "later"}).OK(t).
		Text("notes"))
	c.RequireClean(t)
}
