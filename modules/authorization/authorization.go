// Package authorization keeps the account book of authorized units: what an
// insurer granted, what appointments hold, what sessions have used.
//
// Every change of units is an [Operation] that [decide] judges from the state of
// one authorization, in one SERIALIZABLE transaction: accepted, it moves the
// counters, a [Reservation], and writes entries into an append-only, hash-chained
// ledger; refused, it changes nothing. An operation has an id; repeated with the
// same id it gets the same answer and takes effect once.
package authorization

import (
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/calendar"
)

// MaxUnits is the most units that one authorization or one operation may name.
// Real ones stay below a few thousand; the bound keeps typing errors and
// overflows out.
const MaxUnits = 10_000_000

// Status of an authorization. Pending, Active and Cancelled are decisions and
// are stored; the others follow from the calendar and the counters and are
// computed whenever they are read, so that they are never out of date.
type Status string

// The states, see [Authorization.StatusOn].
const (
	Pending   Status = "PENDING"   // asked for, not yet granted
	Active    Status = "ACTIVE"    // granted, within its dates, units left to reserve
	Cancelled Status = "CANCELLED" // withdrawn
	Upcoming  Status = "UPCOMING"  // granted, its first day is still to come
	Expired   Status = "EXPIRED"   // granted, its last day is over
	Exhausted Status = "EXHAUSTED" // granted, within its dates, nothing left to reserve
)

// Authorization is an insurer's grant of units of one service for one patient
// between two dates, both of them included, in the organization's time zone.
type Authorization struct {
	OrganizationID uuid.UUID `gorm:"primaryKey"`
	ID             uuid.UUID `gorm:"primaryKey"`
	PatientID      uuid.UUID
	InsuranceID    *uuid.UUID
	ServiceCodeID  uuid.UUID
	AuthNumber     *string // the payer's number; absent while pending
	Balance
	Caps      Caps     `gorm:"embedded;embeddedPrefix:cap_"`
	Booked    Bookings `gorm:"column:booked_by_date"` // nil: no cap counts by date
	StartDate calendar.Date
	EndDate   calendar.Date
	Decision  Status `gorm:"column:status"` // the stored state: Pending, Active or Cancelled
	Notes     *string
	Version   int // counts every change, starting with 1
	CreatedAt time.Time
	UpdatedAt time.Time

	InitialUnits int        // what Total was before any adjustment
	LastSequence int64      // of the newest entry of its ledger; 0: it has none
	LastHash     Hash       // of the newest entry, or what stands before the first
	NextExpiry   *time.Time // no open hold expires before; nil: there is none
}

// Balance are the counters of an authorization, in units.
// Always: 0 ≤ Used, 0 ≤ Scheduled, Used + Scheduled ≤ Total.
type Balance struct {
	Total     int `gorm:"column:total_units"`     // granted
	Used      int `gorm:"column:used_units"`      // consumed by sessions
	Scheduled int `gorm:"column:scheduled_units"` // reserved for what has not happened yet
}

// Available returns how many units can be reserved, never less than 0.
func (b Balance) Available() int { return max(0, b.Total-b.Used-b.Scheduled) }

// StatusOn returns the state on a day of the organization's calendar.
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

// Covers reports whether a service on that day falls within the dates.
func (a Authorization) Covers(day calendar.Date) bool {
	return !day.Before(a.StartDate) && !day.After(a.EndDate)
}

// decisions lists to which stored state each stored state may change. A
// cancelled authorization can be reinstated; a granted one does not become
// pending again.
var decisions = map[Status][]Status{
	Pending:   {Pending, Active, Cancelled},
	Active:    {Active, Cancelled},
	Cancelled: {Cancelled, Active},
}

// Reservation holds units of one authorization for one purpose.
// Always: Consumed + Released ≤ Units. [Reservation.OpenAt] defines when it is open.
//
// As JSON it stands in what is remembered of an operation, which says itself on what
// authorization it is.
type Reservation struct {
	OrganizationID  uuid.UUID `gorm:"primaryKey" json:"-"`
	AuthorizationID uuid.UUID `gorm:"primaryKey" json:"-"`
	ID              uuid.UUID `gorm:"primaryKey"`
	Sequence        int64     // of the entry that made it: the order of age
	Units           int
	Consumed        int `gorm:"column:consumed_units" json:",omitempty"`
	Released        int `gorm:"column:released_units" json:",omitempty"`
	ServiceDate     calendar.Date
	ExpiresAt       *time.Time `json:",omitempty"` // nil: it does not expire
	AppointmentID   *uuid.UUID `json:",omitempty"` // settled only through this appointment, where there is one
	Reference       *string    `json:",omitempty"` // the caller's own
	CreatedAt       time.Time
	UpdatedAt       time.Time
}

// Left returns how many units it still holds.
func (r Reservation) Left() int { return r.Units - r.Consumed - r.Released }

// EntryKind says what an entry of the ledger did with its units.
type EntryKind string

// What an entry does: available is Total − Used − Scheduled.
const (
	Reserve EntryKind = "reserve" // available → scheduled
	Release EntryKind = "release" // scheduled → available, because somebody said so
	Expire  EntryKind = "expire"  // scheduled → available, because a hold's time was over
	Consume EntryKind = "consume" // scheduled → used
	Adjust  EntryKind = "adjust"  // the total grows, or shrinks where units are negative
)

// Entry is one line of the append-only ledger of one authorization.
type Entry struct {
	OrganizationID  uuid.UUID `gorm:"primaryKey"`
	AuthorizationID uuid.UUID `gorm:"primaryKey"`
	Sequence        int64     `gorm:"primaryKey;autoIncrement:false"` // 1, 2, 3, … without a gap
	Kind            EntryKind
	Units           int // positive; the signed change of the total for Adjust
	ReservationID   *uuid.UUID
	ServiceDate     calendar.Date
	OperationID     uuid.UUID
	ActorID         uuid.UUID
	RequestID       string
	Reason          *string
	TotalAfter      int // the counters once the entry is applied
	UsedAfter       int
	ScheduledAfter  int
	OccurredAt      time.Time
	PreviousHash    Hash
	Hash            Hash // see [Entry.computeHash]
}

// After returns the counters once the entry is applied.
func (e Entry) After() Balance { return Balance{e.TotalAfter, e.UsedAfter, e.ScheduledAfter} }
