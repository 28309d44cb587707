package e2e

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omnirapeutic/app"
	"omnirapeutic/modules/rbac"
)

// TestRemindersAreSentOnce checks that each reminder is sent once, by two instances that poll
// concurrently, on the program's clock.
func TestRemindersAreSentOnce(t *testing.T) {
	t.Parallel()
	c := open(t)
	second := secondInstance(t, c, c.database.Open(t))
	path := c.authorize(t, 100)
	who := c.employ(t)
	times := []time.Duration{24 * hour, 2 * hour}
	remind := func() (reported int) {
		instances := []*app.App{c.app, second.app}
		counts := make([]int, len(instances))
		together(len(instances), func(i int) {
			n, err := instances[i].Appointments.Remind(t.Context(), times)
			require.NoError(t, err)
			counts[i] = n
		})
		return counts[0] + counts[1]
	}
	reminders := func() int { return c.count(t, "SELECT count(*) FROM outbox WHERE type = 'appointment.reminder'") }

	pass := func(by time.Duration) {
		c.clock.advance(by)
		c.own.tokens[rbac.Admin] = c.signIn(t, "own", rbac.Admin) // the earlier token has expired
	}
	start := c.clock.now().Add(48 * hour).Truncate(time.Minute)
	first := c.book(t, c.booking(path, who, start, hour))
	moved := c.book(t, c.booking(path, who, start.Add(2*hour), hour))
	gone := c.book(t, c.booking(path, who, start.Add(4*hour), hour))
	require.Zero(t, remind(), "nothing is near")

	pass(25 * hour) // 23 hours before the first, 25 before the second
	require.Equal(t, 1, remind())
	require.Zero(t, remind(), "sent once")
	restarted := secondInstance(t, c, c.database.Open(t))
	n, err := restarted.app.Appointments.Remind(t.Context(), times)
	require.NoError(t, err)
	require.Zero(t, n, "also after a restart")

	c.admin().post(t, gone+"/cancel", body{}).ok(t)
	pass(2 * hour) // 23 hours before the second
	require.Equal(t, 1, remind())
	later := start.Add(30 * hour)
	c.admin().patch(t, moved, body{"startTime": later.UTC(), "endTime": later.Add(hour).UTC()}).ok(t)
	require.Zero(t, remind(), "it is far in the future again")
	pass(20 * hour) // an hour before the first
	require.Equal(t, 1, remind(), "the second reminder for the first")
	pass(8 * hour) // 23 hours before the moved one; the first has ended
	require.Equal(t, 1, remind(), "scheduled again after the move")
	require.Equal(t, 4, reminders())

	c.book(t, c.booking(path, who, c.clock.now().Add(hour).Truncate(time.Minute), hour))
	require.Equal(t, 2, remind(), "booked after both reminder times: reminded at once")
	require.Equal(t, "SCHEDULED", c.admin().get(t, first).ok(t).text("status"))
}
