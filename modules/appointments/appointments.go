// Package appointments keeps the calendar: bookings of patients with practitioners,
// and the sessions that become of them.
//
// An appointment holds units of its patients' authorizations. Whatever happens to
// it, the units, the appointment, what is told of it and what is recorded of it
// change in one SERIALIZABLE transaction or not at all: this package opens the
// transaction, and the account book ([Units]) joins it. Every request is judged by
// pure functions (decide*.go) from what one transaction has read.
package appointments

import (
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/scheduling"
)

// The bounds of one appointment.
const (
	MaxLength        = 24 * time.Hour
	MaxPatients      = 20
	MaxPractitioners = 10
)

// Appointment is a booking of one service: of one patient with one practitioner,
// or of a group, or with several practitioners.
type Appointment struct {
	OrganizationID uuid.UUID
	ID             uuid.UUID
	ServiceCodeID  uuid.UUID
	Status         Status
	Span           `gorm:"embedded"`
	ServiceDate    calendar.Date // of the start, in the organization's time zone
	Notes          *string
	SeriesID       *uuid.UUID
	SessionID      *uuid.UUID // once it is completed
	StartedAt      *time.Time
	ReopenedAt     *time.Time // the last time that a start was undone
	ReopenedBy     *uuid.UUID
	ReopenReason   *string
	CancelledAt    *time.Time // or found not to have taken place
	CancelledBy    *uuid.UUID
	CancelReason   *string
	LateCancel     bool // less than the organization's hours before the start
	CreatedBy      uuid.UUID
	Version        int // counts every change, starting with 1
	CreatedAt      time.Time
	UpdatedAt      time.Time

	Patients      []Participant `gorm:"-"` // at least one, in the order in which they were named
	Practitioners []uuid.UUID   `gorm:"-"` // likewise; the first one leads
	Worked        *Span         `gorm:"-"` // the time of its session; nil until it is completed
}

// Occupied returns the time that the appointment occupies: the worked time once it is completed,
// before that the booked time.
func (a Appointment) Occupied() Span {
	if a.Worked != nil {
		return *a.Worked
	}
	return a.Span
}

// workedTimes returns the times of its session; nil if there is none yet.
func (a Appointment) workedTimes() (from, until *time.Time) {
	if a.Worked == nil {
		return nil, nil
	}
	return &a.Worked.Start, &a.Worked.End
}

// Participant is a patient's part in an appointment.
type Participant struct {
	PatientID       uuid.UUID
	AuthorizationID uuid.UUID
	ReservationID   *uuid.UUID // nil: its time has never been long enough for a unit
	Units           int        // those of the booked time; of a completed appointment, of the actual time
	Minutes         int        // likewise
	UnitMinutes     int
	Rounding        scheduling.RoundingRule `gorm:"-"` // by which the units were computed
	Lane            scheduling.Lane
	Code            string // of the service
}

// Span is a time from its start up to, and without, its end.
type Span struct {
	Start time.Time `gorm:"column:starts_at"`
	End   time.Time `gorm:"column:ends_at"`
}

// Minutes returns how many minutes have passed between start and end, whatever
// clocks on walls did meanwhile.
func (s Span) Minutes() int { return int(s.End.Sub(s.Start) / time.Minute) }

// Overlaps reports whether the two have an instant in common: back to back they do not.
func (s Span) Overlaps(other Span) bool {
	return s.Start.Before(other.End) && other.Start.Before(s.End)
}

func (s Span) utc() Span { return Span{s.Start.UTC(), s.End.UTC()} }

// Session is what really took place of an appointment.
type Session struct {
	OrganizationID    uuid.UUID
	ID                uuid.UUID
	AppointmentID     uuid.UUID
	Span              `gorm:"embedded"`
	ServiceDate       calendar.Date
	Narrative         *string
	UnauthorizedUnits int // of all its patients
	CreatedBy         uuid.UUID
	Version           int
	CreatedAt         time.Time
	UpdatedAt         time.Time

	Patients      []SessionPatient `gorm:"-"`
	Practitioners []uuid.UUID      `gorm:"-"` // those of the appointment
	Addenda       []Addendum       `gorm:"-"` // the oldest first
}

// SessionPatient is a patient's part in a session.
type SessionPatient struct {
	PatientID         uuid.UUID
	AuthorizationID   uuid.UUID
	Minutes           int
	Units             int // of the actual time
	UnauthorizedUnits int // those of them that the authorization did not cover
	UnitMinutes       int
	Rounding          scheduling.RoundingRule `gorm:"-"` // by which the units were computed
}

// Addendum is what was added to a session, and signed.
type Addendum struct {
	ID       uuid.UUID
	Text     string
	SignedBy uuid.UUID
	SignedAt time.Time
	Hash     []byte // SHA-256 over session, text, signer and time, see [hashOf]
}
