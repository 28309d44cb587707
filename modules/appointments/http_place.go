package appointments

import (
	"github.com/google/uuid"

	"omnirapeutic/platform/patch"
)

// placeBody is the place of an appointment or a session in API responses.
type placeBody struct {
	// The place-of-service code of CMS. Null: not known.
	PlaceOfService *string `json:"placeOfService"`
	// The location. Null: none.
	LocationID *uuid.UUID `json:"locationId"`
	// The practitioner who supervises the service. Null: none.
	SupervisingPractitionerID *uuid.UUID `json:"supervisingPractitionerId"`
	// The time zone of the location, which decides the service date. Null: the organization's.
	TimeZone *string `json:"timeZone"`
}

func placeBodyOf(p Place) placeBody { return placeBody(p) }

// bookedPlace is the place of a requested appointment.
type bookedPlace struct {
	// The place-of-service code of CMS. The default is that of the location.
	PlaceOfService *string `json:"placeOfService" validate:"omitempty,len=2"`
	// The location. Its time zone decides the service date.
	LocationID *uuid.UUID `json:"locationId"`
	// The practitioner who supervises the service.
	SupervisingPractitionerID *uuid.UUID `json:"supervisingPractitionerId"`
}

func (b bookedPlace) place() Place {
	return Place{
		PlaceOfService: b.PlaceOfService, LocationID: b.LocationID,
		SupervisingPractitionerID: b.SupervisingPractitionerID,
	}
}

// placeChangeFields are the changed fields of a place. Fields that are not given stay unchanged.
type placeChangeFields struct {
	// The place-of-service code of CMS. A new location sets it, unless it is given.
	PlaceOfService patch.Clearable[string] `json:"placeOfService" validate:"omitempty,len=2"`
	// The location. Its time zone decides the service date.
	LocationID patch.Clearable[uuid.UUID] `json:"locationId"`
	// The practitioner who supervises the service.
	SupervisingPractitionerID patch.Clearable[uuid.UUID] `json:"supervisingPractitionerId"`
}

func (f placeChangeFields) change() PlaceChange { return PlaceChange(f) }
