package appointments

import (
	"context"
	"slices"

	"github.com/google/uuid"

	"omnirapeutic/modules/authorization"
	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/permission"
)

// AuthorizationChange is a change of an authorization together with its bookings.
type AuthorizationChange struct {
	authorization.Change
	Stranded Policy     // how to handle appointments that the change would strand; empty: see [Policy]
	MoveTo   *uuid.UUID // the target of [MoveStranded]
}

// Policy says how a change handles the appointments that it would strand.
type Policy string

// The policies. Without one, a change that would strand bookings is refused.
const (
	CancelStranded Policy = "CANCEL"
	MoveStranded   Policy = "MOVE" // to another authorization
	// KeepStranded leaves them unchanged. It applies only to a cancellation: other changes that
	// strand held units are refused.
	KeepStranded Policy = "KEEP"
)

// check returns the errors that do not depend on stored state.
func (c AuthorizationChange) check() error {
	fieldErrors := c.FieldErrors()
	if (c.Stranded == MoveStranded) != (c.MoveTo != nil) {
		fieldErrors = append(fieldErrors, fault.Field{
			Field: "moveToAuthorizationId", Code: "required_if", Message: "must be given if, and only if, strandedBookings is MOVE",
		})
	}
	if c.Reason != nil && c.Empty() && c.Stranded == "" {
		fieldErrors = append(fieldErrors, fault.Field{
			Field: "reason", Code: "required_with",
			Message: "requires a change, because it is stored with the changed records",
		})
	}
	return errorOf(fieldErrors)
}

// mayStrand reports whether the change may concern appointments.
func (c AuthorizationChange) mayStrand() bool {
	return c.Stranded != "" || c.Status.Given && c.Status.Value == authorization.Cancelled || c.StartDate.Given || c.EndDate.Given
}

// Impact returns the bookings that a change would strand: appointments outside the new dates; all
// appointments from today on, if the authorization is cancelled; and, if the total is too low, the
// latest appointments until the others fit. It writes nothing. Errors:
// [authorization.ErrNotFound], [fault.ErrInvalid].
func (s *Service) Impact(ctx context.Context, id uuid.UUID, c authorization.Change) (Impact, error) {
	if err := errorOf(c.FieldErrors()); err != nil {
		return Impact{}, err
	}
	return db.Snapshot(ctx, s.database, "authorization.impact", func(ctx context.Context) (Impact, error) {
		before, err := s.authorizations.Get(ctx, id)
		if err != nil {
			return Impact{}, err
		}
		return s.impactOn(ctx, before.Authorization, c)
	})
}

// impactOn returns the impact of a change, in the transaction of the context.
func (s *Service) impactOn(ctx context.Context, before authorization.Authorization, c authorization.Change) (Impact, error) {
	after, err := before.With(c)
	if err != nil {
		return Impact{}, err
	}
	c.TotalUnits.Apply(&after.Total)
	zone, err := s.directory.TimeZone(ctx, after.OrganizationID)
	if err != nil {
		return Impact{}, err
	}
	scheduled, err := s.scheduledOn(ctx, after.ID)
	if err != nil {
		return Impact{}, err
	}
	i := impactOf(after, scheduled, calendar.DateIn(s.now(), zone))
	outside, err := s.authorizations.ReservationsOutside(ctx, after.ID, after.StartDate, after.EndDate)
	i.OtherOutside = outside.Reservations
	for _, b := range i.Bookings {
		if b.Cause == CauseDates && b.Units > 0 {
			i.OtherOutside--
		}
	}
	return i, err
}

// ChangeAuthorization changes an authorization, and cancels or moves the appointments that the
// change would strand, in one transaction. Errors: those of [authorization.Service.Change],
// [ErrBookingsStranded], and those of cancelling or moving: [ErrGroup], [ErrMove],
// [identity.ErrForbidden].
func (s *Service) ChangeAuthorization(ctx context.Context, id uuid.UUID, c AuthorizationChange) (authorization.View, error) {
	caller, err := identity.From(ctx)
	if err != nil {
		return authorization.View{}, err
	}
	if err := c.RequirePermission(caller); err != nil {
		return authorization.View{}, err
	}
	if err := c.check(); err != nil {
		return authorization.View{}, err
	}
	if !c.mayStrand() {
		return s.authorizations.Change(ctx, id, c.Change)
	}
	prepared, err := s.authorizations.PrepareChange(ctx, id, c.Change)
	if err != nil {
		return authorization.View{}, err
	}
	return prepared.Run(ctx, func(ctx context.Context, before authorization.View) (authorization.View, error) {
		if err := s.settleStranded(ctx, before.Authorization, c); err != nil {
			return authorization.View{}, err
		}
		return prepared.Apply(ctx)
	})
}

// settleStranded applies the change's policy to the appointments that the change would strand.
// Without a policy, it refuses to cancel an authorization with appointments from today on, and to
// remove days with an appointment that holds no units: the error is [ErrBookingsStranded]. The
// authorization itself refuses dates and totals that conflict with held units.
func (s *Service) settleStranded(ctx context.Context, before authorization.Authorization, c AuthorizationChange) error {
	if c.Stranded == KeepStranded || c.Stranded == "" && !cancels(before, c.Change) && !shortens(before, c.Change) {
		return nil
	}
	i, err := s.impactOn(ctx, before, c.Change)
	if err != nil || len(i.Bookings) == 0 {
		return err
	}
	ids := make([]uuid.UUID, len(i.Bookings))
	for n, b := range i.Bookings {
		ids[n] = b.ID
	}
	switch c.Stranded {
	case MoveStranded:
		return s.moveStranded(ctx, ids, before.ID, *c.MoveTo, c.Reason)
	case CancelStranded:
		return s.cancelStranded(ctx, ids, c.Reason)
	}
	if !slices.ContainsFunc(i.Bookings, StrandedBooking.needsPolicy) {
		return nil
	}
	return ErrBookingsStranded.With(StrandedBookings{i.bookings(), i.Units},
		"%d appointments with %d units are still booked on the authorization. Choose whether to cancel, move or keep them.",
		len(i.Bookings), i.Units)
}

// settling has the appointments that a change of their authorization would strand.
type settling struct{ appointments map[uuid.UUID]bool }

func settlingOf(appointments []uuid.UUID) *settling {
	s := &settling{appointments: map[uuid.UUID]bool{}}
	for _, id := range appointments {
		s.appointments[id] = true
	}
	return s
}

// scheduledOn returns the SCHEDULED appointments on the authorization of the caller's organization,
// sorted by start. It runs in the transaction of the context.
func (s *Service) scheduledOn(ctx context.Context, authorization uuid.UUID) ([]Appointment, error) {
	caller, err := identity.From(ctx)
	if err != nil {
		return nil, err
	}
	r := request{kind: transfer, caller: caller, transfer: &Transfer{From: authorization}}
	existing, requested, err := s.readNamed(ctx, []request{r})
	if err != nil {
		return nil, err
	}
	var found []Appointment
	for _, part := range requested[0].parts {
		found = append(found, existing[part.key()])
	}
	return found, nil
}

// cancelStranded cancels appointments because of a change of their authorization, in the
// transaction of the context: all of them or none. It needs [permission.AppointmentCancel]. Errors: [ErrGroup],
// [ErrTransition], [ErrNotFound].
func (s *Service) cancelStranded(ctx context.Context, appointments []uuid.UUID, reason *string) error {
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
	return s.runInTransaction(ctx, permission.AppointmentCancel, r)
}

// moveStranded moves appointments because of a change of their authorization, like
// [Service.MoveBookings], in the transaction of the context. It needs [permission.AppointmentReschedule].
func (s *Service) moveStranded(ctx context.Context, appointments []uuid.UUID, from, to uuid.UUID, reason *string) error {
	r, err := s.transferRequest(ctx, Transfer{From: from, To: to}, reason, "")
	if err != nil {
		return err
	}
	r.settling = settlingOf(appointments)
	return s.runInTransaction(ctx, permission.AppointmentReschedule, r)
}

// runInTransaction runs a request in the transaction of the context, which its caller has begun.
func (s *Service) runInTransaction(ctx context.Context, needed identity.Permission, r request) error {
	if err := r.caller.RequireForOrganization(needed); err != nil {
		return err
	}
	_, err := s.run(ctx, r)
	return err
}
