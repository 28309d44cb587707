package appointments

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/teambition/rrule-go"
	"pgregory.net/rapid"

	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/fault"
)

// series returns the local starts of the series, or its error.
func series(t testing.TB, rule, start, zone string) ([]string, error) {
	t.Helper()
	parsed, err := ParseRule(rule)
	if err != nil {
		return nil, err
	}
	in := zoneOf(t, zone)
	first := instant(t, start)
	spans, err := parsed.Occurrences(Span{first, first.Add(time.Hour)}, in)
	var starts []string
	for _, s := range spans {
		require.Equal(t, time.Hour, s.Length())
		starts = append(starts, s.Start.In(in).Format("2006-01-02 15:04 MST"))
	}
	return starts, err
}

func TestSeries(t *testing.T) {
	t.Parallel()
	const newYork = "America/New_York"
	for _, c := range []struct {
		it, rule, start, zone string
		want                  []string
	}{
		{
			"stays at 15:00 when clocks go forward", "FREQ=WEEKLY;COUNT=3", "2026-03-02T20:00:00Z", newYork,
			[]string{"2026-03-02 15:00 EST", "2026-03-09 15:00 EDT", "2026-03-16 15:00 EDT"},
		},
		{
			"stays at 15:00 when clocks go back", "FREQ=DAILY;COUNT=3", "2026-10-31T19:00:00Z", newYork,
			[]string{"2026-10-31 15:00 EDT", "2026-11-01 15:00 EST", "2026-11-02 15:00 EST"},
		},
		{
			"stays at 15:00 in the southern hemisphere", "FREQ=WEEKLY;COUNT=2", "2026-09-02T19:00:00Z", "America/Santiago",
			[]string{"2026-09-02 15:00 -04", "2026-09-09 15:00 -03"},
		},
		{
			"moves a skipped time, on that day only", "FREQ=DAILY;COUNT=3", "2026-03-07T07:30:00Z", newYork,
			[]string{"2026-03-07 02:30 EST", "2026-03-08 03:30 EDT", "2026-03-09 02:30 EDT"},
		},
		{
			"uses the first occurrence of a repeated time", "FREQ=DAILY;COUNT=3", "2026-10-31T05:30:00Z", newYork,
			[]string{"2026-10-31 01:30 EDT", "2026-11-01 01:30 EDT", "2026-11-02 01:30 EST"},
		},
		{
			"keeps a first appointment at the second occurrence of a repeated time", "FREQ=DAILY;COUNT=2",
			"2026-11-01T06:30:00Z", newYork,
			[]string{"2026-11-01 01:30 EST", "2026-11-02 01:30 EST"},
		},
		{
			"stays on its local day in the evening", "FREQ=WEEKLY;BYDAY=MO,WE;COUNT=3", "2026-06-02T03:00:00Z", newYork,
			[]string{"2026-06-01 23:00 EDT", "2026-06-03 23:00 EDT", "2026-06-08 23:00 EDT"},
		},
		{
			"finds the last Friday of a month", "RRULE:FREQ=MONTHLY;BYDAY=-1FR;COUNT=3", "2026-01-30T17:00:00Z", newYork,
			[]string{"2026-01-30 12:00 EST", "2026-02-27 12:00 EST", "2026-03-27 12:00 EDT"},
		},
		{
			"skips months without a 31st", "freq=monthly;count=3", "2026-01-31T12:00:00Z", "UTC",
			[]string{"2026-01-31 12:00 UTC", "2026-03-31 12:00 UTC", "2026-05-31 12:00 UTC"},
		},
		{
			"finds the last working day of a month", "FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1;COUNT=3",
			"2026-01-30T12:00:00Z", "UTC",
			[]string{"2026-01-30 12:00 UTC", "2026-02-27 12:00 UTC", "2026-03-31 12:00 UTC"},
		},
		{
			"combines counted and plain weekdays", "FREQ=MONTHLY;BYDAY=MO,1TU;COUNT=5", "2026-06-01T12:00:00Z", "UTC",
			[]string{
				"2026-06-01 12:00 UTC", "2026-06-02 12:00 UTC", "2026-06-08 12:00 UTC", "2026-06-15 12:00 UTC",
				"2026-06-22 12:00 UTC",
			},
		},
		{
			// RFC 5545, 3.8.5.3.
			"begins weeks on WKST", "FREQ=WEEKLY;INTERVAL=2;BYDAY=TU,SU;WKST=SU;COUNT=4", "1997-08-05T13:00:00Z", newYork,
			[]string{"1997-08-05 09:00 EDT", "1997-08-17 09:00 EDT", "1997-08-19 09:00 EDT", "1997-08-31 09:00 EDT"},
		},
		{
			"includes the whole date of UNTIL", "FREQ=DAILY;UNTIL=20260603", "2026-06-02T03:00:00Z", newYork,
			[]string{"2026-06-01 23:00 EDT", "2026-06-02 23:00 EDT", "2026-06-03 23:00 EDT"},
		},
		{
			"includes an occurrence at the instant of UNTIL", "FREQ=DAILY;UNTIL=20260603T030000Z", "2026-06-02T03:00:00Z",
			newYork,
			[]string{"2026-06-01 23:00 EDT", "2026-06-02 23:00 EDT"},
		},
		{
			"excludes an occurrence after the instant of UNTIL", "FREQ=DAILY;UNTIL=20260603T025959Z", "2026-06-02T03:00:00Z",
			newYork,
			[]string{"2026-06-01 23:00 EDT"},
		},
	} {
		got, err := series(t, c.rule, c.start, c.zone)
		require.NoError(t, err, "it %s", c.it)
		require.Equal(t, c.want, got, "it %s", c.it)
	}
}

// TestSeriesLengthIsElapsedTime checks an hour that contains a clock change.
func TestSeriesLengthIsElapsedTime(t *testing.T) {
	t.Parallel()
	zone := zoneOf(t, "America/New_York")
	rule, err := ParseRule("FREQ=DAILY;COUNT=2")
	require.NoError(t, err)
	start := instant(t, "2026-03-07T06:30:00Z") // 01:30 to 02:30
	spans, err := rule.Occurrences(Span{start, start.Add(time.Hour)}, zone)
	require.NoError(t, err)
	require.Equal(t, "01:30", spans[1].Start.In(zone).Format("15:04"))
	require.Equal(t, "03:30", spans[1].End.In(zone).Format("15:04"))
}

func TestSeriesRefused(t *testing.T) {
	t.Parallel()
	const monday = "2026-06-01T12:00:00Z"
	for rule, says := range map[string]string{
		"":                                                   "RFC 5545",
		"every Monday":                                       "RFC 5545",
		"COUNT=3":                                            "must have FREQ",
		"FREQ=WEEKLY":                                        "either COUNT or UNTIL",
		"FREQ=WEEKLY;COUNT=3;UNTIL=20260701":                 "either COUNT or UNTIL",
		"FREQ=WEEKLY;COUNT=0":                                "from 1 to 366 as its COUNT",
		"FREQ=WEEKLY;COUNT=-1":                               "from 1 to 366 as its COUNT",
		"FREQ=DAILY;COUNT=367":                               "from 1 to 366 as its COUNT",
		"FREQ=WEEKLY;COUNT=99999999999999999999":             "from 1 to 366 as its COUNT",
		"FREQ=WEEKLY;COUNT=2;COUNT=3":                        "COUNT twice",
		"FREQ=WEEKLY;COUNT=2;BYHOUR=3;BYHOUR=4":              "BYHOUR twice",
		"FREQ=WEEKLY;INTERVAL=0;COUNT=2":                     "as its INTERVAL",
		"FREQ=WEEKLY;INTERVAL=9999;COUNT=2":                  "as its INTERVAL",
		"FREQ=HOURLY;COUNT=2":                                "DAILY, WEEKLY or MONTHLY",
		"FREQ=YEARLY;COUNT=2":                                "DAILY, WEEKLY or MONTHLY",
		"FREQ=DAILY;COUNT=2;BYSECOND=1":                      "must not have BYSECOND",
		"FREQ=DAILY;COUNT=2;BYHOUR=9,15":                     "must not have BYHOUR",
		"FREQ=DAILY;COUNT=2;BYWEEKNO=9":                      "must not have BYWEEKNO",
		"FREQ=DAILY;COUNT=2;BYEASTER=0":                      "RFC 5545",
		"FREQ=DAILY;COUNT=2;":                                "RFC 5545",
		"DTSTART:20260601T120000Z\nRRULE:FREQ=DAILY;COUNT=2": "RFC 5545",
		"FREQ=DAILY;UNTIL=tomorrow":                          "as its UNTIL",
		"FREQ=DAILY;UNTIL=20260701T120000":                   "as its UNTIL",
		"FREQ=DAILY;UNTIL=20260230":                          "as its UNTIL",
		"FREQ=DAILY;UNTIL=20260531":                          "must not end before the first",
		"FREQ=DAILY;UNTIL=20260601T115959Z":                  "must not end before the first",
		"FREQ=WEEKLY;UNTIL=20280602":                         "must end within 2 years",
		"FREQ=MONTHLY;COUNT=26": "reach its COUNT within 2 years; by then it has 25 " +
			"occurrences",
		"FREQ=DAILY;UNTIL=20270602":                               "more than 366 occurrences",
		"FREQ=WEEKLY;BYDAY=TU;COUNT=2":                            "2026-06-01 is a Monday that BYDAY does not name",
		"FREQ=MONTHLY;BYDAY=2MO;COUNT=2":                          "2026-06-01 is a Monday that BYDAY does not name",
		"FREQ=MONTHLY;BYMONTHDAY=-1;COUNT=2":                      "BYMONTHDAY does not name",
		"FREQ=DAILY;BYMONTH=7;COUNT=2":                            "BYMONTH does not name",
		"FREQ=MONTHLY;BYDAY=MO;BYSETPOS=-1;COUNT=2":               "BYSETPOS selects",
		"FREQ=MONTHLY;BYSETPOS=1;COUNT=2":                         "must not have BYSETPOS",
		"FREQ=WEEKLY;BYDAY=MO,TU;BYSETPOS=1;COUNT=2":              "must not have BYSETPOS",
		"FREQ=WEEKLY;BYDAY=1MO;COUNT=2":                           "must not count weekdays",
		"FREQ=DAILY;BYDAY=-1MO;COUNT=2":                           "must not count weekdays",
		"FREQ=WEEKLY;BYMONTHDAY=1;COUNT=2":                        "must not have BYMONTHDAY",
		"FREQ=MONTHLY;BYDAY=0MO;COUNT=2":                          "as its BYDAY",
		"FREQ=MONTHLY;BYDAY=-53MO;COUNT=2":                        "as its BYDAY",
		"FREQ=MONTHLY;BYDAY=;COUNT=2":                             "as its BYDAY",
		"FREQ=MONTHLY;BYMONTHDAY=0;COUNT=2":                       "as its BYMONTHDAY",
		"FREQ=MONTHLY;BYMONTHDAY=32;COUNT=2":                      "as its BYMONTHDAY",
		"FREQ=MONTHLY;BYMONTH=-1;COUNT=2":                         "as its BYMONTH",
		"FREQ=WEEKLY;WKST=XX;COUNT=2":                             "as its WKST",
		"FREQ=DAILY;BYMONTHDAY=1;BYMONTH=6;INTERVAL=366;COUNT=2":  "reach its COUNT within 2 years",
		"FREQ=DAILY;COUNT=2;BYMONTH=" + strings.Repeat("6,", 300): "at most 500 characters",
	} {
		_, err := series(t, rule, monday, "UTC")
		require.ErrorIs(t, err, fault.ErrInvalid, "%s", rule)
		refusal, _ := fault.From(err)
		fields := refusal.Details().(fault.Fields).Errors
		require.True(t, slices.ContainsFunc(fields, func(f fault.Field) bool {
			return f.Field == "recurrenceRule" && strings.Contains(f.Message, says)
		}), "%s: %v says %q", rule, fields, says)
	}
}

func TestSeriesRefusesASkippedDay(t *testing.T) {
	t.Parallel()
	_, err := series(t, "FREQ=DAILY;COUNT=5", "2011-12-29T20:00:00Z", "Pacific/Apia")
	require.ErrorContains(t, err, "falls on 2011-12-30, when")
}

func TestSeriesHasAtMostMaxOccurrences(t *testing.T) {
	t.Parallel()
	for _, rule := range []string{
		"FREQ=DAILY;COUNT=366", "FREQ=DAILY;UNTIL=20270601",
		"RRULE:FREQ=DAILY;UNTIL=20270601T120000Z",
	} {
		got, err := series(t, rule, "2026-06-01T12:00:00Z", "UTC")
		require.NoError(t, err)
		require.Len(t, got, 366)
	}
	got, err := series(t, "FREQ=MONTHLY;UNTIL=20280601", "2026-06-01T12:00:00Z", "UTC")
	require.NoError(t, err)
	require.Len(t, got, 25)
}

// slowly checks each day against the rule as RFC 5545 defines it. It shares only the parsed rule
// with the tested code.
func slowly(r Rule, start calendar.Date, days int) []calendar.Date {
	first := start.Time()
	monday := func(t time.Time) time.Time { // the first day of the week by WKST
		for t.Weekday() != r.weekStart {
			t = t.AddDate(0, 0, -1)
		}
		return t
	}
	filters := func(t time.Time) bool {
		month := slices.Contains(r.byMonth, int(t.Month())) || len(r.byMonth) == 0
		fromEnd := -1
		for u := t; u.AddDate(0, 0, 1).Month() == t.Month(); u = u.AddDate(0, 0, 1) {
			fromEnd--
		}
		monthDay := slices.Contains(r.byMonthDay, t.Day()) || slices.Contains(r.byMonthDay, fromEnd) || len(r.byMonthDay) == 0
		weekday := len(r.byDay) == 0
		for _, d := range r.byDay {
			if d.weekday != t.Weekday() {
				continue
			}
			nth := 0
			for u := t; u.Month() == t.Month(); u = u.AddDate(0, 0, -7) {
				nth++
			}
			last := 0
			for u := t; u.Month() == t.Month(); u = u.AddDate(0, 0, 7) {
				last--
			}
			weekday = weekday || d.nth == 0 || d.nth == nth || d.nth == last
		}
		return month && monthDay && weekday
	}
	has := func(t time.Time) bool {
		switch r.frequency {
		case rrule.DAILY:
			return int(t.Sub(first).Hours()/24)%r.interval == 0 && filters(t)
		case rrule.WEEKLY:
			weeks := int(monday(t).Sub(monday(first)).Hours() / (24 * 7))
			return weeks%r.interval == 0 && filters(t) && (len(r.byDay) > 0 || t.Weekday() == first.Weekday())
		default:
			months := (t.Year()-first.Year())*12 + int(t.Month()) - int(first.Month())
			return months%r.interval == 0 && filters(t) && (len(r.byDay)+len(r.byMonthDay) > 0 || t.Day() == first.Day())
		}
	}
	picked := func(t time.Time) bool {
		if len(r.bySetPos) == 0 {
			return true
		}
		var all []int
		for u := t.AddDate(0, 0, 1-t.Day()); u.Month() == t.Month(); u = u.AddDate(0, 0, 1) {
			if has(u) {
				all = append(all, u.Day())
			}
		}
		for _, p := range r.bySetPos {
			if p > 0 && p <= len(all) && all[p-1] == t.Day() || p < 0 && -p <= len(all) && all[len(all)+p] == t.Day() {
				return true
			}
		}
		return false
	}
	var found []calendar.Date
	for i := range days {
		if t := start.AddDays(i).Time(); has(t) && picked(t) {
			found = append(found, start.AddDays(i))
		}
	}
	return found
}

// drawRule draws a valid rule without its end.
func drawRule(t *rapid.T) string {
	weekdays := []string{"MO", "TU", "WE", "TH", "FR", "SA", "SU"}
	frequency := rapid.SampledFrom([]string{"DAILY", "WEEKLY", "MONTHLY"}).Draw(t, "frequency")
	parts := []string{"FREQ=" + frequency}
	some := func(name string, of ...string) {
		if rapid.IntRange(0, 2).Draw(t, "with "+name) == 0 {
			values := rapid.SliceOfN(rapid.SampledFrom(of), 1, 8).Draw(t, name)
			parts = append(parts, name+"="+strings.Join(values, ","))
		}
	}
	if rapid.Bool().Draw(t, "with INTERVAL") {
		parts = append(parts, "INTERVAL="+rapid.SampledFrom([]string{"1", "2", "3", "4", "5", "14", "40"}).Draw(t,
			"INTERVAL"))
	}
	if frequency == "MONTHLY" {
		for _, d := range slices.Clone(weekdays) {
			weekdays = append(weekdays, "1"+d, "+2"+d, "4"+d, "5"+d, "-1"+d, "-5"+d)
		}
	}
	some("BYDAY", weekdays...)
	if frequency != "WEEKLY" {
		some("BYMONTHDAY", "1", "2", "8", "15", "28", "29", "30", "31", "-1", "-2", "-15", "-31")
	}
	some("BYMONTH", "1", "2", "3", "6", "7", "10", "11", "12")
	some("WKST", weekdays[:7]...)
	if frequency == "MONTHLY" {
		some("BYSETPOS", "1", "2", "3", "-1", "-2", "31")
	}
	return strings.Join(parts, ";")
}

func TestSeriesAgainstEveryDay(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		text := drawRule(t)
		zone, err := time.LoadLocation(rapid.SampledFrom(zoneNames).Draw(t, "zone"))
		require.NoError(t, err)
		start := drawDate(t, zone)
		count := rapid.IntRange(1, 40).Draw(t, "count")
		until := start.AddDays(rapid.IntRange(0, 731).Draw(t, "until"))

		byCount, err := ParseRule(text + ";COUNT=1")
		if err != nil {
			t.Skip("a rule that contradicts itself")
		}
		days := slowly(byCount, start, 732)
		if rapid.IntRange(0, 9).Draw(t, "moved") > 0 && len(days) > 0 {
			start = days[0] // otherwise most rules would be refused; moving may change what INTERVAL counts
		}
		horizon := calendar.NewDate(start.Time().AddDate(MaxSeriesYears, 0, 0).Date())
		span := int(horizon.Time().Sub(start.Time()).Hours()/24) + 1
		days = slowly(byCount, start, span)
		byCount.count = count
		byDate := byCount
		byDate.count, byDate.until = 0, limit{date: until}

		wall := start.Time().Add(time.Duration(rapid.IntRange(0, 1439).Draw(t, "minute")) * time.Minute)
		begins := instantOf(wall, zone)
		if calendar.DateIn(begins, zone) != start {
			t.Skip("a skipped wall-clock time")
		}
		wall = wallClock(begins, zone)
		first := Span{begins, begins.Add(time.Duration(rapid.IntRange(1, 1440).Draw(t, "length")) * time.Minute)}

		got, err := byCount.Occurrences(first, zone)
		switch {
		case len(days) == 0 || days[0] != start:
			require.ErrorContains(t, err, "must have the first appointment as its first occurrence", "%s from %s", text, start)
			return
		case len(days) < count:
			require.ErrorContains(t, err, "must reach its COUNT")
		default:
			require.NoError(t, err)
			check(t, got, days[:count], wall, first, zone)
		}
		want := slices.DeleteFunc(slices.Clone(days), func(d calendar.Date) bool { return d.After(until) })
		got, err = byDate.Occurrences(first, zone)
		switch {
		case until.Before(start):
			require.ErrorContains(t, err, "must not end before the first")
		case until.After(horizon):
			require.ErrorContains(t, err, "must end within")
		case len(want) > MaxOccurrences:
			require.ErrorContains(t, err, "more than 366")
		default:
			require.NoError(t, err, "%s from %s until %s", text, start, until)
			check(t, got, want, wall, first, zone)
		}
	})
}

// check compares a series with its expected dates.
func check(t require.TestingT, got []Span, want []calendar.Date, wall time.Time, first Span, zone *time.Location) {
	require.Len(t, got, len(want))
	require.Equal(t, first, got[0])
	for i, s := range got {
		require.Equal(t, first.Length(), s.Length())
		require.True(t, i == 0 || got[i-1].Start.Before(s.Start), "in order")
		expected := onDate(want[i], wall)
		shown := wallClock(s.Start, zone)
		if shown.Equal(expected) {
			continue
		}
		for at := expected.Add(-27 * time.Hour); at.Before(expected.Add(27 * time.Hour)); at = at.Add(time.Minute) {
			require.False(t, wallClock(at, zone).Equal(expected), "%s is not skipped", expected)
		}
		require.Equal(t, instantOf(expected, zone), s.Start)
	}
}

// FuzzSeries checks that every text and start gives a series within its limits or an error that
// names the field. It must not panic or loop endlessly.
func FuzzSeries(f *testing.F) {
	for _, rule := range []string{
		"FREQ=WEEKLY;BYDAY=MO,WE;COUNT=20",
		"RRULE:FREQ=MONTHLY;BYDAY=MO,-1FR;BYSETPOS=-1;UNTIL=20271231",
		"FREQ=DAILY;BYMONTH=2;BYMONTHDAY=29;COUNT=2",
		"FREQ=MONTHLY;BYMONTHDAY=31;INTERVAL=366;COUNT=366",
		"FREQ=DAILY;INTERVAL=365;BYMONTH=2;BYMONTHDAY=29;BYDAY=TH;UNTIL=20280229T235959Z",
		"freq=weekly;wkst=su;interval=2;byday=tu,su;count=4",
		"FREQ=MONTHLY;BYDAY=-53MO;COUNT=2",
		"FREQ=WEEKLY;UNTIL=99991231T235959Z",
	} {
		f.Add(rule, int64(1_900_000_000), int64(3600), uint8(1))
	}
	f.Add("FREQ=DAILY;COUNT=3", int64(253402300799), int64(60), uint8(0))
	f.Add("FREQ=DAILY;COUNT=3", int64(-62135596800), int64(60), uint8(3))
	f.Add("FREQ=DAILY;COUNT=3", int64(1325188800), int64(60), uint8(200))
	f.Fuzz(func(t *testing.T, text string, start, seconds int64, zone uint8) {
		rule, err := ParseRule(text)
		if err != nil {
			requireNamesRule(t, err)
			return
		}
		names := append([]string{"Pacific/Apia"}, zoneNames...)
		in := zoneOf(t, names[int(zone)%len(names)])
		first := Span{Start: time.Unix(start, 0).UTC()}
		first.End = first.Start.Add(time.Duration(1+seconds&0xffff) * time.Second)
		spans, err := rule.Occurrences(first, in)
		if err != nil {
			requireNamesRule(t, err)
			return
		}
		require.NotEmpty(t, spans)
		require.LessOrEqual(t, len(spans), MaxOccurrences)
		require.Equal(t, first, spans[0])
		for i, s := range spans[1:] {
			require.True(t, s.Start.After(spans[i].Start))
			require.Equal(t, first.Length(), s.Length())
		}
		require.False(t, spans[len(spans)-1].Start.After(first.Start.AddDate(MaxSeriesYears, 0, 2)))
	})
}

func requireNamesRule(t *testing.T, err error) {
	t.Helper()
	refusal, ok := fault.From(err)
	require.True(t, ok, "%v", err)
	for _, field := range refusal.Details().(fault.Fields).Errors {
		require.Contains(t, []string{"recurrenceRule", "startTime"}, field.Field)
		require.NotEmpty(t, field.Message)
	}
}
