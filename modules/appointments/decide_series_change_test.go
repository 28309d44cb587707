package appointments

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/patch"
	"omnirapeutic/platform/scheduling"
)

// onMarch returns the appointments in the order of their booking.
func (s *stage) onMarch(all []Appointment) []string {
	var texts []string
	for _, a := range all {
		now := s.appointments[a.key()]
		texts = append(texts, now.Start.In(zone).Format("2 15:04")+now.End.In(zone).Format("-15:04"))
	}
	return texts
}

// TestOnlyDifferencesReachOtherAppointmentsOfASeries: the third was moved individually. Like a
// form, the request repeats the unchanged fields of the named appointment.
func TestOnlyDifferencesReachOtherAppointmentsOfASeries(t *testing.T) {
	t.Parallel()
	unchanged := wall(11, "15:00-15:30")
	booked := []string{"11 15:00-15:30", "12 15:00-15:30", "20 17:00-17:15", "14 15:00-15:30"}
	for _, test := range []struct {
		it     string
		change Change
		want   []string
	}{
		{
			"keeps every time with unchanged times and new notes",
			Change{Start: patch.Set(unchanged.Start), End: patch.Set(unchanged.End), Notes: patch.SetClearable("new")},
			booked,
		},
		{
			"keeps every time with only an unchanged end",
			Change{End: patch.Set(unchanged.End), Notes: patch.SetClearable("new")},
			booked,
		},
		{
			"keeps every time with only an unchanged start",
			Change{Start: patch.Set(unchanged.Start), Notes: patch.SetClearable("new")},
			booked,
		},
		{
			"keeps every time with other staff",
			Change{
				Start: patch.Set(unchanged.Start), End: patch.Set(unchanged.End),
				Practitioners: patch.Set([]uuid.UUID{robin}),
			},
			booked,
		},
		{
			"keeps every start with a new end",
			Change{Start: patch.Set(unchanged.Start), End: patch.Set(wall(11, "15:00-15:15").End)},
			[]string{"11 15:00-15:15", "12 15:00-15:15", "20 17:00-17:15", "14 15:00-15:15"},
		},
		{
			"gives all a new time of day, and its length",
			Change{Start: patch.Set(wall(11, "16:00-16:30").Start), End: patch.Set(wall(11, "16:00-16:30").End)},
			[]string{"11 16:00-16:30", "12 16:00-16:30", "20 16:00-16:30", "14 16:00-16:30"},
		},
		{
			"keeps every time of day on other days",
			Change{Start: patch.Set(wall(14, "15:00-15:30").Start), End: patch.Set(wall(14, "15:00-15:30").End)},
			[]string{"14 15:00-15:30", "15 15:00-15:30", "23 17:00-17:15", "17 15:00-15:30"},
		},
	} {
		for _, scope := range []Scope{ScopeAll, ScopeFollowing} {
			t.Run("it "+test.it+", "+string(scope), func(t *testing.T) {
				t.Parallel()
				s, all := bookedSeries(t, 4)
				s.reschedules(t, all[2], Change{
					Start: patch.Set(wall(20, "17:00-17:15").Start),
					End:   patch.Set(wall(20, "17:00-17:15").End),
				})
				s.accepted(t, bookingOf(therapy, wall(13, "15:00-15:30"), []uuid.UUID{jordan}, ben)) // where the third was
				r := requestFor(reschedule, all[0].ID)
				r.change = test.change
				require.Nil(t, s.decides(t, scopedTo(s, r, scope, all)).refusal)
				require.Equal(t, test.want, s.onMarch(all))
			})
		}
	}
}

// reschedules changes one appointment.
func (s *stage) reschedules(t *testing.T, a Appointment, c Change) {
	t.Helper()
	r := requestFor(reschedule, a.ID)
	r.change = c
	require.Nil(t, s.decides(t, r).refusal)
}

// TestStaffOfOneAppointmentSurvivesUnchangedStaffOfTheSeries: a substitute stays, and so do notes
// of one appointment.
func TestStaffOfOneAppointmentSurvivesUnchangedStaffOfTheSeries(t *testing.T) {
	t.Parallel()
	s, all := bookedSeries(t, 3)
	s.reschedules(t, all[1], Change{Practitioners: patch.Set([]uuid.UUID{robin}), Notes: patch.SetClearable("substitute")})
	r := requestFor(reschedule, all[0].ID)
	r.change = Change{
		Practitioners: patch.Set([]uuid.UUID{jordan}), Notes: patch.Clear[string](),
		AuthorizationID: patch.Set(auth(ada, therapy)), End: patch.Set(wall(11, "15:00-15:15").End),
	}
	require.Nil(t, s.decides(t, scopedTo(s, r, ScopeAll, all)).refusal)
	substitute := s.appointments[all[1].key()]
	require.Equal(t, []uuid.UUID{robin}, substitute.Practitioners)
	require.Equal(t, "substitute", *substitute.Notes)
	require.Equal(t, 15, substitute.Minutes())
}

// TestAppointmentsOfASeriesMakeRoomForEachOther: only the final state counts. The total is just
// enough, and the second becomes longer before the last becomes shorter.
func TestAppointmentsOfASeriesMakeRoomForEachOther(t *testing.T) {
	t.Parallel()
	s, all := bookedSeries(t, 3)
	change := func(i int, to Span) {
		s.reschedules(t, all[i], Change{Start: patch.Set(to.Start), End: patch.Set(to.End)})
	}
	change(0, wall(11, "15:00-15:15"))
	change(2, wall(13, "15:00-16:15"))
	require.Zero(t, s.available(auth(ada, therapy)), "1 + 2 + 5 units")
	r := requestFor(reschedule, all[0].ID)
	r.change = Change{End: patch.Set(wall(11, "15:00-15:30").End)}
	require.Nil(t, s.decides(t, scopedTo(s, r, ScopeAll, all)).refusal)
	require.Equal(t, 2, s.available(auth(ada, therapy)))

	before := stateOf(s)
	r.change = Change{End: patch.Set(wall(11, "15:00-16:00").End)}
	refused := s.decides(t, scopedTo(s, r, ScopeAll, all))
	require.ErrorIs(t, refused.refusal, ErrSeries)
	require.Equal(t, before, stateOf(s), "the refused change has changed nothing")
}

// TestSeriesChangesWhereClocksDisplaceAnAppointment: the displaced time is not a time of day of its
// own, and is not applied to the others.
func TestSeriesChangesWhereClocksDisplaceAnAppointment(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		zone      string
		rule      string
		first     time.Time // in wall-clock time
		displaced int       // the appointment that is displaced
		clock     string    // its time of day
	}{
		{"Africa/Cairo", "FREQ=DAILY;COUNT=5", time.Date(2026, 4, 22, 0, 0, 0, 0, time.UTC), 2, "01:00"},
		{"America/New_York", "FREQ=DAILY;COUNT=5", time.Date(2026, 3, 6, 2, 30, 0, 0, time.UTC), 2, "03:30"},
	} {
		t.Run(test.zone, func(t *testing.T) {
			t.Parallel()
			zone := must(time.LoadLocation(test.zone))
			start := instantOf(test.first, zone)
			spans, err := must(ParseRule(test.rule)).Occurrences(Span{start, start.Add(time.Hour)}, zone)
			require.NoError(t, err)
			require.Equal(t, test.clock, spans[test.displaced].Start.In(zone).Format("15:04"))
			usual := test.first.Format("15:04")
			change := func(named int, days int, length time.Duration) []string {
				from := spans[named]
				to := instantOf(onDate(calendar.DateIn(from.Start, zone).AddDays(days), wallClock(from.Start, zone)), zone)
				moves := shiftOf(from, Span{to, to.Add(length)}, zone)
				var clocks []string
				for _, span := range spans {
					moved, refusal := moves.of(span)
					require.Nil(t, refusal)
					require.Equal(t, length, moved.Length())
					clocks = append(clocks, moved.Start.In(zone).Format("15:04"))
				}
				return clocks
			}
			where := func(day int) []string {
				clocks := slices.Repeat([]string{usual}, len(spans))
				clocks[day] = test.clock
				return clocks
			}
			for named := range spans {
				require.Equal(t, where(test.displaced), change(named, 0, 2*time.Hour),
					"a new length does not set a new time of day")
			}
			for _, named := range []int{0, 1, 3, 4} {
				require.Equal(t, where(test.displaced-1), change(named, 1, time.Hour),
					"another one falls on the day without that time")
			}
		})
	}
}

// TestASeriesDoesNotMoveToADayWithoutTheTime: in Nuuk the clocks skip the last hour of a Saturday
// in March, and a booking of a series on it is refused.
func TestASeriesDoesNotMoveToADayWithoutTheTime(t *testing.T) {
	t.Parallel()
	nuuk := must(time.LoadLocation("America/Nuuk"))
	at := func(day, hour, minute int) time.Time {
		return instantOf(time.Date(2026, 3, day, hour, minute, 0, 0, time.UTC), nuuk)
	}
	rule := must(ParseRule("FREQ=WEEKLY;COUNT=3"))
	_, err := rule.Occurrences(Span{at(14, 23, 30), at(14, 23, 45)}, nuuk)
	require.ErrorContains(t, err, "2026-03-28, when the organization's time zone has neither that time")

	s := newStage(scheduling.RoundUp)
	spans, err := rule.Occurrences(Span{at(14, 15, 0), at(14, 15, 15)}, nuuk)
	require.NoError(t, err)
	v := s.decides(t, seriesOf(false, spans...))
	require.Nil(t, v.refusal)
	var all []Appointment
	for _, part := range v.parts {
		all = append(all, part.appointment)
	}
	before := stateOf(s)
	r := requestFor(reschedule, all[0].ID)
	r.zone = nuuk
	r.change = Change{Start: patch.Set(at(14, 23, 30)), End: patch.Set(at(14, 23, 45))}
	refused := s.decides(t, scopedTo(s, r, ScopeAll, all))
	require.ErrorContains(t, refused.refusal,
		"startTime moves an appointment to 2026-03-28, which has neither that time nor a later one in the organization's "+
			"time zone")
	require.Equal(t, before, stateOf(s))
}

// memberModel is a simple model of an appointment of a series: a date, a time of day and a length.
type memberModel struct {
	day, clock, minutes int
	staff               uuid.UUID
	notes               string
}

// TestASeriesChangeAppliesItsDifferencesToEach compares random changes of random series with random
// exceptions with that model.
func TestASeriesChangeAppliesItsDifferencesToEach(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		const quarter = 15 * time.Minute
		drawn := func(name string) memberModel {
			return memberModel{
				rapid.IntRange(1, 27).Draw(t, name+" day"), rapid.IntRange(0, 95).Draw(t, name+" quarter"),
				15 * rapid.IntRange(1, 12).Draw(t, name+" length"),
				rapid.SampledFrom([]uuid.UUID{jordan, robin}).Draw(t, name+" staff"),
				rapid.SampledFrom([]string{"", "a", "b"}).Draw(t, name+" notes"),
			}
		}
		spanOf := func(m memberModel) Span {
			start := instantOf(time.Date(2026, 5, m.day, 0, 0, 0, 0, time.UTC).Add(time.Duration(m.clock)*quarter), zone)
			return Span{start, start.Add(time.Duration(m.minutes) * time.Minute)}
		}
		appointmentOf := func(m memberModel) Appointment {
			a := Appointment{
				ID: uuid.New(), Status: Scheduled, Span: spanOf(m), Practitioners: []uuid.UUID{m.staff},
				Patients: make([]Participant, 1),
			}
			if m.notes != "" {
				a.Notes = &m.notes
			}
			return a
		}
		usual, exception := drawn("usual"), drawn("exception")
		target := usual
		if rapid.Bool().Draw(t, "moves") {
			target.day = rapid.IntRange(1, 27).Draw(t, "new day")
		}
		if rapid.Bool().Draw(t, "moves in the day") {
			target.clock = rapid.IntRange(0, 95).Draw(t, "new quarter")
		}
		if rapid.Bool().Draw(t, "changes its length") {
			target.minutes = 15 * rapid.IntRange(1, 12).Draw(t, "new length")
		}
		target.staff = rapid.SampledFrom([]uuid.UUID{usual.staff, robin}).Draw(t, "new staff")
		target.notes = rapid.SampledFrom([]string{usual.notes, "c"}).Draw(t, "new notes")

		want := exception
		want.day += target.day - usual.day
		if target.clock != usual.clock {
			want.clock, want.minutes = target.clock, target.minutes
		}
		if target.minutes != usual.minutes {
			want.minutes = target.minutes
		}
		if target.staff != usual.staff {
			want.staff = target.staff
		}
		if target.notes != usual.notes {
			want.notes = target.notes
		}

		named, member := appointmentOf(usual), appointmentOf(exception)
		to := spanOf(target)
		change := Change{
			Start: patch.Set(to.Start), End: patch.Set(to.End),
			Practitioners: patch.Set([]uuid.UUID{target.staff}),
		}
		if target.notes != "" {
			change.Notes = patch.SetClearable(target.notes)
		} else {
			change.Notes = patch.Clear[string]()
		}
		applied, refusal := change.differences(named).forMember(named, member, zone)
		require.Nil(t, refusal)
		require.Equal(t, spanOf(want).utc(), applied.span(member.Span).utc())
		applied.Practitioners.Apply(&member.Practitioners)
		require.Equal(t, []uuid.UUID{want.staff}, member.Practitioners)
		applied.Notes.Apply(&member.Notes)
		notes := ""
		if member.Notes != nil {
			notes = strings.Clone(*member.Notes)
		}
		require.Equal(t, want.notes, notes)
	})
}
