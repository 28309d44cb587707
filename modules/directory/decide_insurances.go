package directory

import (
	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/fault"
)

func (i *Insurance) normalize(calendar.Date) []fault.Field {
	if !i.EndsOn.IsZero() && i.EndsOn.Before(i.StartsOn) {
		return []fault.Field{{Field: "endsOn", Code: "gtefield", Message: "must not be before startsOn"}}
	}
	return nil
}
