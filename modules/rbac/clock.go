package rbac

import "time"

// Clock returns the current time. Tests set their own.
type Clock func() time.Time

// Now returns the time with the precision of the database: whole microseconds.
func (c Clock) Now() time.Time { return c().UTC().Truncate(time.Microsecond) }

// InUTC returns the time in UTC; nil stays nil.
func InUTC(t *time.Time) *time.Time {
	if t == nil {
		return nil
	}
	return new(t.UTC())
}
