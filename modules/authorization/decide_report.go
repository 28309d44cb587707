package authorization

import (
	"time"

	"omnirapeutic/platform/calendar"
)

// recentDays is the window of the recent rate: the last four weeks.
const recentDays = 28

// activity is the data from an authorization's ledger and reservations that a report needs in addition to
// the counters.
type activity struct {
	recent     int           // units consumed with a service date in the window: see [Authorization.recentWindow]
	lastBooked calendar.Date // the last service date of the open reservations; zero: no open reservations
}

// Utilization reports the use of an authorization's units up to a day, and a projection. Units are
// whole. Day counts include the first day and the last, and today counts as elapsed.
type Utilization struct {
	View
	SpanDays    int // from the first day to the last
	ElapsedDays int // up to today: 0 before the first day, SpanDays after the last

	// Percentages, truncated to one decimal, so that 100 means all. Nil if the authorization has no
	// units.
	UsedPercent   *float64 // Used of Total
	BookedPercent *float64 // Used + Scheduled of Total
	// ElapsedPercent is ElapsedDays as a percentage of SpanDays, truncated to one decimal.
	ElapsedPercent float64
	// PacePercent is the share of units used divided by the share of days elapsed. At 100, the
	// units are used up on the last day. It is truncated to one decimal; nil without units, and
	// before the first day.
	PacePercent *float64

	// Rates in units per week, rounded to one decimal, half up; nil before the first day.
	// AverageWeekly is Used × 7 ÷ ElapsedDays. RecentWeekly is the rate of the last 28 elapsed
	// days, or of all if fewer, by service date; it is also nil after the authorization has ended.
	AverageWeekly *float64
	RecentWeekly  *float64

	// ExhaustedOn is the projected day after which no units are left. The projection assumes that
	// all open reservations are used, the last one on its service date. The available units are
	// then used at the recent rate, from the following day or from tomorrow, whichever is later. It
	// is zero if that day is after the authorization's end, if no units are left already, and if
	// the authorization is not granted or has ended.
	ExhaustedOn calendar.Date
	// UnusedAtEnd is the number of units left after the last day in the same projection. The use at
	// the recent rate is rounded to whole units, half up. After the end, it is the number of
	// available units. Nil if it is not granted.
	UnusedAtEnd *int
	// LastBookable is the last day for which one more unit can be reserved: the last day of the
	// authorization that no cap closes. Zero if no units are available or the authorization is not
	// granted.
	LastBookable calendar.Date
}

// recentWindow returns the days of the recent rate, both included. ok is false before the
// authorization begins and after its end.
func (a Authorization) recentWindow(today calendar.Date) (window days, ok bool) {
	if !a.Covers(today) {
		return days{}, false
	}
	first := today.AddDays(1 - recentDays)
	if first.Before(a.StartDate) {
		first = a.StartDate
	}
	return days{first, today}, true
}

// utilizationOn computes the report of an authorization. Its scheduled units must not include
// expired holds. Weeks of caps begin on weekStart.
func (a Authorization) utilizationOn(today calendar.Date, seen activity, weekStart time.Weekday) Utilization {
	u := Utilization{View: a.viewOn(today), SpanDays: a.EndDate.DaysSince(a.StartDate) + 1}
	u.ElapsedDays = min(max(today.DaysSince(a.StartDate)+1, 0), u.SpanDays)
	u.ElapsedPercent = percent(u.ElapsedDays, u.SpanDays)
	if a.Total > 0 {
		u.UsedPercent = new(percent(a.Used, a.Total))
		u.BookedPercent = new(percent(a.Used+a.Scheduled, a.Total))
	}
	if u.ElapsedDays > 0 {
		const week = 7
		u.AverageWeekly = new(tenths(a.Used*week, u.ElapsedDays))
		if a.Total > 0 {
			u.PacePercent = new(percent(a.Used*u.SpanDays, a.Total*u.ElapsedDays))
		}
		if window, ok := a.recentWindow(today); ok {
			u.RecentWeekly = new(tenths(seen.recent*week, window.length()))
		}
	}
	u.project(today, seen)
	u.LastBookable = account{Authorization: a, weekStart: weekStart}.lastBookable()
	return u
}

func (d days) length() int { return d.last.DaysSince(d.first) + 1 }

// project computes the projection.
func (u *Utilization) project(today calendar.Date, seen activity) {
	left := u.Available()
	if u.Decision != Active {
		return
	}
	if today.After(u.EndDate) {
		u.UnusedAtEnd = &left
		return
	}
	from := today // the last day whose use is scheduled
	if seen.lastBooked.After(from) {
		from = seen.lastBooked
	}
	if window, ok := u.recentWindow(today); ok && seen.recent > 0 && left > 0 {
		days := u.EndDate.DaysSince(from)
		// days at the recent rate, the last one possibly partial
		needed := (left*window.length() + seen.recent - 1) / seen.recent
		if needed <= days {
			u.ExhaustedOn = from.AddDays(needed)
		}
		left = max(0, left-(2*seen.recent*days+window.length())/(2*window.length()))
	} else if left == 0 && u.Scheduled > 0 {
		u.ExhaustedOn = from
	}
	u.UnusedAtEnd = &left
}

// lastBookable searches backwards from the last day, skipping periods that caps close. Such a
// period contains a booking, or has a cap of 0, so there are few.
func (a account) lastBookable() calendar.Date {
	if a.Decision != Active || a.Available() == 0 {
		return calendar.Date{}
	}
	for day := a.EndDate; !day.Before(a.StartDate); {
		closed := days{}
		for _, limit := range a.Caps.List() {
			d := a.period(limit.Period, day)
			if a.bookedIn(limit.Period, d) < limit.Units {
				continue
			}
			if limit.Units == 0 || limit.Period == PerSpan {
				return calendar.Date{}
			}
			closed = d
			break
		}
		if closed == (days{}) {
			return day
		}
		day = closed.first.AddDays(-1)
	}
	return calendar.Date{}
}

// percent returns the share as a percentage, truncated to one decimal.
func percent(part, whole int) float64 { return float64(part*1000/whole) / 10 }

// tenths returns the quotient, rounded to one decimal, half up.
func tenths(part, whole int) float64 { return float64((20*part+whole)/(2*whole)) / 10 }
