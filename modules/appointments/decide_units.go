package appointments

import (
	"fmt"

	"omnirapeutic/platform/scheduling"
)

// visit is the rest of an appointment's visit: the minutes of the other appointments, and their
// units. The zero value is an empty visit.
type visit struct{ minutes, units int }

// unitsOf returns the number of units of an appointment with the given minutes. unitMinutes must be
// at least 1. The rest of the visit matters only for [scheduling.RoundCMSTotal]: the minutes of the
// whole visit are rounded together, and this appointment gets the units that the others have not
// used, at least 0. It panics for an unknown method.
//
// The result is never negative, and does not decrease when minutes increase.
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
	panic(fmt.Sprintf("appointments: unknown rounding %q", method))
}

// pastMidpoints counts the units whose midpoint is passed: whole units, plus one if the rest is
// longer than half of a unit. For units of 15 minutes this is at 8, 23, 38, … minutes, for units of
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
