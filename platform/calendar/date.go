// Package calendar defines Date, a calendar date without time of day or time zone.
// Authorizations begin and end on such dates.
package calendar

import (
	"database/sql/driver"
	"encoding/json"
	"fmt"
	"time"

	"omnirapeutic/platform/fault"
)

// Date is a day of the proleptic Gregorian calendar. The zero value is no date.
// Dates are comparable with == and usable as map keys.
type Date struct {
	days int32 // days since 0000-12-31, so that 0001-01-01 is 1 and the zero value is no date
}

// Layout is how dates are written: RFC 3339 full-date.
const Layout = "2006-01-02"

var origin = time.Date(0, time.December, 31, 0, 0, 0, 0, time.UTC)

// NewDate returns the date. A day or month out of range is normalized as by time.Date.
func NewDate(year int, month time.Month, day int) Date {
	t := time.Date(year, month, day, 0, 0, 0, 0, time.UTC)
	const secondsPerDay = 24 * 60 * 60
	//nolint:gosec // years 1 to 9999 are at most 3.7 million days
	return Date{int32((t.Unix() - origin.Unix()) / secondsPerDay)}
}

// DateIn returns the calendar date that t has in the zone.
func DateIn(t time.Time, zone *time.Location) Date {
	return NewDate(t.In(zone).Date())
}

// ErrDate is returned for a text that is not a date between 0001-01-01 and 9999-12-31
// in the form YYYY-MM-DD.
const ErrDate = fault.FormatError("must be a date written as YYYY-MM-DD")

// ParseDate reads YYYY-MM-DD. The error is [ErrDate].
func ParseDate(s string) (Date, error) {
	t, err := time.Parse(Layout, s)
	if err != nil || t.Year() < 1 {
		return Date{}, ErrDate
	}
	return NewDate(t.Date()), nil
}

// The range of valid dates in requests, both included. A date outside it is a typing error, such as
// the year 0206 or 20260.
var (
	First = NewDate(1900, time.January, 1)
	Last  = NewDate(2199, time.December, 31)
)

// InRange reports whether d lies from [First] to [Last].
func (d Date) InRange() bool { return !d.Before(First) && !d.After(Last) }

// InstantInRange reports whether t lies, in UTC, on a date from [First] to [Last].
func InstantInRange(t time.Time) bool {
	year := t.UTC().Year() // [DateIn] cannot represent every instant
	return year >= First.Time().Year() && year <= Last.Time().Year()
}

// IsZero reports whether d is no date.
func (d Date) IsZero() bool { return d.days == 0 }

// Time returns midnight UTC at the beginning of the date.
func (d Date) Time() time.Time { return origin.AddDate(0, 0, int(d.days)) }

// String returns YYYY-MM-DD, and nothing for no date.
func (d Date) String() string { return string(d.Append(nil)) }

// Append appends the text of [Date.String].
func (d Date) Append(b []byte) []byte {
	if d.IsZero() {
		return b
	}
	return d.Time().AppendFormat(b, Layout)
}

// AddDays returns the date n days later, or earlier where n is negative.
func (d Date) AddDays(n int) Date { return Date{d.days + int32(n)} } //nolint:gosec // callers add days, not millennia

// DaysSince returns how many days d is after other, negative where it is before.
func (d Date) DaysSince(other Date) int { return int(d.days - other.days) }

// Before reports whether d is earlier than other.
func (d Date) Before(other Date) bool { return d.days < other.days }

// After reports whether d is later than other.
func (d Date) After(other Date) bool { return d.days > other.days }

// MarshalJSON writes "YYYY-MM-DD", and null for no date.
func (d Date) MarshalJSON() ([]byte, error) {
	if d.IsZero() {
		return []byte("null"), nil
	}
	return []byte(`"` + d.String() + `"`), nil
}

// UnmarshalJSON reads "YYYY-MM-DD", or null for no date. The error is [ErrDate].
func (d *Date) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		*d = Date{}
		return nil
	}
	var s string
	if json.Unmarshal(b, &s) != nil {
		return ErrDate
	}
	parsed, err := ParseDate(s)
	if err != nil {
		return err
	}
	*d = parsed
	return nil
}

// MarshalText writes YYYY-MM-DD, for keys of JSON objects.
func (d Date) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads YYYY-MM-DD, for query and path parameters. The error is [ErrDate].
func (d *Date) UnmarshalText(b []byte) error {
	parsed, err := ParseDate(string(b))
	if err != nil {
		return err
	}
	*d = parsed
	return nil
}

// Value writes the date to a database column of type date.
func (d Date) Value() (driver.Value, error) {
	if d.IsZero() {
		return nil, nil
	}
	return d.String(), nil
}

// Scan reads the date from a database column of type date.
func (d *Date) Scan(src any) error {
	switch v := src.(type) {
	case nil:
		*d = Date{}
	case time.Time:
		*d = NewDate(v.Date())
	case string:
		return d.UnmarshalText([]byte(v))
	default:
		return fmt.Errorf("calendar: cannot read a date from %T", src)
	}
	return nil
}

// GormDataType names the column type for gorm.
func (Date) GormDataType() string { return "date" }
