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
	Sex                 *Sex
	Address             PostalAddress `gorm:"-"`
}

// Sex is the sex of a patient, as payers have it on file.
type Sex string

// The values of a [Sex].
const (
	Female     Sex = "FEMALE"
	Male       Sex = "MALE"
	UnknownSex Sex = "UNKNOWN"
)

// PatientFilter narrows a list of patients. Zero values match every patient.
type PatientFilter struct {
	Page
	Status              Status
	LastName            string // the beginning of the last name, in upper or lower case
	MedicalRecordNumber string // the whole number
	DateOfBirth         calendar.Date
}
