package authorization

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/record"
)

// Ledger is the account book of some authorizations within one transaction. Appointments' claims
// are decided in memory, one after the other, by the same rules as operations. [Ledger.Write]
// writes the results in the caller's transaction. The entries carry the caller's operation ids; the
// caller stores its own responses. A Ledger is not safe for concurrent use, and is invalid after
// the transaction.
type Ledger struct {
	commands *commands
	state    *unitState
}

// Held has the keys of an authorization and of an appointment's reservation on it, if any.
type Held struct {
	OrganizationID  uuid.UUID
	AuthorizationID uuid.UUID
	ReservationID   *uuid.UUID
}

// OpenLedger reads authorizations and the named reservations, in the transaction of the context.
// The transaction must be SERIALIZABLE if anything is written. It runs one statement for the
// authorizations and, if needed, one each for reservations and first days of weeks. It needs no
// caller. Missing authorizations and reservations are omitted.
func (s *UnitService) OpenLedger(ctx context.Context, now time.Time, held []Held) (*Ledger, error) {
	l := &Ledger{s.commands, newUnitState(now)}
	return l, l.Load(ctx, held)
}

// Load reads more authorizations and reservations into the ledger, like [UnitService.OpenLedger].
// It must precede the first claim.
func (l *Ledger) Load(ctx context.Context, held []Held) error {
	if len(held) == 0 {
		return nil
	}
	requested := map[record.Key][]Operation{}
	for _, h := range held {
		key := record.Of(h.OrganizationID, h.AuthorizationID)
		requested[key] = append(requested[key], Operation{Kind: Reserve, ReservationID: h.ReservationID})
	}
	return l.commands.loadAccounts(ctx, l.state, requested)
}

// NewLedger returns a ledger of authorizations without reservations, which cannot be written. It is
// for decisions without a database.
func NewLedger(now time.Time, authorizations ...Authorization) *Ledger {
	s := newUnitState(now)
	for _, a := range authorizations {
		state := account{Authorization: a}
		s.accounts[a.key()] = &accountChange{before: state, after: state}
	}
	return &Ledger{state: s}
}

// Refusals returns the rules that a claim can break.
func Refusals() []*fault.Error {
	return []*fault.Error{ErrOutsideDates, ErrNotActive, ErrInsufficientUnits, ErrCapExceeded, ErrLedgerDamaged}
}

// Authorization returns the authorization after the claims so far.
func (l *Ledger) Authorization(organization, id uuid.UUID) (Authorization, bool) {
	current := l.state.accounts[record.Of(organization, id)]
	if current == nil {
		return Authorization{}, false
	}
	return current.after.Authorization, true
}

// Write writes the kept claims, and publishes the balances.
func (l *Ledger) Write(ctx context.Context) error { return l.commands.save(ctx, l.state) }

// Sheet collects the claims of one request: all of them are kept, or none. A ledger has one sheet
// at a time.
type Sheet struct {
	state  *unitState
	drafts map[record.Key]accountChange
}

// Sheet returns an empty sheet.
func (l *Ledger) Sheet() *Sheet {
	return &Sheet{state: l.state, drafts: map[record.Key]accountChange{}}
}

// Claim is an appointment's claim on an authorization.
type Claim struct {
	OrganizationID  uuid.UUID
	AuthorizationID uuid.UUID
	AppointmentID   uuid.UUID
	ReservationID   uuid.UUID // the appointment's reservation; created with this id if it does not exist
	Units           int       // 0 to [MaxUnits]
	ServiceDate     calendar.Date
	Corrects        int64 // of a reversal: the sequence number of the consumption

	OperationID uuid.UUID
	ActorID     uuid.UUID
	RequestID   string
	Reason      *string
}

func (c Claim) key() record.Key { return record.Of(c.OrganizationID, c.AuthorizationID) }

// Hold sets the units and the service date of the appointment's reservation. It returns every rule
// that this would break: [ErrNotFound], [ErrNotActive], [ErrOutsideDates], [ErrInsufficientUnits],
// [ErrCapExceeded]. Holding fewer units on the same day is always allowed. The error is
// [ErrLedgerDamaged].
func (s *Sheet) Hold(c Claim) ([]*fault.Error, error) {
	current, ok := s.account(c.key())
	if !ok {
		return []*fault.Error{ErrNotFound}, nil
	}
	r := current.after.reservation(c.ReservationID)
	if r == nil && c.Units == 0 {
		return current.after.refusals(0, c.ServiceDate), nil
	}
	op := c.operation(Reserve, r)
	outcome := s.decide(current, op)
	switch {
	case outcome.Refusal == nil:
		return nil, nil
	case outcome.Reasons != nil:
		return outcome.Reasons, nil
	default:
		return nil, outcome.Refusal
	}
}

// Release releases all units that the appointment's reservation still holds. The error is
// [ErrLedgerDamaged].
func (s *Sheet) Release(c Claim) error {
	current, ok := s.account(c.key())
	if !ok {
		return ErrNotFound
	}
	r := current.after.reservation(c.ReservationID)
	if r == nil || !r.hasLeft() {
		return nil
	}
	c.Units = 0
	return errorOf(s.decide(current, c.operation(Release, r)).Refusal)
}

// Settle consumes the claim's units for a session on its service date, and releases the rest of the
// reservation. Units beyond the reservation are taken from the available units. It returns the
// consumption; all units are missing if the day is outside the authorization. Errors:
// [ErrLedgerDamaged], [ErrReservationClosed] if it was settled before.
func (s *Sheet) Settle(c Claim) (Consumption, error) {
	current, ok := s.account(c.key())
	if !ok {
		return Consumption{}, ErrNotFound
	}
	if c.Units == 0 || !current.after.Covers(c.ServiceDate) {
		return Consumption{Missing: c.Units}, s.Release(c)
	}
	outcome := s.decide(current, c.operation(Consume, current.after.reservation(c.ReservationID)))
	settled := Consumption{Units: outcome.Consumed, Missing: outcome.Missing}
	for _, e := range outcome.Entries {
		if e.Kind == Consume {
			settled.Entry = new(e.Sequence)
		}
	}
	return settled, errorOf(outcome.Refusal)
}

// Consumption is the result of settling a claim.
type Consumption struct {
	Units   int    // consumed
	Missing int    // not covered by the authorization
	Entry   *int64 // the sequence number of the ledger entry; nil if no unit was consumed
}

// Reverse takes back the consumption that the claim names: its units are available again, and the
// reservation is closed. Errors: [ErrLedgerDamaged], [ErrReservationClosed] if it was taken back
// before.
func (s *Sheet) Reverse(c Claim) error {
	current, ok := s.account(c.key())
	if !ok {
		return ErrNotFound
	}
	r := current.after.reservation(c.ReservationID)
	if r == nil {
		return ErrReservationNotFound
	}
	return errorOf(s.decide(current, c.operation(Reverse, r)).Refusal)
}

func errorOf(refusal *fault.Error) error {
	if refusal == nil {
		return nil
	}
	return refusal
}

// Keep applies the sheet's claims to the ledger. The sheet must not be used afterwards.
func (s *Sheet) Keep() {
	for _, key := range slices.SortedFunc(maps.Keys(s.drafts), record.Key.Compare) {
		s.state.apply(s.drafts[key])
	}
}

func (s *Sheet) account(key record.Key) (accountChange, bool) {
	if current, ok := s.drafts[key]; ok {
		return current, true
	}
	if existing := s.state.accounts[key]; existing != nil {
		return *existing, true
	}
	return accountChange{}, false
}

func (s *Sheet) decide(current accountChange, op Operation) Outcome {
	var outcome Outcome
	current.after, outcome = decideNext(current.after, op, Moment{Now: s.state.now})
	current.entries = append(current.entries, outcome.Entries...)
	s.drafts[current.after.key()] = current
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
		ServiceDate: c.ServiceDate, AppointmentID: &c.AppointmentID, Reason: c.Reason, Corrects: c.Corrects,
		ActorID: c.ActorID, RequestID: c.RequestID,
	}
	if r != nil {
		op.ReservationID = &c.ReservationID
	}
	return op
}
