package directory

import (
	"omnirapeutic/platform/calendar"
)

// Practitioner is a person who renders services.
type Practitioner struct {
	Record
	FirstName     string       `json:"firstName"`
	LastName      string       `json:"lastName"`
	LicenseNumber *string      `json:"licenseNumber"`
	NPI           *string      `json:"npi" gorm:"column:npi"`
	Credentials   []Credential `json:"credentials" gorm:"-"` // The qualifications, sorted by code.
	Status        Status       `json:"status"`               // Whether the practitioner renders services.
}

// Credential is a qualification of a practitioner. In a request its code alone is accepted: "RBT"
// is {"code":"RBT"}.
type Credential struct {
	// The code of the qualification, such as BCBA, BCaBA or RBT.
	Code      string        `json:"code"`
	ExpiresOn calendar.Date `json:"expiresOn" null:"true"` // The last valid day. Null if no end is known.
}

// PractitionerFilter narrows a list of practitioners. Zero values match every practitioner.
type PractitionerFilter struct {
	Page
	Status Status
}
