package authorization

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/fault"
)

// Ledger is the account book of some authorizations, as the transaction sees it in
// which it was opened. What appointments claim of it is decided in memory, one
// after the other, by the same rules as operations of their own; [Ledger.Write]
// writes what came of it, in the caller's transaction. Its entries carry the
// caller's operation ids, and it is the caller that remembers those: no row of an
// operation is written here. Not safe for concurrent use; worthless once the
// transaction is over.
type Ledger struct {
	service *Service
	desk    *desk
}

// Held names an authorization, and the reservation on it that an appointment has,
// if it has one.
type Held struct {
	OrganizationID  uuid.UUID
	AuthorizationID uuid.UUID
	ReservationID   *uuid.UUID
}

// OpenLedger reads authorizations with those of their reservations that are named,
// in the transaction of the context, which must be SERIALIZABLE if anything is to
// be written: one statement for the authorizations, and one each for reservations
// and first days of weeks where those are needed. It needs no caller. What is not
// there is left out.
func (s *Service) OpenLedger(ctx context.Context, now time.Time, held []Held) (*Ledger, error) {
	d := &desk{now: now, bookings: map[authorizationKey]*booking{}}
	asked := map[authorizationKey][]Operation{}
	for _, h := range held {
		key := authorizationKey{h.OrganizationID, h.AuthorizationID}
		asked[key] = append(asked[key], Operation{Kind: Reserve, ReservationID: h.ReservationID})
	}
	if len(asked) == 0 {
		return &Ledger{s, d}, nil
	}
	if err := s.read(ctx, d, asked, &reading{}); err != nil {
		return nil, err
	}
	return &Ledger{s, d}, nil
}

// Authorization returns it as the claims so far have left it.
func (l *Ledger) Authorization(organization, id uuid.UUID) (Authorization, bool) {
	made := l.desk.bookings[authorizationKey{organization, id}]
	if made == nil {
		return Authorization{}, false
	}
	return made.after.Authorization, true
}

// Write writes what was kept, and publishes the balances.
func (l *Ledger) Write(ctx context.Context) error { return l.service.write(ctx, l.desk) }

// Sheet is where the claims of one request are noted: all of them are kept, or none.
// There is one sheet of a ledger at a time.
type Sheet struct {
	desk   *desk
	drafts map[authorizationKey]booking
}

// Sheet returns an empty sheet.
func (l *Ledger) Sheet() *Sheet {
	return &Sheet{desk: l.desk, drafts: map[authorizationKey]booking{}}
}

// Claim is what an appointment claims of an authorization.
type Claim struct {
	OrganizationID  uuid.UUID
	AuthorizationID uuid.UUID
	AppointmentID   uuid.UUID
	ReservationID   uuid.UUID // the appointment's; what has to be reserved is reserved by this id where it is not there yet
	Units           int       // 0 to [MaxUnits]
	ServiceDate     calendar.Date

	OperationID uuid.UUID
	ActorID     uuid.UUID
	RequestID   string
	Reason      *string
}

func (c Claim) key() authorizationKey { return authorizationKey{c.OrganizationID, c.AuthorizationID} }

// Hold has the appointment's reservation hold the claim's units for its service
// date from now on, and returns every rule that stands against it: [ErrNotFound],
// [ErrNotActive], [ErrOutsideDates], [ErrInsufficientUnits], [ErrCapExceeded]. To
// hold fewer units on the same day is always possible. The error is
// [ErrBooksDamaged].
func (s *Sheet) Hold(c Claim) ([]*fault.Error, error) {
	made, ok := s.booking(c.key())
	if !ok {
		return []*fault.Error{ErrNotFound}, nil
	}
	r := made.after.reservation(c.ReservationID)
	if r == nil && c.Units == 0 {
		return made.after.refusals(0, c.ServiceDate), nil
	}
	op := c.operation(Reserve, r)
	outcome := s.decide(made, op)
	switch {
	case outcome.Refusal == nil:
		return nil, nil
	case outcome.Reasons != nil:
		return outcome.Reasons, nil
	default:
		return nil, outcome.Refusal
	}
}

// Release gives back whatever the appointment's reservation still holds. The error
// is [ErrBooksDamaged].
func (s *Sheet) Release(c Claim) error {
	made, ok := s.booking(c.key())
	if !ok {
		return ErrNotFound
	}
	r := made.after.reservation(c.ReservationID)
	if r == nil || !r.hasLeft() {
		return nil
	}
	c.Units = 0
	return errorOf(s.decide(made, c.operation(Release, r)).Refusal)
}

// Settle consumes the claim's units for a session on its service date, and gives
// back what is left of the reservation. What was not reserved is taken from what
// is available; it returns how many units that made, and how many are missing:
// all of them where the day is outside the authorization. Errors:
// [ErrBooksDamaged], [ErrReservationClosed] where it was settled before.
func (s *Sheet) Settle(c Claim) (consumed, missing int, err error) {
	made, ok := s.booking(c.key())
	if !ok {
		return 0, 0, ErrNotFound
	}
	if c.Units == 0 || !made.after.Covers(c.ServiceDate) {
		return 0, c.Units, s.Release(c)
	}
	outcome := s.decide(made, c.operation(Consume, made.after.reservation(c.ReservationID)))
	return outcome.Consumed, outcome.Missing, errorOf(outcome.Refusal)
}

func errorOf(refusal *fault.Error) error {
	if refusal == nil {
		return nil
	}
	return refusal
}

// Keep takes over what was noted. The sheet is used up.
func (s *Sheet) Keep() {
	for _, key := range slices.SortedFunc(maps.Keys(s.drafts), compareKeys) {
		made := s.drafts[key]
		if len(made.entries) == len(s.desk.bookings[key].entries) {
			continue
		}
		*s.desk.bookings[key] = made
		s.desk.messages = append(s.desk.messages, balanceMessage(made))
	}
}

func (s *Sheet) booking(key authorizationKey) (booking, bool) {
	if made, begun := s.drafts[key]; begun {
		return made, true
	}
	if there := s.desk.bookings[key]; there != nil {
		return *there, true
	}
	return booking{}, false
}

func (s *Sheet) decide(made booking, op Operation) Outcome {
	var outcome Outcome
	made.after, outcome = decideNext(made.after, op, Moment{Now: s.desk.now})
	made.entries = append(made.entries, outcome.Entries...)
	s.drafts[made.after.key()] = made
	return outcome
}

func (a account) reservation(id uuid.UUID) *Reservation {
	for i := range a.reservations {
		if a.reservations[i].ID == id {
			return &a.reservations[i]
		}
	}
	return nil
}

func (c Claim) operation(kind EntryKind, r *Reservation) Operation {
	op := Operation{
		ID: c.OperationID, Kind: kind, AuthorizationID: c.AuthorizationID, Units: c.Units, NewID: c.ReservationID,
		ServiceDate: c.ServiceDate, AppointmentID: &c.AppointmentID, Reason: c.Reason,
		ActorID: c.ActorID, RequestID: c.RequestID,
	}
	if r != nil {
		op.ReservationID = &c.ReservationID
	}
	return op
}
