package e2e

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omnirapeutic/app"
	"omnirapeutic/e2e/harness"
	"omnirapeutic/modules/rbac"
)

// TestRemindersAreSentOnce checks that each reminder is sent once, by two instances that poll
// concurrently, on the program's clock.
func TestRemindersAreSentOnce(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	second := harness.SecondInstance(t, c, c.Database.Open(t))
	path := c.Authorize(t, 100)
	practitioner := c.AddPractitioner(t)
	times := []time.Duration{24 * time.Hour, 2 * time.Hour}
	remind := func() (reported int) {
		instances := []*app.App{c.App, second.App}
		counts := make([]int, len(instances))
		harness.Concurrently(len(instances), func(i int) {
			n, err := instances[i].Appointments.Remind(t.Context(), times)
			require.NoError(t, err)
			counts[i] = n
		})
		return counts[0] + counts[1]
	}
	reminders := func() int { return c.Count(t, "SELECT count(*) FROM outbox WHERE type = 'appointment.reminder'") }

	pass := func(by time.Duration) {
		c.Clock.Advance(by)
		c.Own.Tokens[rbac.Admin] = c.SignIn(t, "own", rbac.Admin) // the earlier token has expired
	}
	start := c.Clock.Now().Add(48 * time.Hour).Truncate(time.Minute)
	first := c.Book(t, c.Booking(path, practitioner, start, time.Hour))
	moved := c.Book(t, c.Booking(path, practitioner, start.Add(2*time.Hour), time.Hour))
	gone := c.Book(t, c.Booking(path, practitioner, start.Add(4*time.Hour), time.Hour))
	require.Zero(t, remind(), "nothing is near")

	pass(25 * time.Hour) // 23 hours before the first, 25 before the second
	require.Equal(t, 1, remind())
	require.Zero(t, remind(), "sent once")
	restarted := harness.SecondInstance(t, c, c.Database.Open(t))
	n, err := restarted.App.Appointments.Remind(t.Context(), times)
	require.NoError(t, err)
	require.Zero(t, n, "also after a restart")

	c.Admin().Post(t, gone+"/cancel", harness.Body{}).OK(t)
	pass(2 * time.Hour) // 23 hours before the second
	require.Equal(t, 1, remind())
	later := start.Add(30 * time.Hour)
	c.Admin().Patch(t, moved, harness.Body{"startTime": later.UTC(), "endTime": later.Add(time.Hour).UTC()}).OK(t)
	require.Zero(t, remind(), "it is far in the future again")
	pass(20 * time.Hour) // an hour before the first
	require.Equal(t, 1, remind(), "the second reminder for the first")
	pass(8 * time.Hour) // 23 hours before the moved one; the first has ended
	require.Equal(t, 1, remind(), "scheduled again after the move")
	require.Equal(t, 4, reminders())

	c.Book(t, c.Booking(path, practitioner, c.Clock.Now().Add(time.Hour).Truncate(time.Minute), time.Hour))
	require.Equal(t, 2, remind(), "booked after both reminder times: reminded at once")
	require.Equal(t, "SCHEDULED", c.Admin().Get(t, first).OK(t).Text("status"))
}
