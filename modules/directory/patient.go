package directory

import (
	"omnirapeutic/platform/calendar"
)

// Patient is a person who is, or was, in the organization's care.
type Patient struct {
	Record
	FirstName           string        `json:"firstName"`
	LastName            string        `json:"lastName"`
	DateOfBirth         calendar.Date `json:"dateOfBirth"`
	MedicalRecordNumber *string       `json:"medicalRecordNumber"`
	Status              Status        `json:"status"` // Whether the patient is in care.
}

// PatientFilter narrows a list of patients. Zero values match every patient.
type PatientFilter struct {
	Page
	Status              Status
	LastName            string // the beginning of the last name, in upper or lower case
	MedicalRecordNumber string // the whole number
	DateOfBirth         calendar.Date
}
