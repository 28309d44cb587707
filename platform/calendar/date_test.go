package calendar_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"omnirapeutic/platform/calendar"
)

func TestDate(t *testing.T) {
	t.Parallel()
	t.Run("it is written as it was read", func(t *testing.T) {
		t.Parallel()
		for _, text := range []string{"0001-01-01", "1582-10-10", "1900-02-28", "2000-02-29", "2026-03-31", "9999-12-31"} {
			d, err := calendar.ParseDate(text)
			require.NoError(t, err)
			require.Equal(t, text, d.String())
		}
	})
	t.Run("it refuses an invalid date", func(t *testing.T) {
		t.Parallel()
		for _, text := range []string{
			"", "2026-02-29", "2026-13-01", "2026-3-1", "26-03-01", "0000-01-01", "2026-03-01T00:00:00Z", "tomorrow",
		} {
			_, err := calendar.ParseDate(text)
			require.ErrorIs(t, err, calendar.ErrDate, text)
		}
	})
	t.Run("no date is null in JSON", func(t *testing.T) {
		t.Parallel()
		written, err := json.Marshal([]calendar.Date{{}, calendar.NewDate(2026, time.March, 1)})
		require.NoError(t, err)
		require.JSONEq(t, `[null, "2026-03-01"]`, string(written))
		var read []calendar.Date
		require.NoError(t, json.Unmarshal(written, &read))
		require.True(t, read[0].IsZero())
		require.Equal(t, calendar.NewDate(2026, time.March, 1), read[1])
	})
	t.Run("it is a key of a JSON object", func(t *testing.T) {
		t.Parallel()
		byDate := map[calendar.Date]int{calendar.NewDate(2026, time.March, 1): 4}
		written, err := json.Marshal(byDate)
		require.NoError(t, err)
		require.JSONEq(t, `{"2026-03-01": 4}`, string(written))
		var read map[calendar.Date]int
		require.NoError(t, json.Unmarshal(written, &read))
		require.Equal(t, byDate, read)
	})
	t.Run("it is the local day in the zone", func(t *testing.T) {
		t.Parallel()
		newYork, err := time.LoadLocation("America/New_York")
		require.NoError(t, err)
		instant := time.Date(2026, time.April, 1, 3, 30, 0, 0, time.UTC)
		require.Equal(t, "2026-03-31", calendar.DateIn(instant, newYork).String())
		require.Equal(t, "2026-04-01", calendar.DateIn(instant, time.UTC).String())
	})
	t.Run("it counts days as time.Time does", func(t *testing.T) {
		t.Parallel()
		rapid.Check(t, func(t *rapid.T) {
			d := calendar.NewDate(rapid.IntRange(3, 9990).Draw(t, "year"), time.Month(rapid.IntRange(1, 12).Draw(t, "month")),
				rapid.IntRange(1, 31).Draw(t, "day"))
			n := rapid.IntRange(-400, 400).Draw(t, "n")
			later := d.AddDays(n)
			require.Equal(t, d.Time().AddDate(0, 0, n), later.Time())
			require.Equal(t, n > 0, later.After(d))
			require.Equal(t, n < 0, later.Before(d))
			again, err := calendar.ParseDate(later.String())
			require.NoError(t, err)
			require.Equal(t, later, again)
		})
	})
}

// FuzzParseDate checks that a parsed date has the same text again, also in JSON, and is
// a valid day of time.Time.
func FuzzParseDate(f *testing.F) {
	for _, seed := range []string{
		"2026-03-01", "0001-01-01", "9999-12-31", "2026-02-29", "2024-02-29", "0000-12-31", "2026-3-1", " 2026-03-01",
		"+2026-03-01", "2026-03-01T00:00:00Z", "٢٠٢٦-٠٣-٠١", "",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		d, err := calendar.ParseDate(text)
		if err != nil {
			require.ErrorIs(t, err, calendar.ErrDate)
			require.True(t, d.IsZero())
			return
		}
		require.False(t, d.IsZero())
		require.Equal(t, text, d.String())
		require.Equal(t, text, d.Time().Format(time.DateOnly))
		require.Equal(t, d, calendar.DateIn(d.Time(), time.UTC))
		written, err := json.Marshal(d)
		require.NoError(t, err)
		var again calendar.Date
		require.NoError(t, json.Unmarshal(written, &again))
		require.Equal(t, d, again)
		var scanned calendar.Date
		value, err := d.Value()
		require.NoError(t, err)
		require.NoError(t, scanned.Scan(value))
		require.Equal(t, d, scanned)
	})
}
