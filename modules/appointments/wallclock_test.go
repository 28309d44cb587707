package appointments

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"omnirapeutic/platform/calendar"
)

func zoneOf(t testing.TB, name string) *time.Location {
	t.Helper()
	zone, err := time.LoadLocation(name)
	require.NoError(t, err)
	return zone
}

func instant(t testing.TB, text string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339, text)
	require.NoError(t, err)
	return at.UTC()
}

// zoneNames are zones that differ in what they do to clocks: forward and back in
// either hemisphere, by half an hour, not at all, not on the hour, over midnight,
// back for a month of each year.
var zoneNames = []string{
	"UTC", "America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "Asia/Kathmandu",
	"America/Phoenix", "America/Santiago", "Africa/Casablanca", "Asia/Beirut", "America/St_Johns",
}

func TestPlace(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ it, zone, wall, at string }{
		{"takes the only instant there is", "America/New_York", "2026-07-01T15:00:00Z", "2026-07-01T19:00:00Z"},
		{"takes the first of two", "America/New_York", "2026-11-01T01:30:00Z", "2026-11-01T05:30:00Z"},
		{"counts what does not come from the offset before", "America/New_York", "2026-03-08T02:30:00Z", "2026-03-08T07:30:00Z"},
		{"takes the first minute after a gap as it is", "America/New_York", "2026-03-08T03:00:00Z", "2026-03-08T07:00:00Z"},
		{"takes the first minute of a gap from the offset before", "America/New_York", "2026-03-08T02:00:00Z", "2026-03-08T07:00:00Z"},
		{"takes the last minute before a gap as it is", "America/New_York", "2026-03-08T01:59:00Z", "2026-03-08T06:59:00Z"},
		{"takes the minute after the second of two", "America/New_York", "2026-11-01T02:00:00Z", "2026-11-01T07:00:00Z"},
		{"knows changes of half an hour", "Australia/Lord_Howe", "2026-10-04T02:15:00Z", "2026-10-03T15:45:00Z"},
		{"knows days that begin at one", "America/Santiago", "2026-09-06T00:30:00Z", "2026-09-06T04:30:00Z"},
		{"knows days that there were not", "Pacific/Apia", "2011-12-30T12:00:00Z", "2011-12-30T22:00:00Z"},
	} {
		require.Equal(t, instant(t, c.at), place(instant(t, c.wall), zoneOf(t, c.zone)), "it %s", c.it)
	}
}

// TestPlaceAgainstEveryMinute looks for the wall-clock time by walking through the
// minutes of the days around it.
func TestPlaceAgainstEveryMinute(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		zone, err := time.LoadLocation(rapid.SampledFrom(zoneNames).Draw(t, "zone"))
		require.NoError(t, err)
		date := drawDate(t, zone)
		wall := date.Time().Add(time.Duration(rapid.IntRange(0, 1439).Draw(t, "minute")) * time.Minute)

		got := place(wall, zone)
		from := wall.Add(-27 * time.Hour)
		for at := from; at.Before(wall.Add(27 * time.Hour)); at = at.Add(time.Minute) {
			if wallClock(at, zone).Equal(wall) {
				require.Equal(t, at, got, "the first minute at which clocks show it")
				return
			}
		}
		// Clocks never show it: they jumped over it, and it is as long after the
		// jump as it would have been without one.
		shown := wallClock(got, zone)
		require.True(t, shown.After(wall), "clocks never show %s in %s, and %s is no later", wall, zone, shown)
		_, offset := got.Add(-shown.Sub(wall)).In(zone).Zone()
		require.Equal(t, wall, got.Add(time.Duration(offset)*time.Second), "counted from the offset before")
	})
}

// drawDate draws a date of 2020 to 2030, every other time one near a day on which
// clocks change in the zone.
func drawDate(t *rapid.T, zone *time.Location) calendar.Date {
	date := calendar.NewDate(2020, 1, 1).AddDays(rapid.IntRange(0, 11*365).Draw(t, "day"))
	if rapid.Bool().Draw(t, "anywhere") {
		return date
	}
	_, change := date.Time().In(zone).ZoneBounds()
	if change.IsZero() {
		return date
	}
	return calendar.DateIn(change, zone).AddDays(rapid.IntRange(-1, 1).Draw(t, "beside the change"))
}

// TestADayHasWhatHasItsDate: also where clocks skip midnight, what begins in the last hour
// before is of the day before, and of no other.
func TestADayHasWhatHasItsDate(t *testing.T) {
	t.Parallel()
	santiago := zoneOf(t, "America/Santiago")
	late := instant(t, "2026-09-06T03:30:00Z") // 23:30 on the 5th, half an hour before clocks show 01:00
	for day, has := range map[calendar.Date]bool{calendar.NewDate(2026, 9, 5): true, calendar.NewDate(2026, 9, 6): false} {
		span := dayIn(day, santiago)
		require.Equal(t, has, !late.Before(span.Start) && late.Before(span.End), "%s is %v", day, span)
	}
	rapid.Check(t, func(t *rapid.T) {
		zone, err := time.LoadLocation(rapid.SampledFrom(append(zoneNames, "America/Havana", "Atlantic/Azores", "Africa/Cairo")).Draw(t, "zone"))
		require.NoError(t, err)
		day := drawDate(t, zone)
		span := dayIn(day, zone)
		for at := span.Start.Add(-3 * time.Hour); at.Before(span.End.Add(3 * time.Hour)); at = at.Add(15 * time.Minute) {
			require.Equal(t, calendar.DateIn(at, zone) == day, !at.Before(span.Start) && at.Before(span.End), "%s", at.In(zone))
		}
	})
}
