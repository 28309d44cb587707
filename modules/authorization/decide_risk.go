package authorization

import "omnirapeutic/platform/calendar"

// AlertKind is the reason for an alert.
type AlertKind string

// The kinds of alerts, in three groups. An authorization has at most one kind per group: the most
// urgent that applies. The first group is about authorizations without a renewal; the others are
// subjects authorizations in force.
const (
	AlertExpired    AlertKind = "expired"     // ended within the last 30 days
	AlertExpiring14 AlertKind = "expiring-14" // in force, and ends today or within 14 days
	AlertExpiring30 AlertKind = "expiring-30" // … within 30 days
	AlertExpiring60 AlertKind = "expiring-60" // … within 60 days
	AlertUsed100    AlertKind = "used-100"    // all units used or scheduled
	AlertUsed90     AlertKind = "used-90"     // at least 90 % of the units used or scheduled
	AlertUsed80     AlertKind = "used-80"     // at least 80 % of the units used or scheduled
	AlertUnderUsed  AlertKind = "under-used"  // at least half of the days elapsed, and the pace is below 80 %
)

// AlertKinds returns all kinds, ordered by group.
func AlertKinds() []AlertKind {
	return []AlertKind{
		AlertExpired, AlertExpiring14, AlertExpiring30, AlertExpiring60,
		AlertUsed100, AlertUsed90, AlertUsed80, AlertUnderUsed,
	}
}

// The limits of alerts: how many days after and before the end of an authorization they ask for a
// renewal, and the pace, in percent, below which it is under-used. Payers take up to 60 days for a
// renewal.
const (
	expiredDays   = 30
	expiringDays  = 60
	underUsedPace = 80
)

// inForceOn reports whether the authorization is granted and its dates include the day.
func (a Authorization) inForceOn(today calendar.Date) bool {
	return a.Decision == Active && a.Covers(today)
}

// expiryOn returns the alert for the end of an authorization without a renewal, or "".
// store_risk.go implements the same rule in SQL.
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

// bandOf returns the alert band for a number of days: 14, 30 or 60, or 0 for more than 60.
func bandOf(left int) int {
	for _, band := range []int{14, 30, expiringDays} {
		if left <= band {
			return band
		}
	}
	return 0
}

// usageOn returns the alert for used and scheduled units, or "".
func (a Authorization) usageOn(today calendar.Date) AlertKind {
	if !a.inForceOn(today) {
		return ""
	}
	return map[int]AlertKind{100: AlertUsed100, 90: AlertUsed90, 80: AlertUsed80}[a.usageBand()]
}

// usageBand returns 100, 90 or 80 if at least that percentage is used or scheduled, and 0
// otherwise. The column booked_band has the same value, but still counts expired holds that the
// sweeper has not released.
func (b Balance) usageBand() int {
	for _, band := range []int{100, 90, 80} {
		if b.Total > 0 && (b.Used+b.Scheduled)*100 >= b.Total*band {
			return band
		}
	}
	return 0
}

// underUsedOn reports whether at least half of the days have elapsed, and the pace leaves a fifth
// or more of the units unused.
func (a Authorization) underUsedOn(today calendar.Date) bool {
	span, elapsed := a.EndDate.DaysSince(a.StartDate)+1, today.DaysSince(a.StartDate)+1
	return a.inForceOn(today) && a.Total > 0 && 2*elapsed >= span && a.Used*span*100 < a.Total*elapsed*underUsedPace
}
