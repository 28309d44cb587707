package appointments

import "omnirapeutic/platform/db"

// addTo adds the columns place_of_service, location_id, supervising_practitioner_id, time_zone and
// given_modifiers.
func (p Place) addTo(v *db.Values) {
	v.OptionalText(p.PlaceOfService).OptionalUUID(p.LocationID).OptionalUUID(p.SupervisingPractitionerID)
	v.OptionalText(p.TimeZone).OptionalText((*string)(p.GivenModifiers))
}
