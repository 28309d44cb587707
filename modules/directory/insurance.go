package directory

import (
	"github.com/google/uuid"

	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/fault"
)

// Insurance is a patient's coverage by a payer.
type Insurance struct {
	Record
	PatientID    uuid.UUID     `json:"patientId"`
	PayerID      uuid.UUID     `json:"payerId"`
	MemberNumber string        `json:"memberNumber"`
	StartsOn     calendar.Date `json:"startsOn"`           // The first day of coverage.
	EndsOn       calendar.Date `json:"endsOn" null:"true"` // The last day of coverage. Null if no end is known.
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
