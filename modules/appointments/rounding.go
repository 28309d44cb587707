package appointments

import (
	"fmt"

	"omnirapeutic/platform/scheduling"
)

// visit is what else took place in the visit of an appointment: the minutes of the
// others, and the units that were given to them. The zero value is nothing.
type visit struct{ minutes, units int }

// unitsOf returns how many units of unitMinutes each, which is at least 1, an
// appointment of so many minutes is. What else took place in its visit counts for
// [scheduling.RoundCMSTotal] only: there the minutes of the whole visit are
// rounded together, and this appointment gets what the others have left of that,
// at least 0. It panics on a method that there is not.
//
// The result is never negative and does not fall when minutes grow.
func unitsOf(method scheduling.Rounding, minutes, unitMinutes int, others visit) int {
	switch method {
	case scheduling.RoundUp:
		return (minutes + unitMinutes - 1) / unitMinutes
	case scheduling.RoundDown:
		return minutes / unitMinutes
	case scheduling.RoundMidpoint:
		return pastMidpoints(minutes, unitMinutes)
	case scheduling.RoundCMSTotal:
		return max(0, pastMidpoints(others.minutes+minutes, unitMinutes)-others.units)
	}
	panic(fmt.Sprintf("appointments: there is no rounding %q", method))
}

// pastMidpoints counts the units whose midpoint is passed: whole ones, and one
// more where the rest is longer than half of a unit. In units of 15 minutes that
// is from 8, 23, 38, … minutes on, in units of 30 from 16, in units of an hour
// from 31 (AMA, CPT, "Time": a unit of time is attained when the mid-point is
// passed, an hour when 31 minutes have elapsed; CMS, Medicare Claims Processing
// Manual, chapter 5, 20.2: 8 to 22 minutes are one unit, 23 to 37 two).
func pastMidpoints(minutes, unitMinutes int) int {
	units, rest := minutes/unitMinutes, minutes%unitMinutes
	if 2*rest > unitMinutes {
		units++
	}
	return units
}
