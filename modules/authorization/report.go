package authorization

import (
	"time"

	"omnirapeutic/platform/calendar"
)

// recentDays is the window of the recent rate: the trailing four weeks.
const recentDays = 28

// activity is what an authorization's ledger and reservations add to its counters
// for a report.
type activity struct {
	recent     int           // units consumed with a service date in the window: see [Authorization.recentWindow]
	lastBooked calendar.Date // the last service date of the open reservations; none: there are none
}

// Utilization is what has become of an authorization's units by a day, and what
// may be expected of the rest. Units are whole; the days of an authorization are
// counted with the first and the last; today counts as gone by.
type Utilization struct {
	View
	SpanDays    int // from the first day to the last
	ElapsedDays int // of these, until today: 0 before the first day, all of them after the last

	// Shares in percent, cut to one decimal and not rounded up, so that 100 means
	// all. Nil where the authorization has no units.
	UsedPercent   *float64 // Used of Total
	BookedPercent *float64 // Used + Scheduled of Total
	// ElapsedPercent is ElapsedDays of SpanDays, cut likewise.
	ElapsedPercent float64
	// PacePercent is the share of the units that are used, of the share of the days
	// that are gone: 100 uses up the authorization on its last day. Cut likewise. Nil
	// without units, and before the first day.
	PacePercent *float64

	// Rates in units a week, rounded to one decimal, half up; nil before the first day.
	// AverageWeekly is Used × 7 ÷ ElapsedDays. RecentWeekly is the same of the last 28
	// of the elapsed days, or of all where there are fewer, by service date; nil too
	// once the authorization has ended.
	AverageWeekly *float64
	RecentWeekly  *float64

	// ExhaustedOn is the day at whose end no unit will be left. First all open
	// reservations count as used, the last of them on its service date; what is still
	// available then goes at the recent rate, from the day after it, or after today
	// where that is later. None where that does not happen within the authorization,
	// where nothing is left already, and where the authorization is not granted, or
	// has ended.
	ExhaustedOn calendar.Date
	// UnusedAtEnd are the units that will be left after the last day in the same
	// projection, its use at the recent rate rounded to whole units, half up. What is
	// available now, where it has ended; nil where it is not granted.
	UnusedAtEnd *int
	// LastBookable is the last day for which one more unit can be reserved: the last
	// of the authorization that no cap closes. None where nothing is available, or it
	// is not granted.
	LastBookable calendar.Date
}

// recentWindow returns the days over which the recent rate is taken, the first
// and the last; ok is false where there are none: before the authorization begins,
// and after its end.
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

// utilizationOn computes the report of an authorization, whose scheduled units are
// those of the moment. Weeks of caps begin on weekStart.
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

// project fills in what may be expected.
func (u *Utilization) project(today calendar.Date, seen activity) {
	left := u.Available()
	if u.Decision != Active {
		return
	}
	if today.After(u.EndDate) {
		u.UnusedAtEnd = &left
		return
	}
	from := today // until which day the schedule says what is used
	if seen.lastBooked.After(from) {
		from = seen.lastBooked
	}
	if window, ok := u.recentWindow(today); ok && seen.recent > 0 && left > 0 {
		days := u.EndDate.DaysSince(from)
		needed := (left*window.length() + seen.recent - 1) / seen.recent // days at the recent rate, the last of them begun
		if needed <= days {
			u.ExhaustedOn = from.AddDays(needed)
		}
		left = max(0, left-(2*seen.recent*days+window.length())/(2*window.length()))
	} else if left == 0 && u.Scheduled > 0 {
		u.ExhaustedOn = from
	}
	u.UnusedAtEnd = &left
}

// lastBookable goes back from the last day over the periods that caps close. Each
// of these holds a booking, or a cap that allows nothing, so they are few.
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

// percent returns the share in percent, cut to one decimal.
func percent(part, whole int) float64 { return float64(part*1000/whole) / 10 }

// tenths returns the quotient, rounded to one decimal, half up.
func tenths(part, whole int) float64 { return float64((20*part+whole)/(2*whole)) / 10 }
