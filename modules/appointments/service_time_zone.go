package appointments

import (
	"context"
	"slices"
	"time"

	"omnirapeutic/modules/directory"
	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/permission"
)

// ServiceDatePolicy decides about the service dates of appointments that start on another date in
// an organization's new time zone.
type ServiceDatePolicy string

// The policies. Without one, a time zone that changes service dates is refused.
const (
	// MoveServiceDates gives each appointment the date of its start in the new time zone. Its units
	// move to that date, by the rules of a booking.
	MoveServiceDates ServiceDatePolicy = "MOVE"
	// KeepServiceDates leaves the dates and units unchanged until an appointment is rescheduled or
	// completed.
	KeepServiceDates ServiceDatePolicy = "KEEP"
)

// ChangeOrganization changes the caller's organization. If its time zone changes, the policy decides
// about service dates, in the same transaction. The transaction waits for running bookings. Errors:
// as for [directory.Service.ChangeOrganization], [ErrServiceDates] if service dates change and no
// policy is given, and with [MoveServiceDates] [ErrServiceDatesRefused] and a missing permission.
func (s *RenewalService) ChangeOrganization(
	ctx context.Context, c directory.OrganizationChange, policy ServiceDatePolicy,
) (directory.Organization, error) {
	if !c.TimeZone.Given {
		return s.Directory.ChangeOrganization(ctx, c)
	}
	if err := c.Check(); err != nil { // before taking a connection
		return directory.Organization{}, err
	}
	change := func(ctx context.Context) (directory.Organization, error) {
		before, err := s.Directory.Organization(ctx, c.ID)
		if err != nil {
			return directory.Organization{}, err
		}
		after, err := s.Directory.ChangeOrganization(ctx, c)
		if err != nil || after.TimeZone == before.TimeZone {
			return after, err
		}
		return after, s.applyPolicy(ctx, after.TimeZone, policy)
	}
	return db.Serializable(ctx, s.Database, "organization.change", change, s.Engine.WaitForBatches()...)
}

// applyPolicy applies the policy to the service dates in a new time zone, in the transaction of the
// context.
func (s *RenewalService) applyPolicy(ctx context.Context, name string, policy ServiceDatePolicy) error {
	if policy == KeepServiceDates {
		return nil
	}
	zone, err := time.LoadLocation(name)
	if err != nil {
		return err
	}
	if policy == MoveServiceDates {
		return s.moveServiceDates(ctx, zone)
	}
	found, err := s.withOtherServiceDate(ctx, zone)
	if err != nil || len(found) == 0 {
		return err
	}
	return ErrServiceDates.With(serviceDateChanges(found, zone),
		"%d appointments start on another date in %s. Choose whether their service dates change.", len(found), name)
}

// serviceDateChanges lists appointments for [ErrServiceDates].
func serviceDateChanges(found []Appointment, zone *time.Location) ServiceDateChanges {
	const maxShown = 1000
	shown := ServiceDateChanges{make([]ServiceDateChange, min(len(found), maxShown)), len(found)}
	for i := range shown.Bookings {
		a := found[i]
		b := ServiceDateChange{
			AppointmentID: a.ID, StartTime: a.Start, EndTime: a.End, ServiceDate: a.ServiceDate,
			NewServiceDate: calendar.DateIn(a.Start, zone),
		}
		for _, p := range a.Patients {
			b.Units += p.Units
		}
		shown.Bookings[i] = b
	}
	return shown
}

// withOtherServiceDate returns the SCHEDULED appointments of the caller's organization whose start has another
// date in the zone than their service date, sorted by start. It runs in the transaction of the
// context.
func (s *RenewalService) withOtherServiceDate(ctx context.Context, zone *time.Location) ([]Appointment, error) {
	scheduled, err := s.store.scheduled(ctx)
	if err != nil {
		return nil, err
	}
	scheduled = slices.DeleteFunc(scheduled, func(a Appointment) bool {
		return calendar.DateIn(a.Start, a.zone(zone)) == a.ServiceDate
	})
	return s.store.withParticipants(ctx, scheduled)
}

// moveServiceDates sets the service dates of the appointments of [RenewalService.withOtherServiceDate] to those in the
// organization's new zone, in the transaction of the context. It changes all of them or none, and
// checks each like a booking on that date. It needs [permission.AppointmentReschedule]. The error is
// [ErrServiceDatesRefused].
func (s *RenewalService) moveServiceDates(ctx context.Context, zone *time.Location) error {
	caller, err := identity.From(ctx)
	if err != nil {
		return err
	}
	if err := caller.RequireForOrganization(permission.AppointmentReschedule); err != nil {
		return err
	}
	misdated, err := s.withOtherServiceDate(ctx, zone)
	if err != nil || len(misdated) == 0 {
		return err
	}
	r, err := s.request(ctx, reschedule, misdated[0].ID, "")
	if err != nil {
		return err
	}
	r.redates, r.zone = true, zone
	for _, a := range misdated {
		part := r
		part.appointment, part.reservations = a.ID, s.newIDs(len(a.Patients))
		r.parts = append(r.parts, part)
	}
	_, err = s.execute(ctx, r)
	return err
}
