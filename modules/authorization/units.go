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

// MaxHold is the longest time for which a hold can be asked.
const MaxHold = 30 * 24 * time.Hour

// Key lets a client ask again after any failure: operations with the same key
// by the same user are one operation. The zero value is no key.
type Key string

// keyNamespace makes operation ids of keys; it must never change.
var keyNamespace = uuid.MustParse("5b0f6c5e-5c1e-4c60-9d3a-2f6a1f0c7b11")

// operationID returns the id that the key stands for in that place of a request
// for several operations, and a new one where there is no key. The first place is
// that of a request for one, so that a key cannot stand for both.
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

// NewReservation asks for units of an authorization.
type NewReservation struct {
	Units         int           // 1 to [MaxUnits]
	ServiceDate   calendar.Date // none: today
	HoldFor       time.Duration // 0: until it is settled; at most [MaxHold]
	Reference     *string
	AppointmentID *uuid.UUID
}

// Settlement gives reserved units back, or turns them into used ones.
type Settlement struct {
	// ReservationID names what is settled. Nil: the oldest open reservations
	// that carry no appointment.
	ReservationID *uuid.UUID
	// Units: 1 to [MaxUnits]; 0 means all that is left, and needs a ReservationID.
	Units         int
	ServiceDate   calendar.Date // of a consumption; none: the reservation's
	KeepRest      bool          // of a consumption of a named reservation: what is left stays reserved
	AppointmentID *uuid.UUID    // the appointment through which it is settled
	Reason        *string
}

// Reserve holds units. It is atomic and takes effect once per key. Refusals:
// [ErrNotFound], [ErrNotActive], [ErrOutsideDates], [ErrInsufficientUnits],
// [ErrCapExceeded], [idempotency.ErrReused], [fault.ErrInvalid].
func (s *Service) Reserve(ctx context.Context, authorization uuid.UUID, n NewReservation, key Key) (Outcome, error) {
	return s.perform(ctx, n.operation(authorization), key)
}

func (n NewReservation) operation(authorization uuid.UUID) Operation {
	return Operation{
		Kind: Reserve, AuthorizationID: authorization, Units: n.Units, ServiceDate: n.ServiceDate,
		HoldFor: n.HoldFor, Reference: n.Reference, AppointmentID: n.AppointmentID,
	}
}

// Release gives reserved units back, on an authorization of any status. It is
// atomic and takes effect once per key. Refusals: [ErrNotFound],
// [ErrReservationNotFound], [ErrReservationClosed], [ErrBelongsToAppointment],
// [ErrInsufficientReserved], [idempotency.ErrReused], [fault.ErrInvalid].
func (s *Service) Release(ctx context.Context, authorization uuid.UUID, n Settlement, key Key) (Outcome, error) {
	return s.perform(ctx, n.operation(Release, authorization), key)
}

// Consume turns reserved units into used ones, also after the authorization has
// ended, because documentation is late in real life. Units beyond the reserved
// ones are taken from what is available; [Outcome.Missing] says how many were
// not there. It is atomic and takes effect once per key. Refusals: those of
// [Service.Release], [ErrOutsideDates], [ErrNotActive] and [ErrInsufficientUnits]
// where not a single unit can be consumed.
func (s *Service) Consume(ctx context.Context, authorization uuid.UUID, n Settlement, key Key) (Outcome, error) {
	return s.perform(ctx, n.operation(Consume, authorization), key)
}

func (n Settlement) operation(kind EntryKind, authorization uuid.UUID) Operation {
	return Operation{
		Kind: kind, AuthorizationID: authorization, ReservationID: n.ReservationID, Units: n.Units,
		ServiceDate: n.ServiceDate, KeepRest: n.KeepRest, AppointmentID: n.AppointmentID, Reason: n.Reason,
	}
}

// PreviewReserve says what would come of a reservation now, and writes nothing. A refusal is in the outcome, not in the error.
func (s *Service) PreviewReserve(ctx context.Context, authorization uuid.UUID, n NewReservation) (Outcome, error) {
	return s.preview(ctx, n.operation(authorization))
}

// PreviewSettlement says what would come of a release or a consumption now, and
// writes nothing. A refusal is in the outcome, not in the error.
func (s *Service) PreviewSettlement(ctx context.Context, kind EntryKind, authorization uuid.UUID, n Settlement) (Outcome, error) {
	return s.preview(ctx, n.operation(kind, authorization))
}

// perform carries out one operation.
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
	outcomes, err := s.carryOut(ctx, "units."+string(op.Kind), batch{organization: caller.OrganizationID, ops: []Operation{op}})
	if err != nil {
		return Outcome{}, err
	}
	if outcomes[0].Refusal != nil {
		return outcomes[0], outcomes[0].Refusal
	}
	return outcomes[0], nil
}

// reachable returns [ErrNotFound] where the authorization is out of the caller's reach.
// It asks before anybody waits in the lane, and does not ask at all about callers whose
// reach is the organization.
func (s *Service) reachable(ctx context.Context, id uuid.UUID) error {
	reach, err := db.ReachOf(ctx)
	if err != nil || reach.Everything() {
		return err
	}
	_, err = db.Snapshot(ctx, s.database, "authorization.reach", func(ctx context.Context) (Authorization, error) {
		return s.store.get(ctx, id)
	})
	return err
}

// by fills in who asks for the operation, and what was chosen for it.
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
		made := d.bookings[b.key(op)]
		if made == nil {
			return Outcome{}, ErrNotFound
		}
		if err := s.reachable(ctx, op.AuthorizationID); err != nil {
			return Outcome{}, err
		}
		show(ctx, made.before.ID, made.before.PatientID)
		_, outcome := decide(made.before, op, at)
		if outcome.Refusal != nil {
			err = s.store.freeExpired(ctx, []*Authorization{&outcome.Authorization}, at.Now)
		}
		outcome.Today = at.Today
		return outcome, err
	})
}

// check refuses what is wrong whatever the state.
func (o Operation) check() error {
	if wrong := o.wrong(); len(wrong) > 0 {
		return fault.InvalidFields(wrong...)
	}
	return nil
}

func (o Operation) wrong() []fault.Field {
	least := 1
	if o.ReservationID != nil && o.Kind != Reserve {
		least = 0
	}
	switch {
	case o.Units == 0 && least == 1 && o.Kind != Reserve:
		return []fault.Field{{
			Field: "units", Code: "required", Message: "must be given, unless reservationId names what is settled",
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
