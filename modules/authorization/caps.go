package authorization

import (
	"database/sql/driver"
	"encoding/json"
	"fmt"
	"time"

	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/fault"
)

// Period is the time over which a cap counts.
type Period string

// The periods of caps.
const (
	PerDay   Period = "DAY"
	PerWeek  Period = "WEEK"  // its first day is the payer's
	PerMonth Period = "MONTH" // of the calendar
	PerSpan  Period = "TOTAL" // all of the authorization's dates
)

// Cap limits how many units of an authorization can be booked in one period: 0
// is a limit too.
type Cap struct {
	Period Period
	Units  int // 0 to [MaxUnits]
}

// Caps are the caps of an authorization, at most one for each period; nil: there
// is none. They stand beside the total, and only a reservation meets them: time
// that was really worked is consumed whatever they say.
type Caps struct {
	Day   *int
	Week  *int
	Month *int
	Total *int
}

// periods is the order in which caps are shown and asked, the shortest first.
var periods = []Period{PerDay, PerWeek, PerMonth, PerSpan}

// of returns where the cap of the period is kept, nil where there is no such period.
func (c *Caps) of(p Period) **int {
	switch p {
	case PerDay:
		return &c.Day
	case PerWeek:
		return &c.Week
	case PerMonth:
		return &c.Month
	case PerSpan:
		return &c.Total
	default:
		return nil
	}
}

// List returns the caps, the one of the shortest period first.
func (c Caps) List() []Cap {
	list := []Cap{}
	for _, p := range periods {
		if units := *c.of(p); units != nil {
			list = append(list, Cap{p, *units})
		}
	}
	return list
}

// byDate reports whether some cap counts what is booked by its date: all but
// that of the whole span, for which the other counters are enough.
func (c Caps) byDate() bool { return c.Day != nil || c.Week != nil || c.Month != nil }

// nothingBooked returns what is kept of an authorization without reservations.
func (c Caps) nothingBooked() Bookings {
	if c.byDate() {
		return Bookings{}
	}
	return nil
}

func (c Caps) equal(other Caps) bool {
	return equal(c.Day, other.Day) && equal(c.Week, other.Week) && equal(c.Month, other.Month) && equal(c.Total, other.Total)
}

// Bookings are the units of an authorization's reservations that were not given
// back, used or not, by service date. They are kept while some cap counts by date.
type Bookings map[calendar.Date]int

// String returns them as JSON.
func (b Bookings) String() string {
	text, err := json.Marshal(b)
	if err != nil {
		panic(err) // dates and numbers can always be written
	}
	return string(text)
}

// Value writes them to a column of type jsonb.
func (b Bookings) Value() (driver.Value, error) {
	if b == nil {
		return nil, nil
	}
	return b.String(), nil
}

// Scan reads them from a column of type jsonb.
func (b *Bookings) Scan(src any) error {
	*b = nil
	switch v := src.(type) {
	case nil:
		return nil
	case []byte:
		return json.Unmarshal(v, b)
	case string:
		return json.Unmarshal([]byte(v), b)
	default:
		return fmt.Errorf("authorization: cannot read bookings from %T", src)
	}
}

// GormDataType names the column type for gorm.
func (Bookings) GormDataType() string { return "jsonb" }

// capsOf returns the caps of a list, and what is wrong with it.
func capsOf(list []Cap) (Caps, []fault.Field) {
	var c Caps
	var wrong []fault.Field
	for i, each := range list {
		kept := c.of(each.Period)
		switch {
		case kept == nil:
			wrong = append(wrong, fault.Field{
				Field: fmt.Sprintf("caps[%d].period", i), Code: "oneof", Message: "must be DAY, WEEK, MONTH or TOTAL",
			})
		case *kept != nil:
			wrong = append(wrong, fault.Field{
				Field: fmt.Sprintf("caps[%d].period", i), Code: "duplicate", Message: "has a cap already",
			})
		case each.Units < 0 || each.Units > MaxUnits:
			wrong = append(wrong, fieldUnits(fmt.Sprintf("caps[%d].units", i), 0))
		default:
			*kept = new(each.Units)
		}
	}
	return c, wrong
}

// days is a run of days, the first and the last included.
type days struct{ first, last calendar.Date }

func (d days) hold(day calendar.Date) bool { return !day.Before(d.first) && !day.After(d.last) }

// Beyond these a date cannot be written, so no reservation is there.
var (
	firstDayOfAll = calendar.NewDate(1, time.January, 1)
	lastDayOfAll  = calendar.NewDate(9999, time.December, 31)
)

// period returns the days of the period that holds the day.
func (a account) period(p Period, day calendar.Date) days {
	t := day.Time()
	d := days{a.StartDate, a.EndDate}
	switch p {
	case PerDay:
		d = days{day, day}
	case PerWeek:
		const week = 7
		first := day.AddDays(-(int(t.Weekday()-a.weekStart) + week) % week)
		d = days{first, first.AddDays(week - 1)}
	case PerMonth:
		d = days{calendar.NewDate(t.Year(), t.Month(), 1), calendar.NewDate(t.Year(), t.Month()+1, 0)}
	}
	if d.first.Before(firstDayOfAll) {
		d.first = firstDayOfAll
	}
	if d.last.After(lastDayOfAll) {
		d.last = lastDayOfAll
	}
	return d
}

// bookedIn returns the units that count against the cap of a period: those of all
// reservations for its days that were not given back, used or not.
func (a account) bookedIn(p Period, d days) int {
	if p == PerSpan {
		return a.Used + a.Scheduled
	}
	sum := 0
	for day, units := range a.Booked {
		if d.hold(day) {
			sum += units
		}
	}
	return sum
}

// capRefusal returns why the units cannot be reserved for the day, nil where no
// cap stands against it.
func (a account) capRefusal(units int, day calendar.Date) *fault.Error {
	for _, limit := range a.Caps.List() {
		d := a.period(limit.Period, day)
		booked := a.bookedIn(limit.Period, d)
		missing := booked + units - limit.Units
		if missing <= 0 {
			continue
		}
		return ErrCapExceeded.With(
			CapShortage{limit.Period, d.first, d.last, limit.Units, booked, units, missing},
			"The authorization allows %d units %s. Booked: %d, Requested: %d, Missing: %d",
			limit.Units, d.words(limit.Period), booked, units, missing)
	}
	return nil
}

func (d days) words(p Period) string {
	switch p {
	case PerDay:
		return fmt.Sprintf("on the day %s", d.first)
	case PerWeek:
		return fmt.Sprintf("in the week from %s to %s", d.first, d.last)
	case PerMonth:
		return fmt.Sprintf("in the month from %s to %s", d.first, d.last)
	default:
		return fmt.Sprintf("in all, from %s to %s", d.first, d.last)
	}
}
