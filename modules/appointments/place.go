package appointments

import (
	"sync"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/scheduling"
)

// Place is where an appointment or a session takes place, and who supervises it.
type Place struct {
	PlaceOfService            *string    `json:",omitempty"` // see [directory.PlacesOfService]
	LocationID                *uuid.UUID `json:",omitempty"`
	SupervisingPractitionerID *uuid.UUID `json:",omitempty"`
	TimeZone                  *string    `json:",omitempty"` // of the location; nil: the organization's
	// GivenModifiers replace the modifiers by the payers' rules; nil: the rules apply.
	GivenModifiers *scheduling.Modifiers `json:",omitempty"`
}

// equal reports whether both places have the same values.
func (p Place) equal(other Place) bool {
	return equal(p.PlaceOfService, other.PlaceOfService) && equal(p.LocationID, other.LocationID) &&
		equal(p.SupervisingPractitionerID, other.SupervisingPractitionerID) && equal(p.TimeZone, other.TimeZone) &&
		equal(p.GivenModifiers, other.GivenModifiers)
}

// zone returns the time zone that decides the service date: of the location, or else the given one
// of the organization.
func (p Place) zone(organization *time.Location) *time.Location {
	if p.TimeZone == nil {
		return organization
	}
	if zone := zoneNamed(*p.TimeZone); zone != nil {
		return zone
	}
	return organization
}

// zones caches the result of [time.LoadLocation], which reads a file.
var zones sync.Map

// zoneNamed returns the time zone with the name, or nil if the system does not know it.
func zoneNamed(name string) *time.Location {
	if known, ok := zones.Load(name); ok {
		return known.(*time.Location)
	}
	zone, err := time.LoadLocation(name)
	if err != nil {
		return nil
	}
	zones.Store(name, zone)
	return zone
}
