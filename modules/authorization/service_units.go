package authorization

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/command"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/identity"
)

// UnitService reserves, releases and consumes units, and returns reservations and ledger entries.
type UnitService struct{ *commands }

// MaxHold is the longest duration of a hold.
const MaxHold = 30 * 24 * time.Hour

// NewReservation has the fields of a reservation to make.
type NewReservation struct {
	Units         int           // 1 to [MaxUnits]
	ServiceDate   calendar.Date // default: today
	HoldFor       time.Duration // 0: until it is settled; at most [MaxHold]
	Reference     *string
	AppointmentID *uuid.UUID
}

// Settlement releases or consumes reserved units.
type Settlement struct {
	// ReservationID is the reservation to settle. Nil: the oldest open reservations without an
	// appointment.
	ReservationID *uuid.UUID
	// Units is 1 to [MaxUnits], or 0 for all remaining units of ReservationID.
	Units         int
	ServiceDate   calendar.Date // of a consumption; default: the reservation's
	KeepRest      bool          // consumption of a named reservation: the remaining units stay reserved
	AppointmentID *uuid.UUID    // the appointment that settles it
	Reason        *string
}

// Reserve reserves units. It is atomic and takes effect once per key. Errors: [ErrNotFound],
// [ErrNotActive], [ErrOutsideDates], [ErrInsufficientUnits], [ErrCapExceeded],
// [command.ErrReused], [fault.ErrInvalid].
func (s *UnitService) Reserve(
	ctx context.Context, authorization uuid.UUID, n NewReservation, key command.Key,
) (Outcome, error) {
	return s.perform(ctx, n.operation(authorization), key)
}

func (n NewReservation) operation(authorization uuid.UUID) Operation {
	return Operation{
		Kind: Reserve, AuthorizationID: authorization, Units: n.Units, ServiceDate: n.ServiceDate,
		HoldFor: n.HoldFor, Reference: n.Reference, AppointmentID: n.AppointmentID,
	}
}

// Release releases reserved units. The authorization can have any status. It is atomic and takes
// effect once per key. Errors: [ErrNotFound], [ErrReservationNotFound], [ErrReservationClosed],
// [ErrBelongsToAppointment], [ErrInsufficientReserved], [command.ErrReused],
// [fault.ErrInvalid].
func (s *UnitService) Release(
	ctx context.Context, authorization uuid.UUID, n Settlement, key command.Key,
) (Outcome, error) {
	return s.perform(ctx, n.operation(Release, authorization), key)
}

// Consume turns reserved units into used units. It also works after the authorization has ended,
// because documentation is often late. Units beyond the reservation are taken from the available
// units; [Outcome.Missing] is the number of units that were not available. It is atomic and takes
// effect once per key. Errors: as for [UnitService.Release], and [ErrOutsideDates], [ErrNotActive]
// and [ErrInsufficientUnits] if no unit can be consumed.
func (s *UnitService) Consume(
	ctx context.Context, authorization uuid.UUID, n Settlement, key command.Key,
) (Outcome, error) {
	return s.perform(ctx, n.operation(Consume, authorization), key)
}

func (n Settlement) operation(kind EntryKind, authorization uuid.UUID) Operation {
	return Operation{
		Kind: kind, AuthorizationID: authorization, ReservationID: n.ReservationID, Units: n.Units,
		ServiceDate: n.ServiceDate, KeepRest: n.KeepRest, AppointmentID: n.AppointmentID, Reason: n.Reason,
	}
}

// PreviewReserve returns the outcome that a reservation would have now. It writes nothing. A
// refusal is in the outcome, not in the error.
func (s *UnitService) PreviewReserve(ctx context.Context, authorization uuid.UUID, n NewReservation) (Outcome, error) {
	return s.preview(ctx, n.operation(authorization))
}

// PreviewSettlement returns the outcome that a release or a consumption would have now. It writes
// nothing. A refusal is in the outcome, not in the error.
func (s *UnitService) PreviewSettlement(
	ctx context.Context, kind EntryKind, authorization uuid.UUID, n Settlement,
) (Outcome, error) {
	return s.preview(ctx, n.operation(kind, authorization))
}

// perform runs one operation.
func (s *UnitService) perform(ctx context.Context, op Operation, key command.Key) (Outcome, error) {
	caller, err := identity.From(ctx)
	if err != nil {
		return Outcome{}, err
	}
	if err := op.check(); err != nil {
		return Outcome{}, err
	}
	if err := s.requireInScope(ctx, op.AuthorizationID); err != nil {
		return Outcome{}, err
	}
	outcomes, err := s.run(ctx, s.newCommand(caller, string(op.Kind), key, op))
	if err != nil {
		return Outcome{}, err
	}
	if outcomes[0].Refusal != nil {
		return outcomes[0], outcomes[0].Refusal
	}
	return outcomes[0], nil
}

// requireInScope returns [ErrNotFound] if the authorization is outside the caller's record scope. It is
// checked before the caller waits for a lock, and is skipped for callers whose scope is the
// organization.
func (s *UnitService) requireInScope(ctx context.Context, id uuid.UUID) error {
	scope, err := db.RecordScopeOf(ctx)
	if err != nil || scope.WholeOrganization() {
		return err
	}
	_, err = db.Snapshot(ctx, s.Database, "authorization.record-scope", func(ctx context.Context) (Authorization, error) {
		return s.store.get(ctx, id)
	})
	return err
}

func (s *UnitService) preview(ctx context.Context, op Operation) (Outcome, error) {
	if err := op.check(); err != nil {
		return Outcome{}, err
	}
	caller, err := identity.From(ctx)
	if err != nil {
		return Outcome{}, err
	}
	c := s.newCommand(caller, string(op.Kind), "", op)
	return read(ctx, s.base, "units.preview", func(ctx context.Context, at Moment) (Outcome, error) {
		state, err := s.load(ctx, nil, []unitCommand{c})
		if err != nil {
			return Outcome{}, err
		}
		current := state.accounts[c.key(op)]
		if current == nil {
			return Outcome{}, ErrNotFound
		}
		if err := s.requireInScope(ctx, op.AuthorizationID); err != nil {
			return Outcome{}, err
		}
		show(ctx, current.before.ID, current.before.PatientID)
		_, outcome := decide(current.before, c.ops[0], at)
		if outcome.Refusal != nil {
			err = s.store.freeExpired(ctx, []*Authorization{&outcome.Authorization}, at.Now)
		}
		outcome.Today = at.Today
		return outcome, err
	})
}

// check returns the errors that do not depend on stored state.
func (o Operation) check() error {
	if fieldErrors := o.fieldErrors(); len(fieldErrors) > 0 {
		return fault.InvalidFields(fieldErrors...)
	}
	return nil
}

func (o Operation) fieldErrors() []fault.Field {
	least := 1
	if o.ReservationID != nil && o.Kind != Reserve {
		least = 0
	}
	switch {
	case o.Units == 0 && least == 1 && o.Kind != Reserve:
		return []fault.Field{{
			Field: "units", Code: "required", Message: "must be given unless reservationId is given",
		}}
	case o.Units < least || o.Units > MaxUnits:
		return []fault.Field{fieldUnits("units", 1)}
	case o.HoldFor < 0 || o.HoldFor > MaxHold:
		return []fault.Field{{
			Field: "expiresInSeconds", Code: "range", Message: fmt.Sprintf("must be between 1 and %d", int(MaxHold.Seconds())),
		}}
	}
	return nil
}

// Reservations returns an authorization's reservations with an id after the given one, sorted by
// id. If open is not nil, it returns only open or only closed ones. It also returns the time of
// that state. The error is [ErrNotFound].
func (s *UnitService) Reservations(
	ctx context.Context, authorization uuid.UUID, open *bool, after uuid.UUID, limit int,
) ([]Reservation, time.Time, error) {
	var now time.Time
	found, err := read(ctx, s.base, "authorization.reservations",
		func(ctx context.Context, at Moment) ([]Reservation, error) {
			now = at.Now
			a, err := s.store.get(ctx, authorization)
			if err != nil {
				return nil, err
			}
			show(ctx, a.ID, a.PatientID)
			return s.store.reservations(ctx, authorization, open, after, limit, now)
		})
	return found, now, err
}

// Entries returns an authorization's ledger entries after the given sequence number, oldest first.
// The error is [ErrNotFound].
func (s *UnitService) Entries(ctx context.Context, authorization uuid.UUID, after int64, limit int) ([]Entry, error) {
	return read(ctx, s.base, "authorization.entries", func(ctx context.Context, _ Moment) ([]Entry, error) {
		a, err := s.store.get(ctx, authorization)
		if err != nil {
			return nil, err
		}
		show(ctx, a.ID, a.PatientID)
		return s.store.entries(ctx, authorization, after, limit)
	})
}
