package appointments

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"omnirapeutic/platform/patch"
	"omnirapeutic/platform/record"
	"omnirapeutic/platform/scheduling"
)

// seriesOf returns a booking of a series at the times.
func seriesOf(partial bool, times ...Span) request {
	r := bookingOf(therapy, times[0], []uuid.UUID{jordan}, ada)
	r.series, r.partial = uuid.New(), partial
	var parts []request
	for i, at := range times {
		part := r
		part.booking.Span = at
		if i > 0 {
			part.appointment, part.reservations = uuid.New(), []uuid.UUID{uuid.New()}
		}
		parts = append(parts, part)
	}
	r.parts = parts
	return r
}

// stateOf returns everything that a request may change on a stage.
func stateOf(s *stage) string {
	slots := map[string][]string{}
	for key, taken := range s.occupied {
		for _, each := range taken {
			slots[key.ID.String()] = append(slots[key.ID.String()], fmt.Sprint(each))
		}
		slices.Sort(slots[key.ID.String()])
	}
	var appointments []string
	for key, a := range s.appointments {
		appointments = append(appointments, fmt.Sprint(key, a.Status, a.Version, a.Span, a.SeriesID != nil))
	}
	slices.Sort(appointments)
	return fmt.Sprint(s.held(), slots, appointments)
}

// TestASeriesIsItsBookingsOneByOne compares a series with single bookings: its accepted
// appointments are booked in the same way, and a refused series changes nothing.
func TestASeriesIsItsBookingsOneByOne(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var times []Span
		count := rapid.IntRange(1, 6).Draw(t, "occurrences")
		for day := 11; len(times) < count; day += rapid.IntRange(1, 6).Draw(t, "days") {
			times = append(times, wall(day, rapid.SampledFrom([]string{"15:00-15:15", "15:00-15:30", "15:00-16:00"}).Draw(t,
				"time")))
		}
		var before []request
		for range rapid.IntRange(0, 2).Draw(t, "in the way") {
			before = append(before, bookingOf(therapy, wall(rapid.IntRange(11, 20).Draw(t, "day"), "15:15-15:45"),
				[]uuid.UUID{jordan}, ben))
		}
		prepared := func() *stage {
			s := newStage(scheduling.RoundUp)
			for _, r := range before {
				_, err := s.decide(r)
				require.NoError(t, err)
			}
			return s
		}
		partial := rapid.Bool().Draw(t, "partial")
		r := seriesOf(partial, times...)
		together, single := prepared(), prepared()
		untouched := stateOf(together)
		v, err := together.decide(r)
		require.NoError(t, err)
		accepted := 0
		for i, part := range r.parts {
			alone, err := single.decide(part)
			require.NoError(t, err)
			if alone.refusal != nil {
				accepted++
			}
			if v.refusal == nil {
				require.Equal(t, alone.refusal == nil, v.parts[i].refusal == nil, "%s", part.booking.Span)
				require.Equal(t, alone.refusal == nil, v.occurrences[i].AppointmentID != nil)
				require.Equal(t, alone.refusal == nil, len(v.occurrences[i].Reasons) == 0)
			}
		}
		switch {
		case accepted == 0:
			require.Nil(t, v.refusal)
		case partial && accepted < len(times):
			require.Nil(t, v.refusal)
		default:
			require.ErrorIs(t, v.refusal, ErrSeries)
			require.Len(t, v.refusal.Details().(SeriesRefusal).Occurrences, len(times))
			require.Equal(t, untouched, stateOf(together), "a refused series changes nothing")
			require.False(t, v.changed())
			return
		}
		require.True(t, v.changed())
		require.Equal(t, stateOf(single), stateOf(together))
	})
}

// bookedSeries returns a stage with daily appointments at 15:00 from the 11th on.
func bookedSeries(t *testing.T, n int) (*stage, []Appointment) {
	t.Helper()
	s := newStage(scheduling.RoundUp)
	var times []Span
	for i := range n {
		times = append(times, wall(11+i, "15:00-15:30"))
	}
	v := s.decides(t, seriesOf(false, times...))
	require.Nil(t, v.refusal)
	var all []Appointment
	for _, part := range v.parts {
		all = append(all, part.appointment)
	}
	return s, all
}

// scopedTo returns a request for the appointments of a series.
func scopedTo(s *stage, r request, scope Scope, all []Appointment) request {
	r.scope = scope
	var ids []uuid.UUID
	for _, a := range all {
		ids = append(ids, a.ID)
	}
	return spread([]request{r}, map[record.Key][]uuid.UUID{r.key(): ids}, s.appointments)[0]
}

func (s *stage) startsOf(all []Appointment) []string {
	var starts []string
	for _, a := range all {
		starts = append(starts, s.appointments[a.key()].Start.In(zone).Format("2 15:04"))
	}
	return starts
}

func TestScopes(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		it    string
		scope Scope
		named int
		to    Span
		want  []string
	}{
		{"moves one", ScopeOne, 1, wall(12, "16:00-16:30"), []string{"11 15:00", "12 16:00", "13 15:00", "14 15:00"}},
		{
			"moves the following appointments", ScopeFollowing, 1, wall(12, "16:00-16:30"),
			[]string{"11 15:00", "12 16:00", "13 16:00", "14 16:00"},
		},
		{"moves all", ScopeAll, 1, wall(12, "16:00-16:30"), []string{"11 16:00", "12 16:00", "13 16:00", "14 16:00"}},
		{
			"moves each to where the next one was", ScopeAll, 0, wall(12, "15:00-15:30"),
			[]string{"12 15:00", "13 15:00", "14 15:00", "15 15:00"},
		},
		{
			"moves each to where the last one was", ScopeFollowing, 1, wall(11, "15:30-16:00"),
			[]string{"11 15:00", "11 15:30", "12 15:30", "13 15:30"},
		},
	} {
		t.Run("it "+test.it, func(t *testing.T) {
			t.Parallel()
			s, all := bookedSeries(t, 4)
			r := requestFor(reschedule, all[test.named].ID)
			r.change = Change{Start: patch.Set(test.to.Start), End: patch.Set(test.to.End)}
			require.Nil(t, s.decides(t, scopedTo(s, r, test.scope, all)).refusal)
			require.Equal(t, test.want, s.startsOf(all))
			require.Zero(t, s.available(auth(ada, therapy)))
		})
	}
}

func TestScopesSkipStartedAndEndedAppointments(t *testing.T) {
	t.Parallel()
	s, all := bookedSeries(t, 4)
	s.accepted(t, requestFor(start, all[2].ID))
	s.accepted(t, requestFor(cancel, all[3].ID))
	v := s.decides(t, scopedTo(s, requestFor(cancel, all[0].ID), ScopeAll, all))
	require.Nil(t, v.refusal)
	require.Len(t, v.occurrences, 2)
	require.Equal(t, InProgress, s.appointments[all[2].key()].Status)
	require.Equal(t, 6, s.available(auth(ada, therapy)))
}

// TestASeriesKeepsItsTimeOfDayWhenClocksChange: each appointment gets the new time of day on its
// own side of the clock change on 8 March.
func TestASeriesKeepsItsTimeOfDayWhenClocksChange(t *testing.T) {
	t.Parallel()
	named := Appointment{ID: uuid.New(), Span: wall(6, "15:00-16:00")}
	member := Appointment{ID: uuid.New(), Span: wall(9, "10:00-10:15")}
	to := wall(7, "16:30-18:00")
	other, refusal := Change{Start: patch.Set(to.Start), End: patch.Set(to.End), Match: `"3"`}.forMember(named, member,
		zone)
	require.Nil(t, refusal)
	require.Equal(t, wall(10, "16:30-18:00").utc(), other.span(member.Span).utc())
	require.Empty(t, other.Match, "only the named appointment's version is checked")
	onlyNotes, refusal := Change{Notes: patch.Clear[string]()}.forMember(named, member, zone)
	require.Nil(t, refusal)
	require.False(t, onlyNotes.Start.Given || onlyNotes.End.Given)
	require.Equal(t, 90*time.Minute, other.span(member.Span).Length())
}
