package directory

import (
	"github.com/google/uuid"

	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/fault"
)

// Insurance is a patient's coverage by a payer.
type Insurance struct {
	Record
	PatientID    uuid.UUID
	PayerID      uuid.UUID
	MemberNumber string
	StartsOn     calendar.Date // the first day of coverage
	EndsOn       calendar.Date // the last day of coverage; zero if no end is known
}

// InsuranceFilter narrows a list of coverages. Zero values match every coverage.
type InsuranceFilter struct {
	Page
	PatientID uuid.UUID
	PayerID   uuid.UUID
}

func doesNotExist(field string) fault.Field {
	return fault.Field{Field: field, Code: "reference", Message: "does not exist"}
}
