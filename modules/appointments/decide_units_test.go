package appointments

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
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
			require.Equal(t, units[i], unitsOf(method, m, 15), "%d minutes by %s", m, method)
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
					require.Equal(t, want, unitsOf(method, minutes, unitMinutes), "%d minutes", minutes)
				}
			})
		}
	}
}

func membersOf(minutes ...int) []member {
	members := make([]member, len(minutes))
	for i, m := range minutes {
		members[i] = member{uuid.UUID{byte(i)}, time.Unix(int64(i)*7200, 0), m}
	}
	return members
}

// TestSharesOfAVisit has the examples of the Medicare Claims Processing Manual, chapter 5, 20.2, among
// others. The members are in the order of their starts.
func TestSharesOfAVisit(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		method  scheduling.Rounding
		minutes []int
		units   []int
	}{
		{scheduling.RoundCMSTotal, []int{24, 23}, []int{2, 1}},
		{scheduling.RoundCMSTotal, []int{23, 24}, []int{1, 2}},
		{scheduling.RoundCMSTotal, []int{20, 20}, []int{2, 1}},
		{scheduling.RoundCMSTotal, []int{33, 7}, []int{2, 1}},
		{scheduling.RoundCMSTotal, []int{7, 33}, []int{1, 2}},
		{scheduling.RoundCMSTotal, []int{18, 13, 10, 8}, []int{1, 1, 1, 0}},
		{scheduling.RoundCMSTotal, []int{8, 10, 13, 18}, []int{0, 1, 1, 1}},
		{scheduling.RoundCMSTotal, []int{7, 7, 7}, []int{1, 0, 0}},
		{scheduling.RoundCMSTotal, []int{10, 10, 10}, []int{1, 1, 0}},
		{scheduling.RoundCMSTotal, []int{7}, []int{0}},
		{scheduling.RoundMidpoint, []int{20, 20, 20}, []int{2, 1, 1}},
		{scheduling.RoundUp, []int{20, 20, 20}, []int{2, 1, 1}},
		{scheduling.RoundUp, []int{1, 1}, []int{1, 0}},
		{scheduling.RoundDown, []int{14, 14, 14}, []int{1, 1, 0}},
	} {
		found := shares(c.method, 15, membersOf(c.minutes...))
		for i, units := range c.units {
			require.Equal(t, units, found[uuid.UUID{byte(i)}], "%s of %v, member %d", c.method, c.minutes, i)
		}
	}
}

func TestSharesAddUpAndDoNotDependOnTheOrder(t *testing.T) {
	t.Parallel()
	methods := []scheduling.Rounding{
		scheduling.RoundUp, scheduling.RoundDown, scheduling.RoundMidpoint, scheduling.RoundCMSTotal,
	}
	rapid.Check(t, func(t *rapid.T) {
		unitMinutes := rapid.SampledFrom([]int{15, 15, 30, 60, 7, 1}).Draw(t, "unit")
		method := rapid.SampledFrom(methods).Draw(t, "method")
		members := membersOf(rapid.SliceOfN(rapid.IntRange(0, 300), 1, 8).Draw(t, "minutes")...)
		found := shares(method, unitMinutes, members)
		total, units := 0, 0
		for _, m := range members {
			share := found[m.appointment]
			require.GreaterOrEqual(t, share, m.minutes/unitMinutes, "whole units are not taken away")
			require.LessOrEqual(t, share, (m.minutes+unitMinutes-1)/unitMinutes, "no more than started units")
			total, units = total+m.minutes, units+share
		}
		require.Equal(t, unitsOf(method, total, unitMinutes), units)
		require.Equal(t, found, shares(method, unitMinutes, rapid.Permutation(members).Draw(t, "order")))
	})
}

func TestUnknownMethodPanics(t *testing.T) {
	t.Parallel()
	require.PanicsWithValue(t, `appointments: unknown rounding "UP"`, func() { unitsOf("UP", 15, 15) })
}
