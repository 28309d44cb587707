package appointments

import (
	"time"

	"omnirapeutic/platform/calendar"
)

// Layouts of times in error texts, which are written for a clinic's staff.
const (
	clockLayout = "15:04"
	localLayout = "Monday, 2 January 2006, " + clockLayout
)

// localTime formats a time in the organization's time zone.
func localTime(t time.Time, zone *time.Location) string { return t.In(zone).Format(localLayout) }

// localSpan formats a span in the organization's time zone.
func localSpan(s Span, zone *time.Location) string {
	if calendar.DateIn(s.Start, zone) == calendar.DateIn(s.End, zone) {
		return localTime(s.Start, zone) + " to " + s.End.In(zone).Format(clockLayout)
	}
	return localTime(s.Start, zone) + " to " + localTime(s.End, zone)
}

// localSpanOn formats a span like [localSpan], without the date if the whole span is on the
// day.
func localSpanOn(day calendar.Date, s Span, zone *time.Location) string {
	if calendar.DateIn(s.Start, zone) == day && calendar.DateIn(s.End, zone) == day {
		return s.Start.In(zone).Format(clockLayout) + " to " + s.End.In(zone).Format(clockLayout)
	}
	return localSpan(s, zone)
}
