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

// Operation is one requested change of units. Its ids are chosen before the transaction begins, so
// that the change can be found after an ambiguous COMMIT and retried after any failure.
type Operation struct {
	ID              uuid.UUID // repeated with the same id, it takes effect once
	Kind            EntryKind
	AuthorizationID uuid.UUID
	Units           int         // Reserve, Release, Consume: 0 means all remaining units of the named reservation
	Total           int         // Adjust: the new total
	Match           patch.Match // Adjust: the versions of the authorization that it applies to
	// ReservationID is the reservation to settle or, for a Reserve, to resize to Units for
	// ServiceDate. Nil: take units from the oldest open reservations without an appointment.
	ReservationID *uuid.UUID
	NewID         uuid.UUID     // the id of the reservation that this operation may create
	ServiceDate   calendar.Date // for Reserve and Consume; zero: see [decide]
	HoldFor       time.Duration // Reserve: how long the hold lasts; 0: until it is settled
	Reference     *string       // Reserve: set by the caller
	AppointmentID *uuid.UUID    // the appointment that owns the reservation and may settle it
	KeepRest      bool          // Consume of a named reservation: the rest stays reserved
	Corrects      int64         // Reverse: the sequence number of the consumption to take back
	Reason        *string

	ActorID   uuid.UUID
	RequestID string
	Address   string     // the client's IP address, for the audit trail
	GrantID   *uuid.UUID // also for the audit trail
}

// reservedFor returns the service date of a new reservation.
func (o Operation) reservedFor(today calendar.Date) calendar.Date {
	if o.ServiceDate.IsZero() {
		return today
	}
	return o.ServiceDate
}

// fingerprint returns a hash by which two operations with one id are compared. It excludes the
// caller and the generated ids.
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
	sum := sha256.Sum256(b)
	return sum[:]
}

func text(id *uuid.UUID) string {
	if id == nil {
		return ""
	}
	return id.String()
}

// Outcome is the result of an operation: a refusal, or the changes.
type Outcome struct {
	Refusal       *fault.Error   // nil: accepted
	Reasons       []*fault.Error // Reserve: every rule that it would break, the refusal first
	Authorization Authorization
	Reservations  []Reservation // those created or changed, oldest first
	Entries       []Entry       // the entries written; none if nothing had to change
	Consumed      int           // Consume: units turned into used units
	Missing       int           // Consume: units of worked time that the authorization does not cover
	Replayed      bool          // whether this is the stored outcome of an earlier operation with this id
	Today         calendar.Date // the date of the decision, which the status is for
}

// view returns the authorization as of the decision.
func (o Outcome) view() View { return o.Authorization.viewOn(o.Today) }

// Moment is the time of a decision: the instant, and its date in the organization's time zone.
type Moment struct {
	Now   time.Time
	Today calendar.Date
}

func momentIn(now time.Time, zone *time.Location) Moment {
	return Moment{Now: now, Today: calendar.DateIn(now, zone)}
}
