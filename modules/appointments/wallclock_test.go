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

// zoneNames are zones with different clock changes: in either hemisphere, by half an hour, none,
// not on the hour, at midnight, and back for one month per year.
var zoneNames = []string{
	"UTC", "America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "Asia/Kathmandu",
	"America/Phoenix", "America/Santiago", "Africa/Casablanca", "Asia/Beirut", "America/St_Johns",
}

func TestPlace(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ it, zone, wall, at string }{
		{"uses the only instant", "America/New_York", "2026-07-01T15:00:00Z", "2026-07-01T19:00:00Z"},
		{"uses the first of two instants", "America/New_York", "2026-11-01T01:30:00Z", "2026-11-01T05:30:00Z"},
		{"uses the offset before for a skipped time", "America/New_York", "2026-03-08T02:30:00Z", "2026-03-08T07:30:00Z"},
		{"keeps the first minute after a gap", "America/New_York", "2026-03-08T03:00:00Z", "2026-03-08T07:00:00Z"},
		{
			"uses the offset before for the first minute of a gap", "America/New_York", "2026-03-08T02:00:00Z",
			"2026-03-08T07:00:00Z",
		},
		{"keeps the last minute before a gap", "America/New_York", "2026-03-08T01:59:00Z", "2026-03-08T06:59:00Z"},
		{"keeps the minute after a repeated hour", "America/New_York", "2026-11-01T02:00:00Z", "2026-11-01T07:00:00Z"},
		{"handles changes of half an hour", "Australia/Lord_Howe", "2026-10-04T02:15:00Z", "2026-10-03T15:45:00Z"},
		{"handles days that begin at 01:00", "America/Santiago", "2026-09-06T00:30:00Z", "2026-09-06T04:30:00Z"},
		{"handles skipped days", "Pacific/Apia", "2011-12-30T12:00:00Z", "2011-12-30T22:00:00Z"},
	} {
		require.Equal(t, instant(t, c.at), instantOf(instant(t, c.wall), zoneOf(t, c.zone)), "it %s", c.it)
	}
}

// TestPlaceAgainstEveryMinute searches for the wall-clock time by stepping through the minutes of
// the surrounding days.
func TestPlaceAgainstEveryMinute(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		zone, err := time.LoadLocation(rapid.SampledFrom(zoneNames).Draw(t, "zone"))
		require.NoError(t, err)
		date := drawDate(t, zone)
		wall := date.Time().Add(time.Duration(rapid.IntRange(0, 1439).Draw(t, "minute")) * time.Minute)

		got := instantOf(wall, zone)
		from := wall.Add(-27 * time.Hour)
		for at := from; at.Before(wall.Add(27 * time.Hour)); at = at.Add(time.Minute) {
			if wallClock(at, zone).Equal(wall) {
				require.Equal(t, at, got, "the first instant with this wall-clock time")
				return
			}
		}
		// The time is skipped. The result is as long after the change as it would have been without
		// one.
		shown := wallClock(got, zone)
		require.True(t, shown.After(wall), "%s is skipped in %s, but %s is not later", wall, zone, shown)
		_, offset := got.Add(-shown.Sub(wall)).In(zone).Zone()
		require.Equal(t, wall, got.Add(time.Duration(offset)*time.Second), "counted from the offset before")
	})
}

// drawDate draws a date of 2020 to 2030, half of them near a clock change in the zone.
func drawDate(t *rapid.T, zone *time.Location) calendar.Date {
	date := calendar.NewDate(2020, 1, 1).AddDays(rapid.IntRange(0, 11*365).Draw(t, "day"))
	if rapid.Bool().Draw(t, "anywhere") {
		return date
	}
	_, change := date.Time().In(zone).ZoneBounds()
	if change.IsZero() {
		return date
	}
	return calendar.DateIn(change, zone).AddDays(rapid.IntRange(-1, 1).Draw(t, "days from the change"))
}

// TestADayHasAllTimesOfItsDate checks that each start belongs to exactly one day, even if clocks skip
// midnight.
func TestADayHasAllTimesOfItsDate(t *testing.T) {
	t.Parallel()
	santiago := zoneOf(t, "America/Santiago")
	late := instant(t, "2026-09-06T03:30:00Z") // 23:30 on the 5th, half an hour before clocks show 01:00
	for day, has := range map[calendar.Date]bool{calendar.NewDate(2026, 9, 5): true, calendar.NewDate(2026, 9, 6): false} {
		span := dayIn(day, santiago)
		require.Equal(t, has, !late.Before(span.Start) && late.Before(span.End), "%s is %v", day, span)
	}
	rapid.Check(t, func(t *rapid.T) {
		zone, err := time.LoadLocation(rapid.SampledFrom(append(zoneNames, "America/Havana", "Atlantic/Azores",
			"Africa/Cairo")).Draw(t, "zone"))
		require.NoError(t, err)
		day := drawDate(t, zone)
		span := dayIn(day, zone)
		for at := span.Start.Add(-3 * time.Hour); at.Before(span.End.Add(3 * time.Hour)); at = at.Add(15 * time.Minute) {
			require.Equal(t, calendar.DateIn(at, zone) == day, !at.Before(span.Start) && at.Before(span.End), "%s", at.In(zone))
		}
	})
}
