package directory

import (
	"context"
	"net/http"

	"github.com/google/uuid"

	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/httpx"
	"omnirapeutic/platform/patch"
	"omnirapeutic/platform/permission"
)

func (s *Service) locationRoutes() []httpx.Route {
	return []httpx.Route{
		route("createLocation", http.MethodPost, "/locations", permission.LocationCreate,
			handle(http.StatusCreated, s.CreateLocation, locationBodyOf),
			"Create a location", "A place at which the organization renders services. Its time zone decides the service "+
				"dates of the appointments there."),
		route("listLocations", http.MethodGet, "/locations", permission.LocationRead,
			httpx.Handle(http.StatusOK, s.handleLocations),
			"List locations", "All locations of the organization, or its locations of one kind."),
		route("getLocation", http.MethodGet, "/locations/:id", permission.LocationRead,
			getRoute(s.Location, locationBodyOf),
			"Get a location", "One location.", ErrLocationNotFound),
		route("changeLocation", http.MethodPatch, "/locations/:id", permission.LocationChange,
			handle(http.StatusOK, s.ChangeLocation, locationBodyOf),
			"Change a location", "A merge patch: fields that are not given stay unchanged. Address and coordinates are "+
				"replaced as a whole. Booked appointments keep their time zone and place of service until they are "+
				"rescheduled.",
			ErrLocationNotFound),
		route("getPlacesOfService", http.MethodGet, "/places-of-service", permission.LocationRead,
			httpx.Handle(http.StatusOK, s.handlePlacesOfService),
			"List the place-of-service codes", "The code set of CMS for professional claims, as it is on the day `on`. The "+
				"default is today in the organization's time zone."),
	}
}

// CoordinatesBody is a point on Earth (WGS 84).
type CoordinatesBody struct {
	Latitude  float64 `json:"latitude"`  // The latitude in degrees, from -90 to 90.
	Longitude float64 `json:"longitude"` // The longitude in degrees, from -180 to 180.
}

// NewLocation is the request for a location.
type NewLocation struct {
	Name string `json:"name" validate:"required,max=100,text"` // The name of the location.
	// The kind of location.
	Kind LocationKind `json:"kind" validate:"required,oneof=HOME CLINIC SCHOOL TELEHEALTH"`
	// The usual place-of-service code. The default is the usual one of the kind: 12 for a home, 11 for a
	// clinic, 03 for a school, 10 for telehealth.
	PlaceOfService string `json:"placeOfService" validate:"omitempty,len=2"`
	// The time zone. Null: the organization's.
	TimeZone *string `json:"timeZone" validate:"omitempty,max=100"`
	// The postal address.
	Address *PostalAddressBody `json:"address"`
	// The coordinates, for electronic visit verification.
	Coordinates *CoordinatesBody `json:"coordinates"`
	// Whether appointments can be booked there. The default is true.
	Active *bool `json:"active"`
}

// LocationChange changes the given fields of a location. Address and coordinates are replaced as a
// whole.
type LocationChange struct {
	ID    uuid.UUID   `param:"id"`
	Match patch.Match `header:"If-Match"`
	// The name of the location.
	Name patch.Field[string] `json:"name" validate:"omitempty,max=100,text"`
	// The kind of location.
	Kind patch.Field[LocationKind] `json:"kind" validate:"omitempty,oneof=HOME CLINIC SCHOOL TELEHEALTH"`
	// The usual place-of-service code.
	PlaceOfService patch.Field[string] `json:"placeOfService" validate:"omitempty,len=2"`
	// The time zone. Null: the organization's.
	TimeZone patch.Clearable[string] `json:"timeZone" validate:"omitempty,max=100"`
	// The postal address.
	Address patch.Clearable[PostalAddressBody] `json:"address" validate:"omitempty"`
	// The coordinates, for electronic visit verification.
	Coordinates patch.Clearable[CoordinatesBody] `json:"coordinates"`
	// Whether appointments can be booked there.
	Active patch.Field[bool] `json:"active"`
}

// locationBody is a place at which the organization renders services.
type locationBody struct {
	recordBody
	Name           string       `json:"name"`           // The name of the location.
	Kind           LocationKind `json:"kind"`           // The kind of location.
	PlaceOfService string       `json:"placeOfService"` // The usual place-of-service code.
	// The time zone. It decides the service dates of appointments there. Null: the organization's.
	TimeZone *string `json:"timeZone"`
	// The postal address.
	Address *PostalAddressBody `json:"address"`
	// The coordinates, for electronic visit verification.
	Coordinates *CoordinatesBody `json:"coordinates"`
	// Whether appointments can be booked there.
	Active bool `json:"active"`
}

// Location returns the path of the location.
func (b locationBody) Location() string { return apiPath + "/locations/" + b.ID.String() }

func locationBodyOf(l Location) locationBody {
	b := locationBody{
		recordBody: recordBody(l.Record), Name: l.Name, Kind: l.Kind, PlaceOfService: l.PlaceOfService,
		TimeZone: l.TimeZone, Address: postalAddressBodyOf(l.Address), Active: l.Active,
	}
	if l.Latitude != nil && l.Longitude != nil {
		b.Coordinates = &CoordinatesBody{*l.Latitude, *l.Longitude}
	}
	return b
}

var locationList = listing[Location, locationBody]{
	orders: map[string]order[Location]{
		"name": {"name", "lower(%s)", func(l Location) string { return l.Name }},
	},
	idOf:   func(l Location) uuid.UUID { return l.ID },
	bodyOf: locationBodyOf,
}

type locationsQuery struct {
	httpx.PageQuery
	Sort string `query:"sort" validate:"omitempty,oneof=createdAt -createdAt name -name"`
	// The kind of the locations.
	Kind LocationKind `query:"kind" validate:"omitempty,oneof=HOME CLINIC SCHOOL TELEHEALTH"`
}

func (s *Service) handleLocations(ctx context.Context, in locationsQuery) (httpx.Page[locationBody], error) {
	return locationList.page(ctx, in.PageQuery, in.Sort, func(ctx context.Context, p Page) ([]Location, error) {
		return s.Locations(ctx, LocationFilter{Page: p, Kind: in.Kind})
	})
}

// placeOfServiceBody is a code for the setting of a service on a professional claim.
type placeOfServiceBody struct {
	Code string `json:"code"` // The code, two digits.
	Name string `json:"name"` // The name that CMS gives it.
	// The first service date of the code. Null: the code set names none.
	StartsOn *calendar.Date `json:"startsOn"`
	// The last service date of the code. Null: no end is known.
	EndsOn *calendar.Date `json:"endsOn"`
}

// placesOfServiceBody has the place-of-service codes of a day.
type placesOfServiceBody struct {
	PlacesOfService []placeOfServiceBody `json:"placesOfService"` // The codes, sorted.
}

func placesOfServiceBodyOf(codes []PlaceOfService) placesOfServiceBody {
	return placesOfServiceBody{httpx.Bodies(codes, func(p PlaceOfService) placeOfServiceBody {
		b := placeOfServiceBody{Code: p.Code, Name: p.Name}
		if !p.StartsOn.IsZero() {
			b.StartsOn = &p.StartsOn
		}
		if !p.EndsOn.IsZero() {
			b.EndsOn = &p.EndsOn
		}
		return b
	})}
}

type placesOfServiceQuery struct {
	On calendar.Date `query:"on"` // The day. The default is today.
}

func (s *Service) handlePlacesOfService(ctx context.Context, in placesOfServiceQuery) (placesOfServiceBody, error) {
	on := in.On
	if on.IsZero() {
		var err error
		if on, err = s.today(ctx); err != nil {
			return placesOfServiceBody{}, err
		}
	}
	return placesOfServiceBodyOf(PlacesOfService(on)), nil
}
