package authorization

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/identity"
)

// MaxHold is the longest duration of a hold.
const MaxHold = 30 * 24 * time.Hour

// Key is an idempotency key, with which a client can retry after any failure. Operations of one
// user with the same key are one operation. The zero value means no key.
type Key string

// keyNamespace is the namespace of operation ids derived from keys. It must never change.
var keyNamespace = uuid.MustParse("5b0f6c5e-5c1e-4c60-9d3a-2f6a1f0c7b11")

// operationID returns the id of the operation at index place of a request: derived from the key, or
// new without a key. A single request uses index 0, so a key cannot be used for both a single
// request and a bulk.
func (s *Service) operationID(caller identity.Caller, key Key, place int) uuid.UUID {
	if key == "" {
		return s.newID()
	}
	name := caller.OrganizationID.String() + "\n" + caller.UserID.String() + "\n" + string(key)
	if place > 0 {
		name += "\n" + strconv.Itoa(place)
	}
	return uuid.NewSHA1(keyNamespace, []byte(name))
}

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
// [idempotency.ErrReused], [fault.ErrInvalid].
func (s *Service) Reserve(ctx context.Context, authorization uuid.UUID, n NewReservation, key Key) (Outcome, error) {
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
// [ErrBelongsToAppointment], [ErrInsufficientReserved], [idempotency.ErrReused],
// [fault.ErrInvalid].
func (s *Service) Release(ctx context.Context, authorization uuid.UUID, n Settlement, key Key) (Outcome, error) {
	return s.perform(ctx, n.operation(Release, authorization), key)
}

// Consume turns reserved units into used units. It also works after the authorization has ended,
// because documentation is often late. Units beyond the reservation are taken from the available
// units; [Outcome.Missing] is the number of units that were not available. It is atomic and takes
// effect once per key. Errors: those of [Service.Release], and [ErrOutsideDates], [ErrNotActive]
// and [ErrInsufficientUnits] if no unit can be consumed.
func (s *Service) Consume(ctx context.Context, authorization uuid.UUID, n Settlement, key Key) (Outcome, error) {
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
func (s *Service) PreviewReserve(ctx context.Context, authorization uuid.UUID, n NewReservation) (Outcome, error) {
	return s.preview(ctx, n.operation(authorization))
}

// PreviewSettlement returns the outcome that a release or a consumption would have now. It writes
// nothing. A refusal is in the outcome, not in the error.
func (s *Service) PreviewSettlement(ctx context.Context, kind EntryKind, authorization uuid.UUID, n Settlement) (Outcome, error) {
	return s.preview(ctx, n.operation(kind, authorization))
}

// perform runs one operation.
func (s *Service) perform(ctx context.Context, op Operation, key Key) (Outcome, error) {
	caller, err := identity.From(ctx)
	if err != nil {
		return Outcome{}, err
	}
	if err := op.check(); err != nil {
		return Outcome{}, err
	}
	if err := s.reachable(ctx, op.AuthorizationID); err != nil {
		return Outcome{}, err
	}
	op = op.by(caller, s.operationID(caller, key, 0), s.newID(), key)
	outcomes, err := s.run(ctx, "units."+string(op.Kind), batch{organization: caller.OrganizationID, ops: []Operation{op}})
	if err != nil {
		return Outcome{}, err
	}
	if outcomes[0].Refusal != nil {
		return outcomes[0], outcomes[0].Refusal
	}
	return outcomes[0], nil
}

// reachable returns [ErrNotFound] if the authorization is outside the caller's record scope. It is
// checked before the caller waits for a lock, and is skipped for callers whose scope is the
// organization.
func (s *Service) reachable(ctx context.Context, id uuid.UUID) error {
	reach, err := db.RecordScopeOf(ctx)
	if err != nil || reach.WholeOrganization() {
		return err
	}
	_, err = db.Snapshot(ctx, s.database, "authorization.reach", func(ctx context.Context) (Authorization, error) {
		return s.store.get(ctx, id)
	})
	return err
}

// by sets the caller and the ids of the operation.
func (o Operation) by(caller identity.Caller, id, newID uuid.UUID, key Key) Operation {
	o.ID, o.NewID, o.Repeatable = id, newID, key != ""
	o.ActorID, o.RequestID, o.Address, o.GrantID = caller.UserID, caller.RequestID, caller.Address, caller.GrantID
	return o
}

func (s *Service) preview(ctx context.Context, op Operation) (Outcome, error) {
	if err := op.check(); err != nil {
		return Outcome{}, err
	}
	caller, err := identity.From(ctx)
	if err != nil {
		return Outcome{}, err
	}
	op.ID, op.NewID = s.newID(), s.newID()
	return read(ctx, s, "units.preview", func(ctx context.Context, at Moment) (Outcome, error) {
		b := batch{organization: caller.OrganizationID, ops: []Operation{op}}
		d, err := s.open(ctx, []batch{b}, &reading{})
		if err != nil {
			return Outcome{}, err
		}
		current := d.bookings[b.key(op)]
		if current == nil {
			return Outcome{}, ErrNotFound
		}
		if err := s.reachable(ctx, op.AuthorizationID); err != nil {
			return Outcome{}, err
		}
		show(ctx, current.before.ID, current.before.PatientID)
		_, outcome := decide(current.before, op, at)
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

func fieldUnits(name string, least int) fault.Field {
	return fault.Field{Field: name, Code: "range", Message: fmt.Sprintf("must be between %d and %d", least, MaxUnits)}
}
