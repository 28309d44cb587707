package appointments

import (
	"context"
	"slices"

	"github.com/google/uuid"

	"omnirapeutic/modules/authorization"
	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/command"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/permission"
	"omnirapeutic/platform/record"
)

// RenewalService changes authorizations together with the appointments on them, moves bookings to other
// authorizations, and compares appointments with ledgers.
type RenewalService struct{ *commands }

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
			Field: "moveToAuthorizationId", Code: "required_if",
			Message: "must be given if, and only if, strandedBookings is MOVE",
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
	return c.Stranded != "" || c.Status.Given && c.Status.Value == authorization.Cancelled || c.StartDate.Given ||
		c.EndDate.Given
}

// Impact returns the bookings that a change would strand: appointments outside the new dates; all
// appointments from today on, if the authorization is cancelled; and, if the total is too low, the
// latest appointments until the others fit. It writes nothing. Errors:
// [authorization.ErrNotFound], [fault.ErrInvalid].
func (s *RenewalService) Impact(ctx context.Context, id uuid.UUID, c authorization.Change) (Impact, error) {
	if err := errorOf(c.FieldErrors()); err != nil {
		return Impact{}, err
	}
	return db.Snapshot(ctx, s.Database, "authorization.impact", func(ctx context.Context) (Impact, error) {
		before, err := s.Authorizations.Get(ctx, id)
		if err != nil {
			return Impact{}, err
		}
		return s.impactOn(ctx, before.Authorization, c)
	})
}

// impactOn returns the impact of a change, in the transaction of the context.
func (s *RenewalService) impactOn(
	ctx context.Context, before authorization.Authorization, c authorization.Change,
) (Impact, error) {
	after, err := before.With(c)
	if err != nil {
		return Impact{}, err
	}
	c.TotalUnits.Apply(&after.Total)
	zone, err := s.Directory.TimeZone(ctx, after.OrganizationID)
	if err != nil {
		return Impact{}, err
	}
	scheduled, err := s.scheduledOn(ctx, after.ID)
	if err != nil {
		return Impact{}, err
	}
	i := impactOf(after, scheduled, calendar.DateIn(s.now(), zone))
	outside, err := s.Authorizations.ReservationsOutside(ctx, after.ID, after.StartDate, after.EndDate)
	i.OtherOutside = outside.Reservations
	for _, b := range i.Bookings {
		if b.Cause == CauseDates && b.Units > 0 {
			i.OtherOutside--
		}
	}
	return i, err
}

// ChangeAuthorization changes an authorization, and cancels or moves the appointments that the
// change would strand, in one transaction. Errors: as for [authorization.TermsService.Change],
// [ErrBookingsStranded], and as for cancelling or moving: [ErrGroup], [ErrMove],
// [identity.ErrForbidden].
func (s *RenewalService) ChangeAuthorization(
	ctx context.Context, id uuid.UUID, c AuthorizationChange,
) (authorization.View, error) {
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
		return s.Authorizations.Change(ctx, id, c.Change)
	}
	prepared, err := s.Authorizations.PrepareChange(ctx, id, c.Change)
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
func (s *RenewalService) settleStranded(
	ctx context.Context, before authorization.Authorization, c AuthorizationChange,
) error {
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

// scheduledOn returns the SCHEDULED appointments on the authorization of the caller's organization,
// sorted by start. It runs in the transaction of the context.
func (s *RenewalService) scheduledOn(ctx context.Context, authorization uuid.UUID) ([]Appointment, error) {
	caller, err := identity.From(ctx)
	if err != nil {
		return nil, err
	}
	r := request{kind: transfer, caller: caller, transfer: &Transfer{From: authorization}}
	existing, requested, err := s.readNamed(ctx, appointmentReading{}, []request{r})
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
func (s *RenewalService) cancelStranded(ctx context.Context, appointments []uuid.UUID, reason *string) error {
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
// [RenewalService.MoveBookings], in the transaction of the context. It needs [permission.AppointmentReschedule].
func (s *RenewalService) moveStranded(
	ctx context.Context, appointments []uuid.UUID, from, to uuid.UUID, reason *string,
) error {
	r, err := s.transferRequest(ctx, Transfer{From: from, To: to}, reason, "")
	if err != nil {
		return err
	}
	r.settling = settlingOf(appointments)
	return s.runInTransaction(ctx, permission.AppointmentReschedule, r)
}

// runInTransaction runs a request in the transaction of the context, which its caller has begun.
func (s *RenewalService) runInTransaction(ctx context.Context, needed identity.Permission, r request) error {
	if err := r.caller.RequireForOrganization(needed); err != nil {
		return err
	}
	_, err := s.run(ctx, r)
	return err
}

// Moved is the result of a transfer.
type Moved struct {
	Occurrences []Occurrence // the appointments, sorted by start
	Replayed    bool         // whether it is the stored response of an earlier request with the same key
}

// MoveBookings moves the transfer's bookings: each releases its units on the old authorization and
// reserves units on the new one, by the rules of the new one and its payer. It moves all or none,
// once per key. For a group, only the patient's part moves. A transfer without bookings succeeds.
// Errors: [authorization.ErrNotFound], [ErrMove], [fault.ErrInvalid] if the new
// authorization is unknown or does not match, [command.ErrReused].
func (s *RenewalService) MoveBookings(ctx context.Context, t Transfer, reason *string, key command.Key) (Moved, error) {
	r, err := s.transferRequest(ctx, t, reason, key)
	if err != nil {
		return Moved{}, err
	}
	v, err := s.run(ctx, r)
	return Moved{Occurrences: v.occurrences, Replayed: v.replayed}, err
}

// PreviewMove returns the result that [RenewalService.MoveBookings] would have now. It writes nothing.
// Broken rules are in the result; the error is for unknown authorizations, and for a pair that
// does not match.
func (s *RenewalService) PreviewMove(ctx context.Context, t Transfer) (Moved, error) {
	r, err := s.transferRequest(ctx, t, nil, "")
	if err != nil {
		return Moved{}, err
	}
	if r.zone, err = s.Directory.TimeZone(ctx, r.caller.OrganizationID); err != nil {
		return Moved{}, err
	}
	r = r.withFirstDay(s.now())
	v, err := db.Snapshot(ctx, s.Database, "appointments.preview-move", func(ctx context.Context) (verdict, error) {
		d, err := s.load(ctx, nil, []request{r})
		if err != nil {
			return verdict{}, err
		}
		for _, each := range d.expanded[r.CallID].parts {
			showAppointments(ctx, d.appointments[each.key()])
		}
		return d.records.decide(d.expanded[r.CallID])
	})
	if err != nil {
		return Moved{}, err
	}
	m := Moved{Occurrences: v.occurrences}
	if v.refusal != nil {
		details, ok := v.refusal.Details().(MoveRefusal)
		if !ok {
			return Moved{}, v.refusal
		}
		m.Occurrences = details.Occurrences
	}
	return m, nil
}

func (s *RenewalService) transferRequest(
	ctx context.Context, t Transfer, reason *string, key command.Key,
) (request, error) {
	r, err := s.request(ctx, transfer, uuid.Nil, key)
	r.transfer, r.reason = &t, reason
	return r, err
}

// CompareHolds compares the books of authorizations with the appointments on them, and reports every
// disagreement:
//
//   - appointment: every open appointment has exactly its reservation, and no open
//     reservation names an appointment that is not open
//   - session: the units of every session equal the units consumed for its appointment
//   - consumption: every version of a session names the ledger entry that consumed its units, and the
//     entries of earlier versions are reversed, unless the present version still has them
//
// It runs in the transaction of the context and needs no caller.
func (s *RenewalService) CompareHolds(
	ctx context.Context, snapshots []authorization.Snapshot,
) (authorization.Compared, error) {
	keys := make([]record.Key, len(snapshots))
	for i, b := range snapshots {
		keys[i] = record.Of(b.OrganizationID, b.ID)
	}
	found, err := s.store.holds(ctx, keys)
	if err != nil {
		return authorization.Compared{}, err
	}
	consumptions, err := s.store.consumptions(ctx, keys)
	if err != nil {
		return authorization.Compared{}, err
	}
	var compared authorization.Compared
	holds := map[record.Key][]Hold{}
	for _, h := range found {
		key := record.Of(h.OrganizationID, h.AuthorizationID)
		holds[key] = append(holds[key], h)
		if !h.Settled {
			compared.Appointments++
		}
	}
	for i, b := range snapshots {
		c := comparison{Snapshot: b, holds: holds[keys[i]]}
		c.compareAppointments()
		c.compareSessions()
		c.compareConsumptions(consumptions[keys[i]])
		compared.Problems = append(compared.Problems, c.problems...)
	}
	return compared, nil
}
