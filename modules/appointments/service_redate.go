package appointments

import (
	"context"
	"slices"
	"time"

	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/permission"
)

// Misdated returns the SCHEDULED appointments of the caller's organization whose start has another
// date in the zone than their service date, sorted by start. It runs in the transaction of the
// context.
func (s *RenewalService) Misdated(ctx context.Context, zone *time.Location) ([]Appointment, error) {
	scheduled, err := s.store.scheduled(ctx)
	if err != nil {
		return nil, err
	}
	scheduled = slices.DeleteFunc(scheduled, func(a Appointment) bool {
		return calendar.DateIn(a.Start, zone) == a.ServiceDate
	})
	var found []Appointment
	return found, s.store.withParticipants(ctx, scheduled, func(a Appointment) { found = append(found, a) })
}

// Redate sets the service dates of the appointments of [RenewalService.Misdated] to those in the
// organization's new zone, in the transaction of the context. It changes all of them or none, and
// checks each like a booking on that date. It needs [permission.AppointmentReschedule]. The error is
// [ErrRedate].
func (s *RenewalService) Redate(ctx context.Context, zone *time.Location) error {
	caller, err := identity.From(ctx)
	if err != nil {
		return err
	}
	if err := caller.RequireForOrganization(permission.AppointmentReschedule); err != nil {
		return err
	}
	misdated, err := s.Misdated(ctx, zone)
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
