package appointments

import (
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/fault"
)

// Series is the record of appointments that were booked with one recurrence rule. Each of them can
// also be changed individually.
type Series struct {
	OrganizationID uuid.UUID
	ID             uuid.UUID
	RecurrenceRule string
	CreatedBy      uuid.UUID
	CreatedAt      time.Time
}

// Scope selects the appointments of a series to which a change applies.
type Scope string

// The scopes. For an appointment without a series, all scopes mean that appointment.
const (
	ScopeOne       Scope = "one"       // this appointment alone; the default
	ScopeFollowing Scope = "following" // this one and later ones
	ScopeAll       Scope = "all"       // all appointments of the series
)

func (s Scope) several() bool { return s == ScopeFollowing || s == ScopeAll }

// Occurrence is the result of a request for one appointment of a series.
type Occurrence struct {
	StartTime     time.Time  `json:"startTime"`
	EndTime       time.Time  `json:"endTime"`
	AppointmentID *uuid.UUID `json:"appointmentId"` // The booked appointment. Null if it is not booked.
	// The units of all patients. In a transfer, the units of the patient whose authorization
	// changes.
	Units int `json:"units"`
	// The effect of a change of weekdays on the appointment.
	Action OccurrenceAction `json:"action,omitempty"`
	// The rules that the occurrence breaks. If it is empty, the occurrence is accepted.
	Reasons []fault.Reason `json:"reasons"`
}
