package authorization

import (
	"database/sql/driver"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/fault"
)

// Period is the period of a cap.
type Period string

// The periods of caps.
const (
	PerDay   Period = "DAY"
	PerWeek  Period = "WEEK"  // begins on the payer's first day of the week
	PerMonth Period = "MONTH" // a calendar month
	PerSpan  Period = "TOTAL" // all days of the authorization
)

// Cap limits the units of an authorization that can be booked in one period. 0 units is a valid
// limit.
type Cap struct {
	Period Period
	Units  int // 0 to [MaxUnits]
}

// Caps has the caps of an authorization, at most one per period; nil: no cap. Caps apply in
// addition to the total, and only to reservations. Worked time is always consumed, even above a
// cap.
type Caps struct {
	Day   *int
	Week  *int
	Month *int
	Total *int
}

// periods is the order in which caps are listed and checked, shortest first.
var periods = []Period{PerDay, PerWeek, PerMonth, PerSpan}

// of returns a pointer to the period's cap, or nil for an unknown period.
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

// List returns the caps, shortest period first.
func (c Caps) List() []Cap {
	list := []Cap{}
	for _, p := range periods {
		if units := *c.of(p); units != nil {
			list = append(list, Cap{p, *units})
		}
	}
	return list
}

// byDate reports whether any cap needs the units by date. The cap of the whole span does not: the
// counters suffice.
func (c Caps) byDate() bool { return c.Day != nil || c.Week != nil || c.Month != nil }

// noUnits returns the initial units by date of an authorization without reservations.
func (c Caps) noUnits() UnitsByDate {
	if c.byDate() {
		return UnitsByDate{}
	}
	return nil
}

func (c Caps) equal(other Caps) bool {
	return equal(c.Day, other.Day) && equal(c.Week, other.Week) && equal(c.Month, other.Month) &&
		equal(c.Total, other.Total)
}

// UnitsByDate has the units of an authorization's reservations by service date, without released
// units. They are stored only if a cap counts by date.
type UnitsByDate map[calendar.Date]int

// String returns the units as JSON.
func (b UnitsByDate) String() string {
	text, err := json.Marshal(b)
	if err != nil {
		panic(err) // dates and numbers can always be encoded
	}
	return string(text)
}

// text returns the units as JSON, or nil if no cap counts by date.
func (b UnitsByDate) text() *string {
	if b == nil {
		return nil
	}
	return new(b.String())
}

// Value implements [driver.Valuer] for a column of type jsonb.
func (b UnitsByDate) Value() (driver.Value, error) {
	if b == nil {
		return nil, nil
	}
	return b.String(), nil
}

// Scan implements [sql.Scanner] for a column of type jsonb.
func (b *UnitsByDate) Scan(src any) error {
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

// GormDataType returns the column type for gorm.
func (UnitsByDate) GormDataType() string { return "jsonb" }

// capsOf returns the caps of a list, and its field errors.
func capsOf(list []Cap) (Caps, []fault.Field) {
	var c Caps
	var fieldErrors []fault.Field
	for i, each := range list {
		kept := c.of(each.Period)
		switch {
		case kept == nil:
			fieldErrors = append(fieldErrors, fault.Field{
				Field: fmt.Sprintf("caps[%d].period", i), Code: "oneof", Message: "must be DAY, WEEK, MONTH or TOTAL",
			})
		case *kept != nil:
			fieldErrors = append(fieldErrors, fault.Field{
				Field: fmt.Sprintf("caps[%d].period", i), Code: "duplicate", Message: "has a cap already",
			})
		case each.Units < 0 || each.Units > MaxUnits:
			fieldErrors = append(fieldErrors, fieldUnits(fmt.Sprintf("caps[%d].units", i), 0))
		default:
			*kept = new(each.Units)
		}
	}
	return c, fieldErrors
}

// days is a range of days, the first and the last included.
type days struct{ first, last calendar.Date }

func (d days) hold(day calendar.Date) bool { return !day.Before(d.first) && !day.After(d.last) }

// The first and last dates that can be encoded. No reservation has a date outside them.
var (
	firstDayOfAll = calendar.NewDate(1, time.January, 1)
	lastDayOfAll  = calendar.NewDate(9999, time.December, 31)
)

// period returns the days of the period that contains the day.
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

// bookedIn returns the units that count against a cap in the given days: all reservations
// for these days, used or not, without released units.
func (a account) bookedIn(p Period, d days) int {
	if p == PerSpan {
		return a.Used + a.Scheduled
	}
	sum := 0
	for day, units := range a.UnitsByDate {
		if d.hold(day) {
			sum += units
		}
	}
	return sum
}

// exceeded returns the caps that the units by date exceed, sorted by period and first day.
func (a account) exceeded() []ExceededCap {
	var all []ExceededCap
	for _, limit := range a.Caps.List() {
		sums := map[days]int{}
		for day, units := range a.UnitsByDate {
			sums[a.period(limit.Period, day)] += units
		}
		periods := slices.SortedFunc(maps.Keys(sums), func(x, y days) int { return x.first.Time().Compare(y.first.Time()) })
		for _, d := range periods {
			if sums[d] > limit.Units {
				all = append(all, ExceededCap{a.ID, limit.Period, d.first, d.last, limit.Units, sums[d]})
			}
		}
	}
	return all
}

// capRefusal returns the error of the first cap that the reservation would exceed, or nil.
func (a account) capRefusal(units int, day calendar.Date) *fault.Error {
	for _, limit := range a.Caps.List() {
		d := a.period(limit.Period, day)
		booked := a.bookedIn(limit.Period, d)
		missing := booked + units - limit.Units
		if missing <= 0 {
			continue
		}
		return ErrCapExceeded.With(
			CapShortage{a.backing(), limit.Period, d.first, d.last, limit.Units, booked, units, missing},
			"The authorization allows %d units %s. Booked: %d, Requested: %d, Missing: %d",
			limit.Units, d.text(limit.Period), booked, units, missing)
	}
	return nil
}

func (d days) text(p Period) string {
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
