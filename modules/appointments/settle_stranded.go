package appointments

import (
	"context"
	"errors"

	"github.com/google/uuid"

	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/scheduling"
)

// ErrGroup carries [Group].
var ErrGroup = fault.Define(
	fault.Conflict, "group-appointment",
	"The appointment has several patients and cannot be cancelled because of one of them.",
).Carrying(Group{}).
	Advising("Move the bookings instead, or decide on the appointment `appointmentId` first.")

// Group has the details of [ErrGroup].
type Group struct {
	AppointmentID uuid.UUID `json:"appointmentId"`
}

// settling has the appointments that a change of their authorization would strand.
type settling struct{ appointments map[uuid.UUID]bool }

// ScheduledOn returns the SCHEDULED appointments on the authorization of the caller's organization,
// sorted by start. It runs in the transaction of the context.
func (s *Service) ScheduledOn(ctx context.Context, authorization uuid.UUID) ([]Appointment, error) {
	caller, err := identity.From(ctx)
	if err != nil {
		return nil, err
	}
	r := request{kind: transfer, caller: caller, transfer: &Transfer{From: authorization}}
	existing, requested, err := s.readNamed(ctx, []request{r}, map[scheduling.Key]bool{})
	if err != nil {
		return nil, err
	}
	var found []Appointment
	for _, part := range requested[0].parts {
		found = append(found, existing[part.key()])
	}
	return found, nil
}

// CancelStranded cancels appointments because of a change of their authorization, in the
// transaction of the context: all of them or none. It needs [PermissionCancel]. Errors: [ErrGroup],
// [ErrTransition], [ErrNotFound].
func (s *Service) CancelStranded(ctx context.Context, appointments []uuid.UUID, reason *string) error {
	r, err := s.request(ctx, cancel, uuid.Nil, "")
	if err != nil {
		return err
	}
	r.reason, r.settling = reason, settlingOf(appointments)
	for _, id := range appointments {
		part := r
		part.appointment = id
		r.parts = append(r.parts, part)
	}
	return s.runInTransaction(ctx, PermissionCancel, r)
}

// MoveStranded moves appointments because of a change of their authorization, like
// [Service.MoveBookings], in the transaction of the context. It needs [PermissionReschedule].
func (s *Service) MoveStranded(ctx context.Context, appointments []uuid.UUID, from, to uuid.UUID, reason *string) error {
	r, err := s.transferRequest(ctx, Transfer{From: from, To: to}, reason, "")
	if err != nil {
		return err
	}
	r.settling = settlingOf(appointments)
	return s.runInTransaction(ctx, PermissionReschedule, r)
}

func settlingOf(appointments []uuid.UUID) *settling {
	s := &settling{appointments: map[uuid.UUID]bool{}}
	for _, id := range appointments {
		s.appointments[id] = true
	}
	return s
}

// runInTransaction runs a request in the transaction of the context, which its caller has begun.
// The outcome is not stored, because the request cannot be retried by key.
func (s *Service) runInTransaction(ctx context.Context, needed identity.Permission, r request) error {
	if err := r.caller.RequireWhole(needed); err != nil {
		return err
	}
	var err error
	if r.zone, err = s.directory.TimeZone(ctx, r.caller.OrganizationID); err != nil {
		return err
	}
	if err = s.runJoined(ctx, r); !errors.Is(err, errStaleZone) {
		return err
	}
	s.directory.ForgetTimeZone(r.caller.OrganizationID)
	if r.zone, err = s.directory.TimeZone(ctx, r.caller.OrganizationID); err != nil {
		return err
	}
	return s.runJoined(ctx, r)
}

// runJoined runs a request in the organization's cached zone, in the transaction of the
// context. The error is [errStaleZone] if the organization has another zone.
func (s *Service) runJoined(ctx context.Context, r request) error {
	d, err := s.open(ctx, []request{r})
	if err != nil {
		return err
	}
	if !d.inCurrentZone(r) {
		return errStaleZone
	}
	outcome := d.settle(d.requests[0])
	switch {
	case outcome.err != nil:
		return outcome.err
	case outcome.verdict.refusal != nil:
		return outcome.verdict.refusal
	}
	return refusalOfConstraint(s.units.RefusalOf(s.write(ctx, d)))
}
