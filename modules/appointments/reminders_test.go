package appointments

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"omnirapeutic/platform/record"
)

// TestRunsOfRemindersContinueAtTheLastOne follows the progress of an instance.
func TestRunsOfRemindersContinueAtTheLastOne(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
	times := []time.Duration{24 * time.Hour, 2 * time.Hour}
	appointment := func(start time.Time, status Status) Appointment {
		return Appointment{OrganizationID: uuid.New(), ID: uuid.New(), Status: status, Span: Span{Start: start}}
	}
	var p reminderProgress
	p.add(now, []Appointment{appointment(now.Add(time.Hour), Scheduled)})
	first := p.begin(now, times)
	require.True(t, first.search)
	require.Empty(t, first.changed, "the search finds them")
	require.Equal(t, now, first.after(times[0]))
	p.end(first, false)

	near := appointment(now.Add(23*time.Hour), Scheduled)
	p.add(now, []Appointment{
		near, appointment(now.Add(25*time.Hour), Scheduled), appointment(now.Add(time.Hour), Cancelled),
	})
	for range 2 { // the first one fails
		run := p.begin(now.Add(time.Minute), times)
		require.False(t, run.search)
		require.Equal(t, []record.Key{near.key()}, run.changed)
		require.Equal(t, now.Add(2*time.Hour), run.after(times[1]))
		p.end(run, true)
	}
	p.end(p.begin(now.Add(time.Minute), times), false)

	late := p.begin(now.Add(50*time.Hour), times)
	require.Empty(t, late.changed)
	require.True(t, late.search, "once per hour")
	p.end(late, false)
	again := p.begin(late.now.Add(reminderSearch-1), times)
	require.False(t, again.search)
	require.Equal(t, late.now.Add(times[0]), again.after(times[0]))
}
