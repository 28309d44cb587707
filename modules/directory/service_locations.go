package directory

import (
	"cmp"
	"context"

	"github.com/google/uuid"
)

var locations = crud[Location, *Location]{
	name: "location", notFound: ErrLocationNotFound, valid: Location{PlaceOfService: "11"},
	recorded: recordedLocation,
}

// CreateLocation creates a location. The error is [fault.ErrInvalid].
func (s *Service) CreateLocation(ctx context.Context, n NewLocation) (Location, error) {
	l := Location{
		Name: n.Name, Kind: n.Kind, PlaceOfService: cmp.Or(n.PlaceOfService, usualPlacesOfService[n.Kind]),
		TimeZone: n.TimeZone, Address: postalAddressOf(n.Address), Active: n.Active == nil || *n.Active,
	}
	l.setCoordinates(n.Coordinates)
	return locations.create(ctx, s, l)
}

// Location returns a location. The error is [ErrLocationNotFound].
func (s *Service) Location(ctx context.Context, id uuid.UUID) (Location, error) {
	return locations.get(ctx, s, id)
}

// Locations lists locations.
func (s *Service) Locations(ctx context.Context, f LocationFilter) ([]Location, error) {
	return locations.list(ctx, s, f.Page, equals("kind", f.Kind))
}

// ChangeLocation changes a location. Booked appointments keep their time zone and place of service
// until they are rescheduled. Errors: [patch.ErrStale], [ErrLocationNotFound], [fault.ErrInvalid].
func (s *Service) ChangeLocation(ctx context.Context, c LocationChange) (Location, error) {
	return locations.change(ctx, s, c.ID, c.Match, func(l *Location) {
		c.Name.Apply(&l.Name)
		c.Kind.Apply(&l.Kind)
		c.PlaceOfService.Apply(&l.PlaceOfService)
		c.TimeZone.Apply(&l.TimeZone)
		if c.Address.Given {
			l.Address = postalAddressOf(c.Address.Value)
		}
		if c.Coordinates.Given {
			l.setCoordinates(c.Coordinates.Value)
		}
		c.Active.Apply(&l.Active)
	})
}

// setCoordinates sets the coordinates; nil removes them.
func (l *Location) setCoordinates(c *CoordinatesBody) {
	l.Latitude, l.Longitude = nil, nil
	if c != nil {
		l.Latitude, l.Longitude = &c.Latitude, &c.Longitude
	}
}
