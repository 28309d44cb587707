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
	Relationship *Relationship // of the patient to the subscriber; nil if unknown

	// The subscriber, unless it is the patient.
	SubscriberFirstName *string
	SubscriberLastName  *string
}

// Relationship is the relationship of a patient to the subscriber of an insurance.
type Relationship string

// The relationships.
const (
	Self   Relationship = "SELF" // the patient is the subscriber
	Spouse Relationship = "SPOUSE"
	Child  Relationship = "CHILD"
	Other  Relationship = "OTHER"
)

// InsuranceFilter narrows a list of coverages. Zero values match every coverage.
type InsuranceFilter struct {
	Page
	PatientID uuid.UUID
	PayerID   uuid.UUID
}

func doesNotExist(field string) fault.Field {
	return fault.Field{Field: field, Code: "reference", Message: "does not exist"}
}
