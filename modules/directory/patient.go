package directory

import (
	"omnirapeutic/platform/calendar"
)

// Patient is a person who is, or was, in the organization's care.
type Patient struct {
	Record
	FirstName           string
	LastName            string
	DateOfBirth         calendar.Date
	MedicalRecordNumber *string // the organization uses each number once
	Status              Status
}

// PatientFilter narrows a list of patients. Zero values match every patient.
type PatientFilter struct {
	Page
	Status              Status
	LastName            string // the beginning of the last name, in upper or lower case
	MedicalRecordNumber string // the whole number
	DateOfBirth         calendar.Date
}
