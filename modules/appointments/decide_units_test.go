package appointments

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"omnirapeutic/platform/scheduling"
)

// TestUnitsMatchThePayersTables compares units with published tables: minutes by units, for
// units of 15 minutes.
func TestUnitsMatchThePayersTables(t *testing.T) {
	t.Parallel()
	minutes := []int{0, 1, 7, 8, 15, 16, 22, 23, 37, 38, 46, 53, 60}
	for method, units := range map[scheduling.Rounding][]int{
		scheduling.RoundUp:       {0, 1, 1, 1, 1, 2, 2, 2, 3, 3, 4, 4, 4},
		scheduling.RoundDown:     {0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 3, 3, 4},
		scheduling.RoundMidpoint: {0, 0, 0, 1, 1, 1, 1, 2, 2, 3, 3, 4, 4},
		scheduling.RoundCMSTotal: {0, 0, 0, 1, 1, 1, 1, 2, 2, 3, 3, 4, 4},
	} {
		for i, m := range minutes {
			require.Equal(t, units[i], unitsOf(method, m, 15, visit{}), "%d minutes by %s", m, method)
		}
	}
}

// ladder lists the first minute of each unit. It steps through the minutes, without division.
func ladder(first, unitMinutes, last int) []int {
	units := make([]int, last+1)
	count, next := 0, first
	for m := range units {
		if m == next {
			count++
			next += unitMinutes
		}
		units[m] = count
	}
	return units
}

func TestUnitsOfEveryMinute(t *testing.T) {
	t.Parallel()
	const last = 480
	// The first minute that counts as one unit by its midpoint, for each unit length.
	for unitMinutes, midpoint := range map[int]int{1: 1, 2: 2, 5: 3, 8: 5, 15: 8, 30: 16, 45: 23, 60: 31} {
		for method, first := range map[scheduling.Rounding]int{
			scheduling.RoundUp: 1, scheduling.RoundDown: unitMinutes,
			scheduling.RoundMidpoint: midpoint, scheduling.RoundCMSTotal: midpoint,
		} {
			t.Run(fmt.Sprintf("%s of %d", method, unitMinutes), func(t *testing.T) {
				t.Parallel()
				for minutes, want := range ladder(first, unitMinutes, last) {
					require.Equal(t, want, unitsOf(method, minutes, unitMinutes, visit{}), "%d minutes", minutes)
				}
			})
		}
	}
}

func TestAVisitIsRoundedAsAWholeOrServiceByService(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		minutes []int
		method  scheduling.Rounding
		units   []int // of each, in the order of entry
	}{
		"three times 7 minutes are 1 unit together": {[]int{7, 7, 7}, scheduling.RoundCMSTotal, []int{0, 1, 0}},
		"three times 7 minutes are none separately": {[]int{7, 7, 7}, scheduling.RoundMidpoint, []int{0, 0, 0}},
		"three times 10 minutes are 2 together":     {[]int{10, 10, 10}, scheduling.RoundCMSTotal, []int{1, 0, 1}},
		"three times 10 minutes are 3 separately":   {[]int{10, 10, 10}, scheduling.RoundMidpoint, []int{1, 1, 1}},
		"33 and 7 minutes are 3 together":           {[]int{33, 7}, scheduling.RoundCMSTotal, []int{2, 1}}, // CMS's own example
		"18, 13, 10 and 8 minutes are 3 together":   {[]int{18, 13, 10, 8}, scheduling.RoundCMSTotal, []int{1, 1, 1, 0}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var others visit
			for i, minutes := range c.minutes {
				units := unitsOf(c.method, minutes, 15, others)
				require.Equal(t, c.units[i], units, "the %d minutes at place %d", minutes, i)
				others.minutes, others.units = others.minutes+minutes, others.units+units
			}
		})
	}
	require.Equal(t, 0, unitsOf(scheduling.RoundCMSTotal, 5, 15, visit{minutes: 10, units: 2}),
		"never negative, even if the others got more units")
}

func TestTheUnitsOfAVisitAddUpInAnyOrder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		unitMinutes := rapid.SampledFrom([]int{15, 15, 30, 60, 7}).Draw(t, "unit")
		var all visit
		for _, minutes := range rapid.SliceOfN(rapid.IntRange(0, 300), 1, 8).Draw(t, "minutes") {
			units := unitsOf(scheduling.RoundCMSTotal, minutes, unitMinutes, all)
			require.GreaterOrEqual(t, units, 0)
			all.minutes, all.units = all.minutes+minutes, all.units+units
		}
		require.Equal(t, unitsOf(scheduling.RoundMidpoint, all.minutes, unitMinutes, visit{}), all.units)
	})
}

func TestUnknownMethodPanics(t *testing.T) {
	t.Parallel()
	require.PanicsWithValue(t, `appointments: unknown rounding "UP"`, func() { unitsOf("UP", 15, 15, visit{}) })
}
