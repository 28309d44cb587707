// Package appointments manages the calendar: bookings of patients with practitioners, and the
// sessions that document them.
//
// An appointment holds units of its patients' authorizations. Each change updates the units, the
// appointment, the published events and the audit trail in one SERIALIZABLE transaction. This
// package opens the transaction, and the ledger of authorizations joins it. Pure functions
// (decide*.go) judge every request on the state that the transaction has read.
package appointments

import (
	"slices"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/modules/directory"
	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/record"
	"omnirapeutic/platform/scheduling"
)

// The limits of an appointment.
const (
	MaxLength        = 24 * time.Hour
	MaxPatients      = 20
	MaxPractitioners = 10
)

// Appointment is a booking of one service. It has one or more patients and one or more
// practitioners.
type Appointment struct {
	OrganizationID uuid.UUID
	ID             uuid.UUID
	ServiceCodeID  uuid.UUID
	Status         Status
	Span           `gorm:"embedded"`
	ServiceDate    calendar.Date // of the start, in the time zone of the place
	Notes          *string
	SeriesID       *uuid.UUID
	SessionID      *uuid.UUID // set when the appointment is completed
	StartedAt      *time.Time
	ReopenedAt     *time.Time // the last time that a start was undone
	ReopenedBy     *uuid.UUID
	ReopenReason   *string
	CancelledAt    *time.Time // the time of the cancellation or no-show
	CancelledBy    *uuid.UUID
	CancelReason   *string
	LateCancel     bool // less than the organization's notice hours before the start
	// CancellationParty is the side that cancelled; nil: not given.
	CancellationParty    *directory.Party `json:",omitempty"`
	CancellationReasonID *uuid.UUID       `json:",omitempty"`
	MakeUpFor            *uuid.UUID       `json:",omitempty"` // the missed appointment that it makes up for
	ExceedsMissedTime    bool             `json:",omitempty"` // its length was accepted, see [ErrMakeUpExceeds]
	CreatedBy            uuid.UUID
	Place                `gorm:"embedded"`
	Clocking             `gorm:"embedded"`
	Version              int // incremented by every change, starting at 1
	CreatedAt            time.Time
	UpdatedAt            time.Time

	Patients      []Participant `gorm:"-"` // at least one, in the order of the booking
	Practitioners []uuid.UUID   `gorm:"-"` // at least one, in the order of the booking; the first one leads
	Worked        *Span         `gorm:"-"` // the time of its session; nil until it is completed

	MakeUps []Appointment `gorm:"-" json:",omitempty"` // of a missed appointment; set by [ScheduleService.Get] only
}

// timeOf returns the time that a patient spent in the appointment: the patient's own times, or else
// the time that the appointment occupies.
func (a Appointment) timeOf(p Participant) Span {
	if p.Own != nil {
		return *p.Own
	}
	return a.Occupied()
}

func (a Appointment) key() record.Key { return record.Of(a.OrganizationID, a.ID) }

// Occupied returns the time that the appointment occupies: the worked time after completion, before
// that the booked time.
func (a Appointment) Occupied() Span {
	if a.Worked != nil {
		return *a.Worked
	}
	return a.Span
}

// times returns the start and the end of a span, or nil.
func (s *Span) times() (from, until *time.Time) {
	if s == nil {
		return nil, nil
	}
	return &s.Start, &s.End
}

// workedBy returns the times of a patient in the session, or nil before completion and for an absent
// patient.
func (a Appointment) workedBy(p Participant) *Span {
	switch {
	case a.Worked == nil || p.Absent:
		return nil
	case p.Own != nil:
		return p.Own
	default:
		return a.Worked
	}
}

// Participant is a patient's part in an appointment.
type Participant struct {
	PatientID       uuid.UUID
	AuthorizationID uuid.UUID
	ReservationID   *uuid.UUID // nil: its time has never been long enough for a unit
	Units           int        // of the booked time; after completion, of the actual time
	Minutes         int        // of the booked time; after completion, of the actual time
	UnitMinutes     int
	Rounding        scheduling.RoundingRule `gorm:"-"` // the rule by which the units were computed
	Consumption     *int64                  // the ledger entry by which its units were consumed; nil: none
	Absent          bool                    // after completion: the patient did not come
	Own             *Span                   `gorm:"-"` // the patient's own times in the session; nil: all of it
	Track           scheduling.Track
	Code            string               // of the service
	Modifiers       scheduling.Modifiers // of the claim line
}

// Span is a time from Start, included, to End, excluded.
type Span struct {
	Start time.Time `gorm:"column:starts_at"`
	End   time.Time `gorm:"column:ends_at"`
}

// Minutes returns the elapsed minutes between start and end, regardless of clock changes.
func (s Span) Minutes() int { return int(s.End.Sub(s.Start) / time.Minute) }

// Overlaps reports whether the spans have an instant in common. Adjacent spans do not.
func (s Span) Overlaps(other Span) bool {
	return s.Start.Before(other.End) && other.Start.Before(s.End)
}

func (s Span) utc() Span { return Span{s.Start.UTC(), s.End.UTC()} }

// SessionChange is what made a version of a session.
type SessionChange string

// The changes of sessions.
const (
	completed SessionChange = "COMPLETED" // the first version
	narrated  SessionChange = "NARRATIVE" // the narrative changed; in old versions only
	corrected SessionChange = "CORRECTED"
	recounted SessionChange = "RECOUNTED" // its visit changed, and with it the units
	voided    SessionChange = "VOIDED"    // it did not take place; it has no units
)

// Session documents the actual time and units of an appointment. Its earlier versions are kept, see
// [SessionVersion].
type Session struct {
	OrganizationID    uuid.UUID
	ID                uuid.UUID
	AppointmentID     uuid.UUID
	Span              `gorm:"embedded"`
	ServiceDate       calendar.Date
	Narrative         *string
	NoteSections      NoteSections `gorm:"serializer:json"`
	NoteVersion       int          // incremented by every change of the text, starting at 1
	NoteChangedAt     *time.Time   // nil: CreatedAt
	NoteChangedBy     *uuid.UUID   // nil: CreatedBy
	UnauthorizedUnits int          // of all its patients
	CreatedBy         uuid.UUID
	Version           int
	Change            SessionChange
	ChangedBy         *uuid.UUID // nil: CreatedBy
	ChangeReason      *string
	VoidedAt          *time.Time
	ExportedAt        *time.Time // set while a payer has a claim for it
	OverlapReason     *string    // why it was accepted although it overlaps another session
	OverlapAcceptedBy *uuid.UUID
	Place             `gorm:"embedded"`
	CreatedAt         time.Time
	UpdatedAt         time.Time

	Patients      []SessionPatient `gorm:"-"`
	Practitioners []uuid.UUID      `gorm:"-"` // the same as of the appointment; the first one renders the service
	Addenda       []Addendum       `gorm:"-"` // oldest first
	Note          *NoteStatus      `gorm:"-"` // nil in the results of changes of the session
	// Service is the service code of the appointment; nil in the results of changes of the session.
	Service *uuid.UUID `gorm:"-" json:"-"`
}

// SessionPatient is a patient's part in a session.
type SessionPatient struct {
	PatientID         uuid.UUID
	AuthorizationID   uuid.UUID
	Minutes           int
	Units             int // of the actual time
	UnauthorizedUnits int // the units that the authorization did not cover
	UnitMinutes       int
	Rounding          scheduling.RoundingRule `gorm:"-"` // the rule by which the units were computed
	Consumption       *int64                  // the ledger entry by which its units were consumed; nil: none
	Attended          bool
	Modifiers         scheduling.Modifiers // of the claim line
	Own               *Span                `gorm:"-"` // the patient's own times; nil: the session's times
}

// SessionVersion is a version of a session: its present one, or an earlier one without clinical
// text. Its units are compared with the ledger by verifications.
type SessionVersion struct {
	Session
	ChangedAt time.Time
}

// Addendum is a signed text that was added to a session.
type Addendum struct {
	ID       uuid.UUID
	Text     string
	SignedBy uuid.UUID
	SignedAt time.Time
	Hash     []byte // SHA-256 of session, signer, time and text, see [Addendum.hashOf]
}

// indexOf returns the index of a patient, or -1.
func (a Appointment) indexOf(patient uuid.UUID) int {
	return slices.IndexFunc(a.Patients, func(p Participant) bool { return p.PatientID == patient })
}

func equal[T comparable](a, b *T) bool { return a == b || a != nil && b != nil && *a == *b }

func (a Appointment) clone() Appointment {
	a.Patients = slices.Clone(a.Patients)
	a.Practitioners = slices.Clone(a.Practitioners)
	return a
}
