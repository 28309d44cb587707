package authorization

import "omnirapeutic/platform/calendar"

// AlertKind says why an authorization asks for somebody's attention.
type AlertKind string

// Of each of the three groups an authorization has one kind at most: the most
// urgent that applies. The first group is about authorizations without a renewal,
// the others about those that are in force.
const (
	AlertExpired    AlertKind = "expired"     // ended within the last 30 days
	AlertExpiring14 AlertKind = "expiring-14" // in force, and ends today or within 14 days
	AlertExpiring30 AlertKind = "expiring-30" // … within 30 days
	AlertExpiring60 AlertKind = "expiring-60" // … within 60 days
	AlertUsed100    AlertKind = "used-100"    // used or scheduled: all of its units
	AlertUsed90     AlertKind = "used-90"     // … 90 % of them or more
	AlertUsed80     AlertKind = "used-80"     // … 80 % of them or more
	AlertUnderUsed  AlertKind = "under-used"  // half of its days are gone or more, and its pace is below 80 %
)

// AlertKinds returns all kinds, those of a group together.
func AlertKinds() []AlertKind {
	return []AlertKind{
		AlertExpired, AlertExpiring14, AlertExpiring30, AlertExpiring60,
		AlertUsed100, AlertUsed90, AlertUsed80, AlertUnderUsed,
	}
}

// How long an authorization that has ended asks for a renewal, and how early one
// that ends, in days; below which pace it is under-used, in percent. Renewals take
// payers up to 60 days.
const (
	expiredDays   = 30
	expiringDays  = 60
	underUsedPace = 80
)

// inForceOn reports whether it is granted and holds the day.
func (a Authorization) inForceOn(today calendar.Date) bool {
	return a.Decision == Active && a.Covers(today)
}

// expiryOn returns the alert about the end of an authorization that has no
// renewal, "" where there is none. store_risk.go says the same in SQL.
func (a Authorization) expiryOn(today calendar.Date) AlertKind {
	left := a.EndDate.DaysSince(today)
	switch {
	case a.Decision != Active || today.Before(a.StartDate) || left < -expiredDays:
		return ""
	case left < 0:
		return AlertExpired
	}
	switch bandOf(left) {
	case 14:
		return AlertExpiring14
	case 30:
		return AlertExpiring30
	case expiringDays:
		return AlertExpiring60
	}
	return ""
}

// bandOf returns within how many days something happens that is so many days
// away: 14, 30 or 60, and 0 beyond.
func bandOf(left int) int {
	for _, band := range []int{14, 30, expiringDays} {
		if left <= band {
			return band
		}
	}
	return 0
}

// usageOn returns the alert about the units that are used or scheduled, "" where
// there is none.
func (a Authorization) usageOn(today calendar.Date) AlertKind {
	if !a.inForceOn(today) {
		return ""
	}
	return map[int]AlertKind{100: AlertUsed100, 90: AlertUsed90, 80: AlertUsed80}[a.usageBand()]
}

// usageBand returns how much is used or scheduled: 100, 90 or 80 percent or more,
// and 0 below. The column booked_band has the same, with holds that have run out
// and that nothing has released yet.
func (b Balance) usageBand() int {
	for _, band := range []int{100, 90, 80} {
		if b.Total > 0 && (b.Used+b.Scheduled)*100 >= b.Total*band {
			return band
		}
	}
	return 0
}

// underUsedOn reports whether half of the days are gone, and the units are used so
// slowly that a fifth or more will be left.
func (a Authorization) underUsedOn(today calendar.Date) bool {
	span, elapsed := a.EndDate.DaysSince(a.StartDate)+1, today.DaysSince(a.StartDate)+1
	return a.inForceOn(today) && a.Total > 0 && 2*elapsed >= span && a.Used*span*100 < a.Total*elapsed*underUsedPace
}
