package appointments

import (
	"time"

	"github.com/google/uuid"

	"omnirapeutic/modules/directory"
	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/patch"
	"omnirapeutic/platform/record"
	"omnirapeutic/platform/scheduling"
)

// PlaceChange changes the given fields of a place. A new location sets the place of service to the
// location's, unless the change gives one.
type PlaceChange struct {
	PlaceOfService            patch.Clearable[string]
	LocationID                patch.Clearable[uuid.UUID]
	SupervisingPractitionerID patch.Clearable[uuid.UUID]
	GivenModifiers            patch.Clearable[scheduling.Modifiers]
	Reason                    *string // of given modifiers
}

// check returns an error if modifiers are given without a reason.
func (c PlaceChange) check() error {
	if !c.GivenModifiers.Given || c.Reason != nil {
		return nil
	}
	return fault.InvalidFields(fault.Field{
		Field: "modifierReason", Code: "required_with", Message: "must be given together with givenModifiers",
	})
}

// relocates reports whether the change gives another location.
func (c PlaceChange) relocates(p Place) bool {
	return c.LocationID.Given && !equal(c.LocationID.Value, p.LocationID)
}

// of returns the place after the change. The time zone is still that of the old location.
func (c PlaceChange) of(p Place) Place {
	if c.relocates(p) {
		p.PlaceOfService = nil
	}
	c.PlaceOfService.Apply(&p.PlaceOfService)
	c.LocationID.Apply(&p.LocationID)
	c.SupervisingPractitionerID.Apply(&p.SupervisingPractitionerID)
	c.GivenModifiers.Apply(&p.GivenModifiers)
	return p
}

// differences returns the change without fields that equal the place's.
func (c PlaceChange) differences(p Place) PlaceChange {
	if equal(c.PlaceOfService.Value, p.PlaceOfService) {
		c.PlaceOfService = patch.Clearable[string]{}
	}
	if equal(c.LocationID.Value, p.LocationID) {
		c.LocationID = patch.Clearable[uuid.UUID]{}
	}
	if equal(c.SupervisingPractitionerID.Value, p.SupervisingPractitionerID) {
		c.SupervisingPractitionerID = patch.Clearable[uuid.UUID]{}
	}
	if equal(c.GivenModifiers.Value, p.GivenModifiers) {
		c.GivenModifiers = patch.Clearable[scheduling.Modifiers]{}
	}
	return c
}

// asChange returns the change that gives an appointment the fields of the place that are set.
func (p Place) asChange() PlaceChange {
	var c PlaceChange
	if p.PlaceOfService != nil {
		c.PlaceOfService = patch.SetClearable(*p.PlaceOfService)
	}
	if p.LocationID != nil {
		c.LocationID = patch.SetClearable(*p.LocationID)
	}
	if p.SupervisingPractitionerID != nil {
		c.SupervisingPractitionerID = patch.SetClearable(*p.SupervisingPractitionerID)
	}
	return c
}

// named returns the location and the supervising practitioner that the change names.
func (c PlaceChange) named() Place {
	return Place{LocationID: c.LocationID.Value, SupervisingPractitionerID: c.SupervisingPractitionerID.Value}
}

// The offsets of time zones from UTC: the dates of an instant on Earth lie between them.
const (
	westernmost = -12 * time.Hour
	easternmost = 14 * time.Hour
)

// addPlaces adds the locations and supervising practitioners that the appointment may get.
func (n *needs) addPlaces(s subject) {
	for _, p := range s.places {
		if p.LocationID != nil {
			n.query.Locations = append(n.query.Locations, record.Of(s.organization, *p.LocationID))
		}
		if p.SupervisingPractitionerID != nil {
			n.query.Practitioners = append(n.query.Practitioners, record.Of(s.organization, *p.SupervisingPractitionerID))
		}
	}
}

// datesOf returns the possible service dates of a start. The time zones of locations are not known
// before the locations are read.
func (s subject) datesOf(start time.Time) []calendar.Date {
	if !s.hasLocation() {
		return []calendar.Date{calendar.DateIn(start, s.zone)}
	}
	var all []calendar.Date
	last := calendar.DateIn(start.Add(easternmost), time.UTC)
	for day := calendar.DateIn(start.Add(westernmost), time.UTC); !day.After(last); day = day.AddDays(1) {
		all = append(all, day)
	}
	return all
}

func (s subject) hasLocation() bool {
	for _, p := range s.places {
		if p.LocationID != nil || p.TimeZone != nil {
			return true
		}
	}
	return false
}

// dayAnywhere returns the span of a day in all time zones.
func dayAnywhere(day calendar.Date) Span {
	return Span{day.Time().Add(-easternmost), day.AddDays(1).Time().Add(-westernmost)}
}

// locate takes the time zone and, unless it has one, the place of service from the appointment's
// location. The service date and all dates of the decision follow that time zone.
func (d *draft) locate() {
	d.a.TimeZone = nil
	if id := d.a.LocationID; id != nil {
		location := d.rules.Locations[d.named(*id)]
		if location.TimeZone != "" {
			d.a.TimeZone = &location.TimeZone
		}
		if d.a.PlaceOfService == nil && location.PlaceOfService != "" {
			d.a.PlaceOfService = &location.PlaceOfService
		}
	}
	d.zone = d.a.zone(d.home)
	d.a.ServiceDate = d.dateOf(d.a.Start)
}

// misplaced returns an error for each invalid part of the place: an unknown or unused location, an
// unknown or inactive supervising practitioner, and a code that is not in force on the day.
func (d *draft) misplaced(on calendar.Date) []fault.Field {
	var fieldErrors []fault.Field
	refers := func(field, message string) {
		fieldErrors = append(fieldErrors, fault.Field{Field: field, Code: "reference", Message: message})
	}
	if id := d.a.LocationID; id != nil {
		location, exists := d.rules.Locations[d.named(*id)]
		switch {
		case !exists:
			refers("locationId", "does not exist")
		case !location.Active && !equal(id, d.before.LocationID):
			refers("locationId", "is not in use")
		}
	}
	if id := d.a.SupervisingPractitionerID; id != nil {
		supervisor, exists := d.rules.Practitioners[d.named(*id)]
		switch {
		case !exists:
			refers("supervisingPractitionerId", "does not exist")
		case !supervisor.Active && !equal(id, d.before.SupervisingPractitionerID):
			refers("supervisingPractitionerId", "is not active")
		}
	}
	if code := d.a.PlaceOfService; code != nil && !directory.PlaceOfServiceInForce(*code, on) {
		fieldErrors = append(fieldErrors, fault.Field{
			Field: "placeOfService", Code: "place-of-service",
			Message: "must be a place-of-service code of CMS that is in force on " + on.String(),
		})
	}
	return fieldErrors
}
