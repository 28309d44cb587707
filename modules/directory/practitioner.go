package directory

import (
	"slices"

	"omnirapeutic/platform/calendar"
)

// Practitioner is a person who renders services.
type Practitioner struct {
	Record
	FirstName     string
	LastName      string
	LicenseNumber *string
	NPI           *string      `gorm:"column:npi"` // the organization uses each one once
	Credentials   []Credential `gorm:"-"`          // sorted by code
	Status        Status
	TaxonomyCode  *string // the kind of provider, see [ValidTaxonomyCode]
}

// NeedsSupervision reports whether the practitioner holds one of the supervised credentials, and no
// other credential that is in force on the day. An expired credential needs supervision too.
func (p Practitioner) NeedsSupervision(supervised []string, on calendar.Date) bool {
	needed := false
	for _, c := range p.Credentials {
		switch {
		case slices.Contains(supervised, c.Code):
			needed = true
		case c.ExpiresOn.IsZero() || !on.After(c.ExpiresOn):
			return false
		}
	}
	return needed
}

// Credential is a qualification of a practitioner.
type Credential struct {
	Code      string        // such as BCBA, BCaBA or RBT
	ExpiresOn calendar.Date // the last valid day; zero if no end is known
}

// PractitionerFilter narrows a list of practitioners. Zero values match every practitioner.
type PractitionerFilter struct {
	Page
	Status Status
}
