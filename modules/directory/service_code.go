package directory

import (
	"omnirapeutic/platform/scheduling"
)

// ServiceCode is the code of a service, such as 97153. The set of codes is open: an organization
// enters the codes that its payers use.
type ServiceCode struct {
	Record
	// The code, such as 97153. The organization uses each code once.
	Code string `json:"code"`
	// A short label of the organization.
	Description string `json:"description"`
	// The kind of service. A patient has one appointment at a time of each kind.
	Track scheduling.Track `json:"lane"`
	// The length of a unit in minutes.
	UnitMinutes int `json:"unitMinutes"`
	// The qualifications of which the practitioner needs one, sorted. If it is empty, none is
	// needed.
	RequiredCredentials []string `json:"requiredCredentials" gorm:"-"`
	// Whether the code is still in use.
	Active bool `json:"active"`
}

// ServiceCodeFilter narrows a list of service codes. Zero values match every service code.
type ServiceCodeFilter struct {
	Page
	Code string
}
