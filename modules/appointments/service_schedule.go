package appointments

import (
	"context"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/record"
)

// ScheduleService returns booked appointments.
type ScheduleService struct{ base }

// Get returns an appointment as the caller may see it. The error is [ErrNotFound], also outside the
// caller's record scope.
func (s *ScheduleService) Get(ctx context.Context, id uuid.UUID) (Appointment, error) {
	caller, err := identity.From(ctx)
	if err != nil {
		return Appointment{}, err
	}
	key := record.Of(caller.OrganizationID, id)
	return db.Snapshot(ctx, s.Database, "appointments.get", func(ctx context.Context) (Appointment, error) {
		if err := s.store.requireInScope(ctx, []uuid.UUID{id}); err != nil {
			return Appointment{}, err
		}
		found, err := s.store.several(ctx, []record.Key{key})
		if err != nil {
			return Appointment{}, err
		}
		a, ok := found[key]
		if !ok {
			return Appointment{}, ErrNotFound
		}
		if a.Missed() {
			if a.MakeUps, err = s.store.makeUps(ctx, []record.Key{key}); err != nil {
				return Appointment{}, err
			}
		}
		seen, err := visibleAppointments(ctx, []Appointment{a})
		showAppointments(ctx, seen...)
		return seen[0], err
	})
}

// Filter narrows a list of appointments. Zero values do not filter.
type Filter struct {
	Participants
	ServiceCodes []uuid.UUID
	Locations    []uuid.UUID
	SeriesID     uuid.UUID
	Statuses     []Status
	Days         Days
	Page         db.Keyset // sorted by start
}

// Participants narrow a list to appointments or sessions with one of the patients, one of the practitioners
// and one of the authorizations. Empty lists do not filter.
type Participants struct{ Patients, Practitioners, Authorizations []uuid.UUID }

// List returns the appointments that match the filter, within the caller's record scope and as the
// caller may see them.
func (s *ScheduleService) List(ctx context.Context, f Filter) ([]Appointment, error) {
	caller, err := identity.From(ctx)
	if err != nil {
		return nil, err
	}
	zone, err := s.Directory.TimeZone(ctx, caller.OrganizationID)
	if err != nil {
		return nil, err
	}
	return db.Snapshot(ctx, s.Database, "appointments.list", func(ctx context.Context) ([]Appointment, error) {
		found, err := s.store.list(ctx, f, f.Days.in(zone))
		if err != nil {
			return nil, err
		}
		found, err = visibleAppointments(ctx, found)
		showAppointments(ctx, found...)
		return found, err
	})
}
