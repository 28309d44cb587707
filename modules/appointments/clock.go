package appointments

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"omnirapeutic/platform/fault"
)

// Clock is a wall-clock time in minutes since midnight, 0 to 1440, encoded as HH:MM; 24:00 is the
// end of the day.
type Clock int

// endOfDay is 24:00.
const endOfDay Clock = 24 * 60

// ErrClock is returned for a text that is not a time of day from 00:00 to 24:00 in the form HH:MM.
const ErrClock = fault.FormatError("must be a time of day written as HH:MM, from 00:00 to 24:00")

// String returns the time as HH:MM.
func (c Clock) String() string { return fmt.Sprintf("%02d:%02d", int(c)/60, int(c)%60) }

func (c Clock) sinceMidnight() time.Duration { return time.Duration(c) * time.Minute }

// MarshalText encodes the time as HH:MM.
func (c Clock) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText decodes HH:MM. The error is [ErrClock].
func (c *Clock) UnmarshalText(b []byte) error {
	if string(b) == endOfDay.String() {
		*c = endOfDay
		return nil
	}
	t, err := time.Parse("15:04", string(b))
	if err != nil || len(b) != len("15:04") {
		return ErrClock
	}
	*c = Clock(t.Hour()*60 + t.Minute())
	return nil
}

// MarshalJSON encodes the time as "HH:MM".
func (c Clock) MarshalJSON() ([]byte, error) { return []byte(`"` + c.String() + `"`), nil }

// UnmarshalJSON decodes "HH:MM". The error is [ErrClock].
func (c *Clock) UnmarshalJSON(b []byte) error {
	var text string
	if json.Unmarshal(b, &text) != nil {
		return ErrClock
	}
	return c.UnmarshalText([]byte(text))
}

// SchemaOfRequest returns the JSON Schema of a time of day.
func (Clock) SchemaOfRequest() string {
	return `{"type": "string", "pattern": "^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$", ` +
		`"description": "A time of day, to the minute; 24:00 is the end of the day."}`
}

// Weekday is a day of the week, encoded as its English name in capital letters: 1 is Monday and 7
// Sunday, as in ISO 8601. The zero value is no weekday.
type Weekday int

func weekdayOf(day time.Weekday) Weekday {
	const sunday = 7
	if day == time.Sunday {
		return sunday
	}
	return Weekday(day)
}

// ErrWeekday is returned for a text that is not the name of a weekday.
const ErrWeekday = fault.FormatError("must be one of MONDAY, TUESDAY, WEDNESDAY, THURSDAY, FRIDAY, SATURDAY, SUNDAY")

var weekdayNames = []string{"", "MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY", "SUNDAY"}

// String returns the name, or "" for the zero value.
func (w Weekday) String() string { return weekdayNames[w] }

// MarshalJSON encodes the name.
func (w Weekday) MarshalJSON() ([]byte, error) { return []byte(`"` + w.String() + `"`), nil }

// UnmarshalJSON decodes the name. The error is [ErrWeekday].
func (w *Weekday) UnmarshalJSON(b []byte) error {
	var text string
	if json.Unmarshal(b, &text) != nil {
		return ErrWeekday
	}
	i := slices.Index(weekdayNames, text)
	if i < 1 {
		return ErrWeekday
	}
	*w = Weekday(i)
	return nil
}

// SchemaOfRequest returns the JSON Schema of a weekday.
func (Weekday) SchemaOfRequest() string {
	return `{"type": "string", "enum": ["MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY", "SUNDAY"]}`
}
