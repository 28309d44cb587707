// Package authorization keeps the account book of authorized units: the units that an insurer
// granted, that appointments hold and that sessions have used.
//
// Every change of units is an [Operation]. [decide] judges it on the state of one authorization, in
// one SERIALIZABLE transaction. An accepted operation changes the counters and a [Reservation], and
// writes entries into an append-only, hash-chained ledger. A refused operation changes nothing.
// Operations are idempotent: repeated with the same id, an operation gets the same response and
// takes effect once.
package authorization

import (
	"fmt"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/record"
	"omnirapeutic/platform/scheduling"
)

// MaxUnits is the maximum number of units of one authorization or operation. Real values stay below
// a few thousand; the limit catches typing errors and prevents overflows.
const MaxUnits = 10_000_000

// Status is the status of an authorization. Pending, Active and Cancelled are decisions and are
// stored. The others follow from the date and the counters, and are computed on every read, so they
// are always up to date.
type Status string

// The statuses; see [Authorization.StatusOn].
const (
	Pending   Status = "PENDING"   // requested, not yet granted
	Active    Status = "ACTIVE"    // granted, within its dates, units left to reserve
	Cancelled Status = "CANCELLED" // withdrawn
	Upcoming  Status = "UPCOMING"  // granted, before its first day
	Expired   Status = "EXPIRED"   // granted, after its last day
	Exhausted Status = "EXHAUSTED" // granted, within its dates, no units left to reserve
)

// Authorization is an insurer's grant of units of one service for one patient between two dates.
// Both dates are included, in the organization's time zone.
type Authorization struct {
	OrganizationID uuid.UUID `gorm:"primaryKey"`
	ID             uuid.UUID `gorm:"primaryKey"`
	PatientID      uuid.UUID
	InsuranceID    *uuid.UUID
	ServiceCodeID  uuid.UUID
	AuthNumber     *string // the payer's number; nil while pending
	// Modifiers of claim lines, as the payer states them; empty: none.
	Modifiers scheduling.Modifiers
	Balance
	Caps        Caps        `gorm:"embedded;embeddedPrefix:cap_"`
	UnitsByDate UnitsByDate `gorm:"column:booked_by_date"` // nil if no cap counts by date
	StartDate   calendar.Date
	EndDate     calendar.Date
	Decision    Status `gorm:"column:status"` // the stored status: Pending, Active or Cancelled
	Notes       *string
	Version     int // incremented by every change, starting at 1
	CreatedAt   time.Time
	UpdatedAt   time.Time

	InitialUnits int        // Total before any adjustment
	LastSequence int64      // of the newest ledger entry; 0: no entries
	LastHash     Hash       // of the newest ledger entry, or the genesis hash
	NextExpiry   *time.Time // a lower bound of the next expiry of an open hold; nil: none
}

// Balance has the counters of an authorization, in units. Invariants: 0 ≤ Used, 0 ≤ Scheduled, Used
// + Scheduled ≤ Total.
type Balance struct {
	Total     int `gorm:"column:total_units"`     // granted
	Used      int `gorm:"column:used_units"`      // consumed by sessions
	Scheduled int `gorm:"column:scheduled_units"` // reserved for future sessions
}

// Available returns the number of units that can be reserved, at least 0.
func (b Balance) Available() int { return max(0, b.Total-b.Used-b.Scheduled) }

// StatusOn returns the status on a date in the organization's time zone.
func (a Authorization) StatusOn(today calendar.Date) Status {
	switch {
	case a.Decision != Active:
		return a.Decision
	case today.After(a.EndDate):
		return Expired
	case today.Before(a.StartDate):
		return Upcoming
	case a.Available() == 0:
		return Exhausted
	default:
		return Active
	}
}

// Covers reports whether the date is within the authorization's dates.
func (a Authorization) Covers(day calendar.Date) bool {
	return !day.Before(a.StartDate) && !day.After(a.EndDate)
}

// decisions lists the allowed changes of the stored status. A cancelled authorization can be
// reinstated; a granted one cannot become pending again.
var decisions = map[Status][]Status{
	Pending:   {Pending, Active, Cancelled},
	Active:    {Active, Cancelled},
	Cancelled: {Cancelled, Active},
}

// Reservation holds units of one authorization for one purpose. Invariant: Consumed + Released ≤
// Units. [Reservation.OpenAt] defines when it is open.
//
// Its JSON form is part of a stored response, which has the id of the authorization itself.
type Reservation struct {
	OrganizationID  uuid.UUID `gorm:"primaryKey" json:"-"`
	AuthorizationID uuid.UUID `gorm:"primaryKey" json:"-"`
	ID              uuid.UUID `gorm:"primaryKey"`
	Sequence        int64     // of the entry that created it; defines the order by age
	Units           int
	Consumed        int `gorm:"column:consumed_units" json:",omitempty"`
	Released        int `gorm:"column:released_units" json:",omitempty"`
	ServiceDate     calendar.Date
	ExpiresAt       *time.Time `json:",omitempty"` // nil: it does not expire
	AppointmentID   *uuid.UUID `json:",omitempty"` // only this appointment can settle it; nil: any caller
	Reference       *string    `json:",omitempty"` // set by the caller
	CreatedAt       time.Time
	UpdatedAt       time.Time
}

// Left returns the number of units that the reservation still holds.
func (r Reservation) Left() int { return r.Units - r.Consumed - r.Released }

// EntryKind is the kind of a ledger entry.
type EntryKind string

// The kinds of ledger entries. Available is Total − Used − Scheduled.
const (
	Reserve EntryKind = "reserve" // available → scheduled
	Release EntryKind = "release" // scheduled → available, by request
	Expire  EntryKind = "expire"  // scheduled → available, because a hold expired
	Consume EntryKind = "consume" // scheduled → used
	Reverse EntryKind = "reverse" // used → available: takes back a consumption, because its session was corrected
	Adjust  EntryKind = "adjust"  // the total grows, or shrinks if the units are negative
)

// Entry is one entry of the append-only ledger of one authorization.
type Entry struct {
	OrganizationID  uuid.UUID `gorm:"primaryKey"`
	AuthorizationID uuid.UUID `gorm:"primaryKey"`
	Sequence        int64     `gorm:"primaryKey;autoIncrement:false"` // 1, 2, 3, … without a gap
	Kind            EntryKind
	Units           int // positive; the signed change of the total for Adjust
	ReservationID   *uuid.UUID
	ServiceDate     calendar.Date
	Corrects        *int64 // of a Reverse: the sequence number of the consumption that it takes back
	OperationID     uuid.UUID
	ActorID         uuid.UUID
	RequestID       string
	Reason          *string
	TotalAfter      int // the counters after the entry
	UsedAfter       int
	ScheduledAfter  int
	OccurredAt      time.Time
	PreviousHash    Hash
	Hash            Hash // see [Entry.computeHash]
}

// After returns the counters after the entry.
func (e Entry) After() Balance { return Balance{e.TotalAfter, e.UsedAfter, e.ScheduledAfter} }

// View is an authorization as of today: with its computed status, and with the units of expired
// holds counted as available.
type View struct {
	Authorization
	Status Status
}

func (a Authorization) viewOn(today calendar.Date) View {
	return View{Authorization: a, Status: a.StatusOn(today)}
}

func equal[T comparable](a, b *T) bool {
	return a == b || a != nil && b != nil && *a == *b
}

func fieldUnits(name string, least int) fault.Field {
	return fault.Field{Field: name, Code: "range", Message: fmt.Sprintf("must be between %d and %d", least, MaxUnits)}
}

func (a Authorization) key() record.Key { return record.Of(a.OrganizationID, a.ID) }
