package authorization

import (
	"bytes"
	"context"
	"fmt"
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

// operationID returns the id that the key stands for, and a new one where there is no key.
func (s *Service) operationID(caller identity.Caller, key Key) uuid.UUID {
	if key == "" {
		return s.newID()
	}
	name := caller.OrganizationID.String() + "\n" + caller.UserID.String() + "\n" + string(key)
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
// [ErrOperationReused], [fault.ErrInvalid].
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
// [ErrInsufficientReserved], [ErrOperationReused], [fault.ErrInvalid].
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
	op.ID, op.Repeatable, op.NewID = s.operationID(caller, key), key != "", s.newID()
	op.ActorID, op.RequestID = caller.UserID, caller.RequestID

	outcome, err := s.transact(ctx, caller.OrganizationID, op)
	if err == nil && outcome.Refusal != nil {
		return outcome, outcome.Refusal
	}
	return outcome, err
}

// transact applies one operation in one SERIALIZABLE transaction, once those
// before it on the same authorization are through.
func (s *Service) transact(ctx context.Context, organization uuid.UUID, op Operation) (Outcome, error) {
	leave, err := s.lanes.Enter(ctx, op.AuthorizationID)
	if err != nil {
		return Outcome{}, err
	}
	defer leave()
	return db.Serializable(ctx, s.database, "units."+string(op.Kind), func(ctx context.Context) (Outcome, error) {
		at, err := s.moment(ctx, organization)
		if err != nil {
			return Outcome{}, err
		}
		return s.apply(ctx, op, at)
	}, s.proof(op), db.RetryConstraint(operationOnce))
}

// apply decides the operation inside a transaction and writes what came of it.
// That it was done before shows by its row, which cannot be written twice; then
// the transaction is tried again, and finds it.
func (s *Service) apply(ctx context.Context, op Operation, at Moment) (Outcome, error) {
	a, err := s.store.get(ctx, op.AuthorizationID)
	if err != nil {
		return Outcome{}, err
	}
	if db.Again(ctx) {
		done, err := s.store.done(ctx, op.ID)
		switch {
		case err != nil:
			return Outcome{}, err
		case done != nil && !bytes.Equal(done.Fingerprint, op.fingerprint()):
			return Outcome{}, ErrOperationReused
		case done != nil:
			return recall(a, done.Outcome)
		}
	}
	outcome, err := s.post(ctx, a, op, at)
	if err != nil {
		return Outcome{}, err
	}
	// A refusal that nobody can ask for again needs no row, unless an attempt
	// before this one may have been accepted: its COMMIT may still be under way, and
	// only the row's key makes the two meet.
	if outcome.Refusal == nil || op.Repeatable || db.Again(ctx) {
		err = s.store.remember(ctx, op, outcome, at.Now)
	}
	return outcome, err
}

// post decides the operation and writes its entries with what they change.
func (s *Service) post(ctx context.Context, a Authorization, op Operation, at Moment) (Outcome, error) {
	reservations, err := s.store.touchable(ctx, a, op, at.Now)
	if err != nil {
		return Outcome{}, err
	}
	before := account{Authorization: a, reservations: reservations}
	after, outcome := decide(before, op, at)
	if len(outcome.Entries) == 0 {
		return outcome, nil
	}
	if err := s.store.post(ctx, before, after, outcome.Entries); err != nil {
		return outcome, err
	}
	return outcome, s.publishBalance(ctx, after.Authorization, op.Kind)
}

// proof finds out after an ambiguous COMMIT whether the operation took effect.
func (s *Service) proof(op Operation) db.Option {
	return db.ProvenBy(func(ctx context.Context) (bool, error) {
		done, err := s.store.done(ctx, op.ID)
		return done != nil, err
	})
}

func (s *Service) preview(ctx context.Context, op Operation) (Outcome, error) {
	if err := op.check(); err != nil {
		return Outcome{}, err
	}
	op.ID, op.NewID = s.newID(), s.newID()
	return read(ctx, s, "units.preview", func(ctx context.Context, at Moment) (Outcome, error) {
		a, err := s.store.get(ctx, op.AuthorizationID)
		if err != nil {
			return Outcome{}, err
		}
		reservations, err := s.store.touchable(ctx, a, op, at.Now)
		if err != nil {
			return Outcome{}, err
		}
		_, outcome := decide(account{Authorization: a, reservations: reservations}, op, at)
		if outcome.Refusal != nil {
			err = s.store.freeExpired(ctx, []*Authorization{&outcome.Authorization}, at.Now)
		}
		return outcome, err
	})
}

// check refuses what is wrong whatever the state.
func (o Operation) check() error {
	least := 1
	if o.ReservationID != nil && o.Kind != Reserve {
		least = 0
	}
	switch {
	case o.Units == 0 && least == 1 && o.Kind != Reserve:
		return fault.InvalidFields(fault.Field{
			Field: "units", Code: "required", Message: "must be given, unless reservationId names what is settled",
		})
	case o.Units < least || o.Units > MaxUnits:
		return fault.InvalidFields(fieldUnits("units", 1))
	case o.HoldFor < 0 || o.HoldFor > MaxHold:
		return fault.InvalidFields(fault.Field{
			Field: "expiresInSeconds", Code: "range", Message: fmt.Sprintf("must be between 1 and %d", int(MaxHold.Seconds())),
		})
	}
	return nil
}

func fieldUnits(name string, least int) fault.Field {
	return fault.Field{Field: name, Code: "range", Message: fmt.Sprintf("must be between %d and %d", least, MaxUnits)}
}
