package appointments

import (
	"fmt"
	"slices"
	"time"

	"github.com/teambition/rrule-go"

	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/fault"
)

// What one recurrence rule may come to. An authorization seldom runs longer than a
// year, and whatever a series holds is booked in one transaction.
const (
	// MaxOccurrences is how many appointments one series has at most.
	MaxOccurrences = 366
	// MaxSeriesYears is how many years after its first appointment a series may go on.
	MaxSeriesYears = 2
)

// fieldRule is the field of a request that holds a recurrence rule.
const fieldRule = "recurrenceRule"

// Occurrences returns the appointments of the series that begins with the first:
// at least one, in order, the first being what was given. Each later one starts
// when clocks in the zone show what they showed at the start of the first, so an
// appointment at 15:00 stays at 15:00 when clocks change; on the day of a change
// itself [place] says what that means for a time that comes twice or never. Each
// lasts as long as the first, in time that passes, and may so end at another
// wall-clock time where clocks change in the middle of it.
//
// The error is [fault.ErrInvalid] and names recurrenceRule where the first is not
// an occurrence of the rule, or the rule goes on for longer than [MaxOccurrences]
// or [MaxSeriesYears]: a series is refused, never silently shortened.
func (r Rule) Occurrences(first Span, zone *time.Location) ([]Span, error) {
	start := calendar.DateIn(first.Start, zone)
	if year := start.Time().Year(); year < 1 || year > 9000 {
		return nil, fault.InvalidFields(fault.Field{Field: "startTime", Code: "range", Message: "is too far away for a series"})
	}
	if reason := r.misses(start); reason != "" {
		return nil, wrongRule("must have the first appointment as its first occurrence: " + reason)
	}
	last := calendar.NewDate(start.Time().AddDate(MaxSeriesYears, 0, 0).Date())
	if r.until.lastDate(zone).After(last) {
		return nil, wrongRule(fmt.Sprintf("must end within %d years", MaxSeriesYears))
	}
	next, err := r.dates(start, last)
	if err != nil {
		return nil, err
	}

	wall := wallClock(first.Start, zone)
	spans := []Span{first}
	if r.until.before(first.Start, zone) {
		return nil, wrongRule("must not end before the first appointment")
	}
	_, _ = next() // the first, as misses has seen
	for r.count == 0 || len(spans) < r.count {
		date, ok := next()
		if !ok || date.After(last) {
			break
		}
		begins := place(onDate(date, wall), zone)
		if r.until.before(begins, zone) {
			return spans, nil
		}
		if len(spans) == MaxOccurrences {
			return nil, wrongRule(fmt.Sprintf("must not have more than %d occurrences", MaxOccurrences))
		}
		if calendar.DateIn(begins, zone) != date {
			return nil, wrongRule(fmt.Sprintf("falls on %s, when the organization's time zone has no such time, nor any later one", date))
		}
		spans = append(spans, Span{begins, begins.Add(first.Length())})
	}
	if len(spans) < r.count {
		return nil, wrongRule(fmt.Sprintf("must come to its count within %d years; by then its occurrences are %d", MaxSeriesYears, len(spans)))
	}
	return spans, nil
}

// dates returns the dates of the rule from start on, one with each call, until they
// go past last. Clocks and zones do not come into it: the library that expands the
// rule knows only UTC here, because it goes wrong where clocks change.
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
	if err != nil { // ParseRule has seen to it that it is not
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

// rruleWeekdays returns the days as the library wants them: where some are counted
// and some are not (MO,1TU) it would take only days that are both.
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

// misses says why the rule has no occurrence on its first date; nothing where it
// has one. Whatever has one occurrence has more in the calendar of 400 years, which
// is why expanding it comes to an end.
func (r Rule) misses(date calendar.Date) string {
	t := date.Time()
	switch {
	case len(r.byMonth) > 0 && !slices.Contains(r.byMonth, int(t.Month())):
		return fmt.Sprintf("%s is in a month that BYMONTH does not name", date)
	case len(r.byMonthDay) > 0 && !r.onMonthDay(t):
		return fmt.Sprintf("%s is on a day of the month that BYMONTHDAY does not name", date)
	case len(r.byDay) > 0 && !r.onWeekday(t):
		return fmt.Sprintf("%s is a %s that BYDAY does not name", date, t.Weekday())
	case len(r.bySetPos) > 0 && !r.onSetPosition(t):
		return fmt.Sprintf("%s is not among those that BYSETPOS picks", date)
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

// onSetPosition counts the days of the month that the other parts of the rule name.
func (r Rule) onSetPosition(t time.Time) bool {
	place, size := 0, 0
	for day := 1; day <= daysOfMonth(t); day++ {
		at := time.Date(t.Year(), t.Month(), day, 0, 0, 0, 0, time.UTC)
		if len(r.byMonthDay) > 0 && !r.onMonthDay(at) || len(r.byDay) > 0 && !r.onWeekday(at) {
			continue
		}
		size++
		if day == t.Day() {
			place = size
		}
	}
	return slices.Contains(r.bySetPos, place) || slices.Contains(r.bySetPos, place-size-1)
}

func daysOfMonth(t time.Time) int {
	return time.Date(t.Year(), t.Month()+1, 0, 0, 0, 0, 0, time.UTC).Day()
}
