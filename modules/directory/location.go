package directory

// Location is a place at which an organization renders services: a home, a clinic, a school, or
// telehealth.
type Location struct {
	Record
	Name           string
	Kind           LocationKind
	PlaceOfService string        // the usual code of services there; see [PlacesOfService]
	TimeZone       *string       // an IANA name; it decides service dates there; nil: the organization's
	Address        PostalAddress `gorm:"embedded;embeddedPrefix:address_"`
	Latitude       *float64      // in degrees; given together with Longitude
	Longitude      *float64
	Active         bool // whether appointments can be booked there
}

// LocationKind is the kind of a location.
type LocationKind string

// The kinds of locations.
const (
	Home       LocationKind = "HOME"
	Clinic     LocationKind = "CLINIC"
	School     LocationKind = "SCHOOL"
	Telehealth LocationKind = "TELEHEALTH"
)

// LocationFilter narrows a list of locations. Zero values match every location.
type LocationFilter struct {
	Page
	Kind LocationKind
}
