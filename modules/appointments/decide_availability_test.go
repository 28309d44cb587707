package appointments

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"omnirapeutic/platform/calendar"
)

func clock(t require.TestingT, text string) Clock {
	var c Clock
	require.NoError(t, c.UnmarshalText([]byte(text)))
	return c
}

func hours(t require.TestingT, from, to string) Hours { return Hours{clock(t, from), clock(t, to)} }

// shown formats spans in wall-clock time of the zone.
func shown(spans []Span, zone *time.Location) []string {
	texts := []string{}
	for _, s := range spans {
		texts = append(texts, s.Start.In(zone).Format("Mon 15:04")+"-"+s.End.In(zone).Format("15:04"))
	}
	return texts
}

func TestOpenings(t *testing.T) {
	t.Parallel()
	newYork := zoneOf(t, "America/New_York")
	day := func(date string) Span {
		d, err := calendar.ParseDate(date)
		require.NoError(t, err)
		return Span{instantOf(d.Time(), newYork), instantOf(d.AddDays(1).Time(), newYork)}
	}
	monday := day("2026-06-01")
	at := func(from, to string) Span {
		return Span{monday.Start.Add(clock(t, from).sinceMidnight()), monday.Start.Add(clock(t, to).sinceMidnight())}
	}
	on := func(weekday time.Weekday, hours Hours) Availability {
		return Availability{Weekly: []WeeklyHours{{Weekday: weekdayOf(weekday), Hours: hours}}}
	}
	june := func(day int) calendar.Date { return calendar.NewDate(2026, time.June, day) }

	for _, c := range []struct {
		it     string
		a      Availability
		window Span
		busy   []Span
		length int
		step   int
		want   []string
	}{
		{
			"offers times within the hours", on(time.Monday, hours(t, "09:00", "11:00")), monday, nil, 60, 30,
			[]string{"Mon 09:00-10:00", "Mon 09:30-10:30", "Mon 10:00-11:00"},
		},
		{"offers nothing on other days", on(time.Tuesday, hours(t, "09:00", "11:00")), monday, nil, 60, 30, []string{}},
		{"offers nothing without availability", Availability{}, monday, nil, 60, 30, []string{}},
		{
			"skips booked time, adjacent times are free", on(time.Monday, hours(t, "09:00", "12:00")), monday,
			[]Span{at("10:00", "11:00")},
			60, 30,
			[]string{"Mon 09:00-10:00", "Mon 11:00-12:00"},
		},
		{
			"starts at multiples of the step", on(time.Monday, hours(t, "09:10", "10:50")), monday, nil, 30, 30,
			[]string{"Mon 09:30-10:00", "Mon 10:00-10:30"},
		},
		{
			"keeps both buffers between two appointments",
			Availability{
				Weekly: []WeeklyHours{{Weekday: weekdayOf(time.Monday), Hours: hours(t, "09:00", "12:00")}}, BufferBefore: 15,
				BufferAfter: 10,
			},
			monday,
			[]Span{at("10:00", "10:30")},
			30, 5,
			[]string{
				"Mon 09:00-09:30", "Mon 09:05-09:35", "Mon 10:55-11:25", "Mon 11:00-11:30", "Mon 11:05-11:35", "Mon 11:10-11:40",
				"Mon 11:15-11:45", "Mon 11:20-11:50", "Mon 11:25-11:55", "Mon 11:30-12:00",
			},
		},
		{
			"offers nothing on an exception", Availability{
				Weekly:     []WeeklyHours{{Weekday: weekdayOf(time.Monday), Hours: hours(t, "09:00", "12:00")}},
				Exceptions: []Exception{{StartDate: june(1), EndDate: june(14)}},
			}, monday, nil, 60, 60, []string{},
		},
		{
			"offers other hours on an exception that has some", Availability{
				Weekly: []WeeklyHours{{Weekday: weekdayOf(time.Monday), Hours: hours(t, "09:00", "12:00")}},
				Exceptions: []Exception{{
					StartDate: june(1), EndDate: june(1),
					Hours: []Hours{hours(t, "13:00", "14:00"), hours(t, "15:00", "16:00")},
				}},
			}, monday, nil, 60, 60, []string{"Mon 13:00-14:00", "Mon 15:00-16:00"},
		},
		{
			"gives precedence to an exception without hours", Availability{
				Exceptions: []Exception{
					{StartDate: june(1), EndDate: june(1), Hours: []Hours{hours(t, "13:00", "14:00")}},
					{StartDate: june(1), EndDate: june(7)},
				},
			}, monday, nil, 60, 60, []string{},
		},
		{
			"merges adjacent hours", Availability{Weekly: []WeeklyHours{
				{Weekday: weekdayOf(time.Monday), Hours: hours(t, "10:00", "11:00")},
				{Weekday: weekdayOf(time.Monday), Hours: hours(t, "09:00", "10:00")},
			}}, monday, nil, 120, 60, []string{"Mon 09:00-11:00"},
		},
		{
			"crosses midnight if both days have hours", Availability{Weekly: []WeeklyHours{
				{Weekday: weekdayOf(time.Monday), Hours: hours(t, "23:00", "24:00")},
				{Weekday: weekdayOf(time.Tuesday), Hours: hours(t, "00:00", "01:00")},
			}}, Span{monday.Start, monday.End.Add(3 * time.Hour)}, nil, 120, 60, []string{"Mon 23:00-01:00"},
		},
		{
			"starts within the window, and may end after it",
			Availability{Weekly: []WeeklyHours{
				{Weekday: weekdayOf(time.Monday), Hours: hours(t, "23:00", "24:00")},
				{Weekday: weekdayOf(time.Tuesday), Hours: hours(t, "00:00", "03:00")},
			}},
			monday,
			[]Span{{monday.End.Add(75 * time.Minute), monday.End.Add(2 * time.Hour)}},
			90, 30,
			[]string{"Mon 23:00-00:30", "Mon 23:30-01:00"},
		},
		{
			"respects the dates of validity", Availability{Weekly: []WeeklyHours{
				{
					Weekday: weekdayOf(time.Monday), Hours: hours(t, "09:00", "10:00"),
					ValidUntil: calendar.NewDate(2026, time.May, 31),
				},
				{Weekday: weekdayOf(time.Monday), Hours: hours(t, "11:00", "12:00"), ValidFrom: june(1), ValidUntil: june(1)},
				{Weekday: weekdayOf(time.Monday), Hours: hours(t, "13:00", "14:00"), ValidFrom: june(2)},
			}}, monday, nil, 60, 60, []string{"Mon 11:00-12:00"},
		},
		{
			"offers nothing before the window", on(time.Monday, hours(t, "09:00", "12:00")), at("10:20", "24:00"), nil, 60, 30,
			[]string{"Mon 10:30-11:30", "Mon 11:00-12:00"},
		},
		{
			"has an extra hour when clocks go back", on(time.Sunday, hours(t, "00:00", "03:00")), day("2026-11-01"), nil, 60, 60,
			[]string{"Sun 00:00-01:00", "Sun 01:00-01:00", "Sun 01:00-02:00", "Sun 02:00-03:00"},
		},
		{
			"has an hour less when clocks go forward", on(time.Sunday, hours(t, "01:00", "04:00")), day("2026-03-08"), nil, 60,
			60,
			[]string{"Sun 01:00-03:00", "Sun 03:00-04:00"},
		},
		{
			"keeps its wall-clock hours after the change", on(time.Monday, hours(t, "09:00", "10:00")), day("2026-11-02"), nil,
			60, 60,
			[]string{"Mon 09:00-10:00"},
		},
	} {
		minute := time.Minute
		got := c.a.openings(newYork, c.window, c.busy, time.Duration(c.length)*minute, time.Duration(c.step)*minute)
		require.Equal(t, c.want, shown(got, newYork), "it %s", c.it)
	}
}

// available reports whether the wall-clock time of an instant is within the hours of its date. It
// is a simple model, evaluated minute by minute.
func available(a Availability, at time.Time, zone *time.Location) bool {
	local := at.In(zone)
	date := calendar.DateIn(at, zone)
	minutes := Clock(local.Hour()*60 + local.Minute())
	within := func(h Hours) bool { return h.From <= minutes && minutes < h.To }
	closed, excepted, open := false, false, false
	for _, e := range a.Exceptions {
		if !date.Before(e.StartDate) && !date.After(e.EndDate) {
			excepted = true
			closed = closed || len(e.Hours) == 0
			open = open || slices.ContainsFunc(e.Hours, within)
		}
	}
	if excepted {
		return open && !closed
	}
	return slices.ContainsFunc(a.Weekly, func(w WeeklyHours) bool {
		return w.Weekday.String() == strings.ToUpper(local.Weekday().String()) && within(w.Hours) &&
			(w.ValidFrom.IsZero() || !date.Before(w.ValidFrom)) && (w.ValidUntil.IsZero() || !w.ValidUntil.Before(date))
	})
}

func drawHours(t *rapid.T) Hours {
	from := rapid.IntRange(0, 1439).Draw(t, "from")
	if rapid.Bool().Draw(t, "on the quarter") {
		from -= from % 15
	}
	return Hours{Clock(from), Clock(rapid.IntRange(from+1, 1440).Draw(t, "to"))}
}

func drawAvailability(t *rapid.T, near calendar.Date) Availability {
	date := func(label string) calendar.Date { return near.AddDays(rapid.IntRange(-3, 4).Draw(t, label)) }
	a := Availability{
		BufferBefore: rapid.SampledFrom([]int{0, 0, 5, 15, 60}).Draw(t, "before"),
		BufferAfter:  rapid.SampledFrom([]int{0, 0, 7, 30, 120}).Draw(t, "after"),
	}
	for range rapid.IntRange(0, 8).Draw(t, "weekly") {
		w := WeeklyHours{Weekday: Weekday(rapid.IntRange(1, 7).Draw(t, "weekday")), Hours: drawHours(t)}
		if rapid.IntRange(0, 3).Draw(t, "dated") == 0 {
			w.ValidFrom, w.ValidUntil = date("valid from"), near.AddDays(5)
		}
		a.Weekly = append(a.Weekly, w)
	}
	for range rapid.IntRange(0, 2).Draw(t, "exceptions") {
		e := Exception{StartDate: date("start")}
		e.EndDate = e.StartDate.AddDays(rapid.IntRange(0, 2).Draw(t, "days"))
		for range rapid.IntRange(0, 2).Draw(t, "hours") {
			e.Hours = append(e.Hours, drawHours(t))
		}
		a.Exceptions = append(a.Exceptions, e)
	}
	return a
}

func TestOpeningsAgainstEveryMinute(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		zone, err := time.LoadLocation(rapid.SampledFrom(zoneNames).Draw(t, "zone"))
		require.NoError(t, err)
		date := drawDate(t, zone)
		a := drawAvailability(t, date)
		start := instantOf(date.Time(), zone).Add(time.Duration(rapid.IntRange(-300, 300).Draw(t, "window")) * time.Minute)
		size := rapid.IntRange(1, 3*1440).Draw(t, "window's minutes")
		window := Span{start, start.Add(time.Duration(size) * time.Minute)}
		length := rapid.SampledFrom([]int{1, 15, 45, 60, 180}).Draw(t, "length")
		step := rapid.SampledFrom([]int{1, 5, 15, 50, 60, 1440}).Draw(t, "step")
		var busy []Span
		for range rapid.IntRange(0, 4).Draw(t, "busy") {
			b := start.Add(time.Duration(rapid.IntRange(-200, size+200).Draw(t, "busy from")) * time.Minute)
			busy = append(busy, Span{b, b.Add(time.Duration(rapid.IntRange(1, 200).Draw(t, "busy for")) * time.Minute)})
		}

		open := make([]bool, size+length)
		for i := range open {
			open[i] = available(a, start.Add(time.Duration(i)*time.Minute), zone)
		}
		want := []Span{}
		for i := range size {
			at := start.Add(time.Duration(i) * time.Minute)
			local := at.In(zone)
			fits := (local.Hour()*60+local.Minute())%step == 0 && !slices.Contains(open[i:i+length], false)
			end := at.Add(time.Duration(length) * time.Minute)
			gap := time.Duration(a.BufferAfter+a.BufferBefore) * time.Minute
			for _, b := range busy {
				fits = fits && (!b.Start.Before(end.Add(gap)) || !b.End.Add(gap).After(at))
			}
			if fits {
				want = append(want, Span{at, end})
			}
		}
		got := a.openings(zone, window, busy, time.Duration(length)*time.Minute, time.Duration(step)*time.Minute)
		require.Equal(t, want, got)
		require.Equal(t, !slices.Contains(open[:size], false), a.covers(window, zone))
	})
}

func TestAvailabilitySurvivesJSON(t *testing.T) {
	t.Parallel()
	const text = `{"weekly":[{"weekday":"MONDAY","from":"09:00","to":"24:00","validFrom":"2026-01-01"}],` +
		`"exceptions":[{"startDate":"2026-07-04","endDate":"2026-07-04","hours":[]}],"bufferBeforeMinutes":5,"bufferAfterMinutes":10}`
	var a Availability
	require.NoError(t, json.Unmarshal([]byte(text), &a))
	require.Equal(t, Clock(1440), a.Weekly[0].To)
	again, err := json.Marshal(a)
	require.NoError(t, err)
	require.JSONEq(t, text, string(again))
	for _, invalid := range []string{`"9:00"`, `"24:01"`, `"25:00"`, `"09:60"`, `"09:00:00"`, `9`, `""`, `"-1:00"`} {
		var c Clock
		require.ErrorIs(t, json.Unmarshal([]byte(invalid), &c), ErrClock, invalid)
	}
	for _, invalid := range []string{`"Monday"`, `"MO"`, `1`, `""`} {
		var w Weekday
		require.ErrorIs(t, json.Unmarshal([]byte(invalid), &w), ErrWeekday, invalid)
	}
}

func TestInvalidAvailabilityNamesTheField(t *testing.T) {
	t.Parallel()
	a := Availability{
		Weekly: []WeeklyHours{
			{Hours: hours(t, "09:00", "09:00")},
			{
				Hours: hours(t, "09:00", "10:00"), ValidFrom: calendar.NewDate(2026, 2, 1),
				ValidUntil: calendar.NewDate(2026, 1, 31),
			},
		},
		Exceptions: []Exception{{Hours: []Hours{hours(t, "09:00", "10:00"), hours(t, "22:00", "06:00")}}},
	}
	var fields []string
	for _, f := range a.fieldErrors() {
		fields = append(fields, f.Field)
	}
	require.Equal(t, []string{"weekly[0].to", "weekly[1].validUntil", "exceptions[0].hours[1].to"}, fields)
}
