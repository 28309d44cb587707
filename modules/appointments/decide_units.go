package appointments

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/scheduling"
)

// unitsOf returns the number of units of the minutes. unitMinutes must be at least 1. It panics for
// an unknown method.
//
// The result is never negative, and does not decrease when minutes increase.
func unitsOf(method scheduling.Rounding, minutes, unitMinutes int) int {
	switch method {
	case scheduling.RoundUp:
		return (minutes + unitMinutes - 1) / unitMinutes
	case scheduling.RoundDown:
		return minutes / unitMinutes
	case scheduling.RoundMidpoint, scheduling.RoundCMSTotal:
		return pastMidpoints(minutes, unitMinutes)
	}
	panic(fmt.Sprintf("appointments: unknown rounding %q", method))
}

// pastMidpoints counts the units whose midpoint is passed: whole units, plus one if the rest is
// extended than half of a unit. For units of 15 minutes this is at 8, 23, 38, … minutes, for units of
// 30 at 16, for units of an hour at 31 (AMA, CPT, "Time": a unit of time is attained when the
// mid-point is passed, an hour when 31 minutes have elapsed; CMS, Medicare Claims Processing
// Manual, chapter 5, 20.2: 8 to 22 minutes are one unit, 23 to 37 two).
func pastMidpoints(minutes, unitMinutes int) int {
	units, rest := minutes/unitMinutes, minutes%unitMinutes
	if 2*rest > unitMinutes {
		units++
	}
	return units
}

// member is a session's part in a visit.
type member struct {
	appointment uuid.UUID
	start       time.Time
	minutes     int
}

// shares rounds the minutes of a visit as a whole, and returns the units of each member. A member
// first gets its whole units. The others go to the largest remainders, one each; of equal
// remainders, the earlier start comes first (CMS, Medicare Claims Processing Manual, chapter 5,
// 20.2: bill the services with whole 15-minute blocks first, then those with the most minutes left).
// The shares add up to the units of all minutes.
func shares(method scheduling.Rounding, unitMinutes int, members []member) map[uuid.UUID]int {
	total, left := 0, 0
	units := make(map[uuid.UUID]int, len(members))
	for _, m := range members {
		total += m.minutes
		units[m.appointment] = m.minutes / unitMinutes
		left -= m.minutes / unitMinutes
	}
	left += unitsOf(method, total, unitMinutes)
	byRemainder := slices.SortedFunc(slices.Values(members), func(a, b member) int {
		return cmp.Or(
			cmp.Compare(b.minutes%unitMinutes, a.minutes%unitMinutes),
			a.start.Compare(b.start),
			slices.Compare(a.appointment[:], b.appointment[:]))
	})
	for _, m := range byRemainder[:min(left, len(byRemainder))] {
		units[m.appointment]++
	}
	return units
}
