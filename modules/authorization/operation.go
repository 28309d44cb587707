package authorization

import (
	"crypto/sha256"
	"strconv"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/patch"
)

// Operation is one change of units that somebody asks for. Ids are chosen
// before any transaction begins, so that the change can be found again after an
// ambiguous COMMIT, and asked for again after any failure.
type Operation struct {
	ID              uuid.UUID // of this operation: repeated, it takes effect once
	Kind            EntryKind
	AuthorizationID uuid.UUID
	Units           int         // Reserve, Release, Consume: 0 means all that is left of the named reservation
	Total           int         // Adjust: the new total
	Match           patch.Match // Adjust: which versions of the authorization it is meant for
	// ReservationID names the reservation to settle or, of a Reserve, to resize: it
	// holds Units for ServiceDate from then on. Nil: take from the oldest open ones
	// that carry no appointment.
	ReservationID *uuid.UUID
	NewID         uuid.UUID     // the id of the reservation that this operation may make
	ServiceDate   calendar.Date // of Reserve and Consume; none: see [decide]
	HoldFor       time.Duration // Reserve: how long the hold lasts; 0: until it is settled
	Reference     *string       // Reserve: the caller's own
	AppointmentID *uuid.UUID    // the appointment that the reservation is for, and may settle it
	KeepRest      bool          // Consume of a named reservation: what is left stays reserved
	Reason        *string

	// Bound is, of an operation that was asked for together with others, a sum of
	// all of them.
	Bound []byte

	ActorID   uuid.UUID
	RequestID string
	Address   string     // of the connection, for the audit trail
	GrantID   *uuid.UUID // as well
	// Repeatable says that the client chose the id and may ask again: a refusal
	// is then remembered like an acceptance.
	Repeatable bool
}

// reservedFor returns the day for which a reservation is made.
func (o Operation) reservedFor(today calendar.Date) calendar.Date {
	if o.ServiceDate.IsZero() {
		return today
	}
	return o.ServiceDate
}

// fingerprint tells whether two operations with one id ask for the same thing.
// It leaves out who asks and what was chosen for the operation, not by it.
func (o Operation) fingerprint() []byte {
	b := make([]byte, 0, 256)
	word := func(s string) { b = append(append(b, s...), '|') }
	number := func(n int64) { b = append(strconv.AppendInt(b, n, 10), '|') }
	quoted := func(s *string) {
		if s != nil {
			b = strconv.AppendQuote(b, *s)
		}
	}
	word(string(o.Kind))
	word(o.AuthorizationID.String())
	number(int64(o.Units))
	number(int64(o.Total))
	word(text(o.ReservationID))
	word(o.ServiceDate.String())
	number(int64(o.HoldFor))
	word(text(o.AppointmentID))
	quoted(o.Reference)
	b = append(strconv.AppendBool(append(b, '|'), o.KeepRest), '|')
	quoted(o.Reason)
	sum := sha256.Sum256(append(b, o.Bound...))
	return sum[:]
}

func text(id *uuid.UUID) string {
	if id == nil {
		return ""
	}
	return id.String()
}

// Outcome is what an operation came to: a refusal, or what it changed.
type Outcome struct {
	Refusal       *fault.Error   // nil: accepted
	Reasons       []*fault.Error // Reserve: every rule that stands against it, the refusal first
	Authorization Authorization
	Reservations  []Reservation // those it made or changed, oldest first
	Entries       []Entry       // those it wrote, none where nothing had to change
	Consumed      int           // Consume: units that were turned into used ones
	Missing       int           // Consume: units of worked time that the authorization does not cover
	Replayed      bool          // the answer of an earlier operation with this id
	Today         calendar.Date // on which it was decided: the status is that of this day
}

// view is the authorization as it counted when the operation was decided.
func (o Outcome) view() View { return o.Authorization.viewOn(o.Today) }

// Moment is when an operation is decided: the instant, and the date that it
// has in the organization's time zone.
type Moment struct {
	Now   time.Time
	Today calendar.Date
}
