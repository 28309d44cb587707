package directory

import (
	"strings"
	"time"

	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/fault"
)

// earliestBirth excludes typing errors such as the years 202 and 0019.
var earliestBirth = calendar.NewDate(1900, time.January, 1)

func (p *Patient) normalize(today calendar.Date) []fault.Field {
	var fieldErrors []fault.Field
	switch {
	case p.DateOfBirth.After(today):
		fieldErrors = append(fieldErrors, fault.Field{
			Field: "dateOfBirth", Code: "future",
			Message: "must not be in the future",
		})
	case p.DateOfBirth.Before(earliestBirth):
		fieldErrors = append(fieldErrors, fault.Field{Field: "dateOfBirth", Code: "min", Message: "must not be before " +
			earliestBirth.String()})
	}
	fieldErrors = append(fieldErrors, p.Address.normalize("address")...)
	if n := p.MedicalRecordNumber; n != nil && strings.TrimSpace(*n) != *n {
		fieldErrors = append(fieldErrors, fault.Field{
			Field: "medicalRecordNumber", Code: "spaces",
			Message: "must not begin or end with a space",
		})
	}
	return fieldErrors
}

// latestToday is the current date in the zone where it is latest on Earth, UTC+14. Any later date
// is in the future everywhere, so it can be refused without the organization's time zone.
func latestToday(now time.Time) calendar.Date {
	const ahead = 14 * time.Hour
	return calendar.DateIn(now.Add(ahead), time.UTC)
}
