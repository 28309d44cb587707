package appointments

import (
	"github.com/google/uuid"

	"omnirapeutic/platform/patch"
	"omnirapeutic/platform/scheduling"
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
	// The modifiers that replace those by the payers' rules. Null: the rules apply.
	GivenModifiers *[]string `json:"givenModifiers"`
}

func placeBodyOf(p Place) placeBody {
	b := placeBody{p.PlaceOfService, p.LocationID, p.SupervisingPractitionerID, p.TimeZone, nil}
	if p.GivenModifiers != nil {
		b.GivenModifiers = new(p.GivenModifiers.List())
	}
	return b
}

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
	// The modifiers of the claim lines. Null: those by the payers' rules.
	GivenModifiers patch.Clearable[[]string] `json:"givenModifiers" validate:"omitempty,max=4,dive,len=2,alphanum,uppercase"`
}

func (f placeChangeFields) change() PlaceChange {
	c := PlaceChange{
		PlaceOfService: f.PlaceOfService, LocationID: f.LocationID,
		SupervisingPractitionerID: f.SupervisingPractitionerID,
		GivenModifiers:            patch.Clearable[scheduling.Modifiers]{Given: f.GivenModifiers.Given},
	}
	if f.GivenModifiers.Value != nil {
		c.GivenModifiers.Value = new(scheduling.ModifiersOf(*f.GivenModifiers.Value))
	}
	return c
}
