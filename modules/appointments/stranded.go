package appointments

import (
	"context"
	"errors"

	"github.com/google/uuid"

	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/scheduling"
)

// ErrGroup comes with [Group].
var ErrGroup = fault.Define(fault.Conflict, "group-appointment", "The appointment is a group's, and is not cancelled for the sake of one patient.").Carrying(Group{}).
	Advising("Move the bookings instead, or decide on the appointment `appointmentId` first.")

// Group are the details of [ErrGroup].
type Group struct {
	AppointmentID uuid.UUID `json:"appointmentId"`
}

// settling are the appointments that a change of their authorization would strand.
type settling struct{ appointments map[uuid.UUID]bool }

// ScheduledOn returns the appointments on the authorization of the caller's
// organization that are SCHEDULED, in the order of their times. It works in the
// transaction of the context.
func (s *Service) ScheduledOn(ctx context.Context, authorization uuid.UUID) ([]Appointment, error) {
	caller, err := identity.From(ctx)
	if err != nil {
		return nil, err
	}
	r := request{kind: transfer, caller: caller, transfer: &Transfer{From: authorization}}
	there, asked, err := s.readNamed(ctx, []request{r}, map[scheduling.Key]bool{})
	if err != nil {
		return nil, err
	}
	var found []Appointment
	for _, part := range asked[0].parts {
		found = append(found, there[part.key()])
	}
	return found, nil
}

// CancelStranded cancels appointments because of a change of the authorization that
// they are on, in the transaction of the context: all of them or none. It needs
// [PermissionCancel]. Refusals: [ErrGroup], [ErrTransition], [ErrNotFound].
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
	return s.joined(ctx, PermissionCancel, r)
}

// MoveStranded moves appointments because of a change of the authorization that they
// are on, as [Service.MoveBookings] does, in the transaction of the context. It
// needs [PermissionReschedule].
func (s *Service) MoveStranded(ctx context.Context, appointments []uuid.UUID, from, to uuid.UUID, reason *string) error {
	r, err := s.transferRequest(ctx, Transfer{From: from, To: to}, reason, "")
	if err != nil {
		return err
	}
	r.settling = settlingOf(appointments)
	return s.joined(ctx, PermissionReschedule, r)
}

func settlingOf(appointments []uuid.UUID) *settling {
	s := &settling{appointments: map[uuid.UUID]bool{}}
	for _, id := range appointments {
		s.appointments[id] = true
	}
	return s
}

// joined carries out a request in the transaction of the context, which somebody
// else has begun, and remembers: nobody can ask for it again.
func (s *Service) joined(ctx context.Context, needed identity.Permission, r request) error {
	if err := r.caller.RequireWhole(needed); err != nil {
		return err
	}
	var err error
	if r.zone, err = s.directory.TimeZone(ctx, r.caller.OrganizationID); err != nil {
		return err
	}
	if err = s.carryOutJoined(ctx, r); !errors.Is(err, errStaleZone) {
		return err
	}
	s.directory.ForgetTimeZone(r.caller.OrganizationID)
	if r.zone, err = s.directory.TimeZone(ctx, r.caller.OrganizationID); err != nil {
		return err
	}
	return s.carryOutJoined(ctx, r)
}

// carryOutJoined executes a request in the organization's cached zone, in the transaction of the
// context. The error is [errStaleZone] if the organization has another one.
func (s *Service) carryOutJoined(ctx context.Context, r request) error {
	d, err := s.open(ctx, []request{r})
	if err != nil {
		return err
	}
	if !d.inItsZone(r) {
		return errStaleZone
	}
	made := d.settle(d.requests[0])
	switch {
	case made.err != nil:
		return made.err
	case made.verdict.refusal != nil:
		return made.verdict.refusal
	}
	return refusalOfConstraint(s.units.RefusalOf(s.write(ctx, d)))
}
