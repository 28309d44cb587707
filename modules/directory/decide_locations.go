package directory

import (
	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/fault"
)

// The largest values of coordinates, in degrees.
const (
	maxLatitude  = 90
	maxLongitude = 180
)

func (l *Location) normalize(today calendar.Date) []fault.Field {
	var fieldErrors []fault.Field
	if !PlaceOfServiceInForce(l.PlaceOfService, today) {
		fieldErrors = append(fieldErrors, fault.Field{
			Field: "placeOfService", Code: "place-of-service",
			Message: "must be a place-of-service code of CMS that is in force, such as 12",
		})
	}
	if l.TimeZone != nil && checkZone(*l.TimeZone) != nil {
		fieldErrors = append(fieldErrors, invalidZone)
	}
	if l.Latitude != nil && outside(*l.Latitude, maxLatitude) {
		fieldErrors = append(fieldErrors, fault.Field{
			Field: "coordinates.latitude", Code: "range", Message: "must be from -90 to 90 degrees",
		})
	}
	if l.Longitude != nil && outside(*l.Longitude, maxLongitude) {
		fieldErrors = append(fieldErrors, fault.Field{
			Field: "coordinates.longitude", Code: "range", Message: "must be from -180 to 180 degrees",
		})
	}
	return append(fieldErrors, l.Address.normalize("address")...)
}

// outside reports whether the value is not from -limit to limit.
func outside(value, limit float64) bool { return !(value >= -limit && value <= limit) }
