package appointments

import (
	"fmt"
	"slices"
	"time"

	"github.com/teambition/rrule-go"

	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/fault"
)

// The limits of a recurrence rule. Authorizations seldom run longer than a year, and a series is
// booked in one transaction.
const (
	// MaxOccurrences is the maximum number of appointments of a series.
	MaxOccurrences = 366
	// MaxSeriesYears is the maximum number of years from the first to the last appointment of a
	// series.
	MaxSeriesYears = 2
)

// fieldRule is the request field of a recurrence rule.
const fieldRule = "recurrenceRule"

// Occurrences returns the appointments of the series that begins with first: at least one, sorted,
// starting with first itself. Each later one starts at the same wall-clock time in the zone as the
// first, so an appointment at 15:00 stays at 15:00 across clock changes. For times that are
// repeated or skipped on the day of a change, see [instantOf]. Each has the same elapsed length as the
// first, so its wall-clock end differs if a clock change falls within it.
//
// The error is [fault.ErrInvalid] for recurrenceRule if first is not an occurrence of the rule, or
// if the rule exceeds [MaxOccurrences] or [MaxSeriesYears]. A series is never silently shortened.
func (r Rule) Occurrences(first Span, zone *time.Location) ([]Span, error) {
	start := calendar.DateIn(first.Start, zone)
	if year := start.Time().Year(); year < 1 || year > 9000 {
		return nil, fault.InvalidFields(fault.Field{
			Field: "startTime", Code: "range",
			Message: "is too far in the future for a series",
		})
	}
	if reason := r.mismatch(start); reason != "" {
		return nil, ruleError("must have the first appointment as its first occurrence: " + reason)
	}
	last := calendar.NewDate(start.Time().AddDate(MaxSeriesYears, 0, 0).Date())
	if r.until.lastDate(zone).After(last) {
		return nil, ruleError(fmt.Sprintf("must end within %d years", MaxSeriesYears))
	}
	next, err := r.dates(start, last)
	if err != nil {
		return nil, err
	}

	wall := wallClock(first.Start, zone)
	spans := []Span{first}
	if r.until.before(first.Start, zone) {
		return nil, ruleError("must not end before the first appointment")
	}
	_, _ = next() // skips the first, which misses has checked
	for r.count == 0 || len(spans) < r.count {
		date, ok := next()
		if !ok || date.After(last) {
			break
		}
		begins := instantOf(onDate(date, wall), zone)
		if r.until.before(begins, zone) {
			return spans, nil
		}
		if len(spans) == MaxOccurrences {
			return nil, ruleError(fmt.Sprintf("must not have more than %d occurrences", MaxOccurrences))
		}
		if calendar.DateIn(begins, zone) != date {
			return nil,
				ruleError(fmt.Sprintf("falls on %s, when the organization's time zone has neither that time nor a later one", date))
		}
		spans = append(spans, Span{begins, begins.Add(first.Length())})
	}
	if len(spans) < r.count {
		return nil, ruleError(fmt.Sprintf("must reach its COUNT within %d years; by then it has %d occurrences",
			MaxSeriesYears, len(spans)))
	}
	return spans, nil
}

// dates returns a function that returns the dates of the rule from start to last, one per call. It
// works on dates only: the library that expands the rule gets UTC times, because it mishandles
// clock changes.
func (r Rule) dates(start, last calendar.Date) (func() (calendar.Date, bool), error) {
	expanded, err := rrule.NewRRule(rrule.ROption{
		Freq:       r.frequency,
		Dtstart:    start.Time(),
		Interval:   r.interval,
		Wkst:       rruleDays[r.weekStart],
		Until:      last.Time(),
		Bysetpos:   r.bySetPos,
		Bymonth:    r.byMonth,
		Bymonthday: r.byMonthDay,
		Byweekday:  r.rruleWeekdays(),
	})
	if err != nil { // ParseRule has checked the rule
		return nil, fmt.Errorf("expand the recurrence rule: %w", err)
	}
	next := expanded.Iterator()
	return func() (calendar.Date, bool) {
		t, ok := next()
		return calendar.NewDate(t.Date()), ok
	}, nil
}

var rruleDays = map[time.Weekday]rrule.Weekday{
	time.Monday: rrule.MO, time.Tuesday: rrule.TU, time.Wednesday: rrule.WE, time.Thursday: rrule.TH,
	time.Friday: rrule.FR, time.Saturday: rrule.SA, time.Sunday: rrule.SU,
}

// rruleWeekdays returns the weekdays for the library. If BYDAY mixes plain and counted days
// (MO,1TU), it counts the plain days too: the library would take only days that are both.
func (r Rule) rruleWeekdays() []rrule.Weekday {
	counted := slices.ContainsFunc(r.byDay, func(d ruleDay) bool { return d.nth != 0 })
	var days []rrule.Weekday
	for _, d := range r.byDay {
		day := rruleDays[d.weekday]
		switch {
		case !counted:
			days = append(days, day)
		case d.nth != 0:
			days = append(days, day.Nth(d.nth))
		default:
			for nth := 1; nth <= maxNth; nth++ {
				days = append(days, day.Nth(nth))
			}
		}
	}
	return days
}

// mismatch returns the reason why the rule has no occurrence on its first date, or "". A rule with
// one occurrence has more within the 400-year cycle of the calendar, so expanding it terminates.
func (r Rule) mismatch(date calendar.Date) string {
	t := date.Time()
	switch {
	case len(r.byMonth) > 0 && !slices.Contains(r.byMonth, int(t.Month())):
		return fmt.Sprintf("%s is in a month that BYMONTH does not name", date)
	case len(r.byMonthDay) > 0 && !r.onMonthDay(t):
		return fmt.Sprintf("%s is on a day of the month that BYMONTHDAY does not name", date)
	case len(r.byDay) > 0 && !r.onWeekday(t):
		return fmt.Sprintf("%s is a %s that BYDAY does not name", date, t.Weekday())
	case len(r.bySetPos) > 0 && !r.onSetPosition(t):
		return fmt.Sprintf("%s is not among the days that BYSETPOS selects", date)
	}
	return ""
}

func (r Rule) onMonthDay(t time.Time) bool {
	return slices.Contains(r.byMonthDay, t.Day()) || slices.Contains(r.byMonthDay, t.Day()-daysOfMonth(t)-1)
}

func (r Rule) onWeekday(t time.Time) bool {
	const week = 7
	fromStart, fromEnd := (t.Day()-1)/week+1, -((daysOfMonth(t)-t.Day())/week + 1)
	return slices.ContainsFunc(r.byDay, func(d ruleDay) bool {
		return d.weekday == t.Weekday() && (d.nth == 0 || d.nth == fromStart || d.nth == fromEnd)
	})
}

// onSetPosition counts the days of the month that the other parts of the rule select.
func (r Rule) onSetPosition(t time.Time) bool {
	position, size := 0, 0
	for day := 1; day <= daysOfMonth(t); day++ {
		at := time.Date(t.Year(), t.Month(), day, 0, 0, 0, 0, time.UTC)
		if len(r.byMonthDay) > 0 && !r.onMonthDay(at) || len(r.byDay) > 0 && !r.onWeekday(at) {
			continue
		}
		size++
		if day == t.Day() {
			position = size
		}
	}
	return slices.Contains(r.bySetPos, position) || slices.Contains(r.bySetPos, position-size-1)
}

func daysOfMonth(t time.Time) int {
	return time.Date(t.Year(), t.Month()+1, 0, 0, 0, 0, 0, time.UTC).Day()
}
