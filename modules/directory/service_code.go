package directory

import (
	"omnirapeutic/platform/scheduling"
)

// ServiceCode is the code of a service, such as 97153. The set of codes is open: an organization
// enters the codes that its payers use.
type ServiceCode struct {
	Record
	Code                string           // the organization uses each code once
	Description         string           // a short label of the organization
	Track               scheduling.Track // a patient has one appointment at a time on each track
	UnitMinutes         int
	RequiredCredentials []string `gorm:"-"` // the practitioner needs one of them; sorted; empty: none is needed
	// SupervisedCredentials are credentials whose holders render the service only under supervision; sorted.
	SupervisedCredentials []string `gorm:"serializer:json"`
	Active                bool     // whether the code is still in use
	// The requirements for the notes of its sessions; nil: no note is required.
	Note *scheduling.NoteRule `gorm:"serializer:json"`
}

// ServiceCodeFilter narrows a list of service codes. Zero values match every service code.
type ServiceCodeFilter struct {
	Page
	Code string
}
