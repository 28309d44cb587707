package appointments

import (
	"slices"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/fault"
)

// The refusals of this module. Those of a booking come with reasons: every rule
// that stands against it, those of the authorization among them.
var (
	// ErrNotFound: no such appointment in the caller's organization.
	ErrNotFound = fault.Define(fault.NotFound, "appointment-not-found", "There is no such appointment.")
	// ErrSessionNotFound: no such session in the caller's organization.
	ErrSessionNotFound = fault.Define(fault.NotFound, "session-not-found", "There is no such session.")
	// ErrTransition comes with [Transition].
	ErrTransition = fault.Define(fault.Conflict, "appointment-transition", "The appointment's status does not allow that.").Carrying(Transition{}).
			Advising("Show the appointment anew: somebody else was faster. `allowed` lists where it can go from here.")
	// ErrNotBegun comes with [NotBegun].
	ErrNotBegun = fault.Define(fault.Conflict, "appointment-not-begun", "The appointment has not begun, so nobody has missed it yet.").Carrying(NotBegun{}).
			Advising("Offer it from `startTime` on; until then an appointment can be cancelled.")
	// ErrStartTooEarly carries [TooEarly].
	ErrStartTooEarly = fault.Define(fault.Conflict, "start-too-early", "It is too early to start the appointment.").
				Carrying(TooEarly{}).
				Advising("Offer the start from `startableFrom` on. The organization's `earlyStartMinutes` sets how early that is.")
	// ErrStartTooLate carries [TooLate].
	ErrStartTooLate = fault.Define(fault.Conflict, "start-too-late", "The appointment is over, so it cannot be started now.").
			Carrying(TooLate{}).
			Advising("Ask for the actual start and send it as `startTime`, at most 24 hours back. Or complete the appointment with " +
			"its times: `POST /appointments/{id}/complete`.")
	// ErrUnconfirmed carries [Unconfirmed].
	ErrUnconfirmed = fault.Define(fault.Conflict, "session-unconfirmed", "The session's times differ much from the booked times.").
			Carrying(Unconfirmed{}).
			Advising("Show both times and ask whether they are right. Then send the same request with `confirm: true`, under " +
			"another `Idempotency-Key`.")
	// ErrPractitionerOverlap comes with [PractitionerOverlap].
	ErrPractitionerOverlap = fault.Define(fault.Conflict, "practitioner-overlap", "The practitioner has another appointment at that time.").Carrying(PractitionerOverlap{}).
				Advising("Choose a time outside `startTime` to `endTime`, or another practitioner.")
	// ErrPatientOverlap comes with [PatientOverlap].
	ErrPatientOverlap = fault.Define(fault.Conflict, "patient-overlap", "The patient has another appointment at that time that cannot run beside this one.").Carrying(PatientOverlap{}).
				Advising("Choose a time outside `startTime` to `endTime`; which services may run together is in `GET /service-pairs`.")
	// ErrCredentialMissing comes with [Credentials].
	ErrCredentialMissing = fault.Define(fault.Conflict, "credential-missing", "The practitioner holds none of the credentials that the service asks for.").Carrying(Credentials{}).
				Advising("Choose a practitioner who holds one of `required` on `serviceDate`.")
	// ErrPractitionerInactive comes with [Practitioner].
	ErrPractitionerInactive = fault.Define(fault.Conflict, "practitioner-inactive", "The practitioner is not active.").Carrying(Practitioner{}).
				Advising("Choose another practitioner.")
	// ErrSessionLocked comes with [Locked].
	ErrSessionLocked = fault.Define(fault.Conflict, "session-locked", "The session cannot be changed any more.").Carrying(Locked{}).
				Advising("Add an addendum: `POST /sessions/{id}/addenda`.")
)

// Transition are the details of [ErrTransition].
type Transition struct {
	From    Status   `json:"from"`
	To      Status   `json:"to"`
	Allowed []Status `json:"allowed"`
}

// refuseTransition says what the appointment is, and what it can become. A change
// of its time is from SCHEDULED to SCHEDULED.
func refuseTransition(from, to Status) *fault.Error {
	details := Transition{from, to, transitions[from]}
	if from == to || to == Scheduled {
		return ErrTransition.With(details, "The appointment is %s; only a SCHEDULED one can be changed.", from)
	}
	return ErrTransition.With(details, "The appointment is %s and cannot become %s.", from, to)
}

// refuseReopen returns an error with the appointment's current status.
func refuseReopen(from Status) *fault.Error {
	return ErrTransition.With(Transition{from, Scheduled, transitions[from]},
		"The appointment is %s; only an appointment that is IN_PROGRESS can be reopened.", from)
}

// NotBegun are the details of [ErrNotBegun].
type NotBegun struct {
	Start time.Time `json:"startTime"`
}

// TooEarly are the details of [ErrStartTooEarly].
type TooEarly struct {
	Start         time.Time `json:"startTime"` // the booked start
	StartableFrom time.Time `json:"startableFrom"`
}

// TooLate are the details of [ErrStartTooLate].
type TooLate struct {
	End time.Time `json:"endTime"` // the booked end
}

// How a session's times can differ much from the booked ones.
const (
	otherDate   = "other-date"
	otherLength = "other-length"
)

// Unconfirmed are the details of [ErrUnconfirmed].
type Unconfirmed struct {
	Differences []string  `json:"differences"` // other-date, other-length
	BookedStart time.Time `json:"bookedStartTime"`
	BookedEnd   time.Time `json:"bookedEndTime"`
	Start       time.Time `json:"startTime"` // the session's
	End         time.Time `json:"endTime"`
}

// Conflicting is an appointment that stands against another one.
type Conflicting struct {
	AppointmentID uuid.UUID `json:"appointmentId"`
	StartTime     time.Time `json:"startTime"`
	EndTime       time.Time `json:"endTime"`
}

// PractitionerOverlap are the details of [ErrPractitionerOverlap].
type PractitionerOverlap struct {
	PractitionerID uuid.UUID `json:"practitionerId"`
	Conflicting
}

// PatientOverlap are the details of [ErrPatientOverlap].
type PatientOverlap struct {
	PatientID uuid.UUID `json:"patientId"`
	Conflicting
}

// Credentials are the details of [ErrCredentialMissing].
type Credentials struct {
	PractitionerID uuid.UUID     `json:"practitionerId"`
	ServiceDate    calendar.Date `json:"serviceDate"`
	Required       []string      `json:"required"` // any of these is enough
}

// Practitioner are the details of [ErrPractitionerInactive].
type Practitioner struct {
	PractitionerID uuid.UUID `json:"practitionerId"`
}

// Locked are the details of [ErrSessionLocked].
type Locked struct {
	LockedAt time.Time `json:"lockedAt"`
}

// precedence is the order in which reasons are told, by their codes: first what no
// other time of that day would help with.
var precedence = []string{
	"authorization-not-found", "outside-authorization-dates", "authorization-not-active",
	"practitioner-inactive", "credential-missing", "practitioner-overlap", "patient-overlap",
	"insufficient-units", "cap-exceeded",
}

// refusalOf returns the refusal for rules that failed, nil where none did.
func refusalOf(reasons []*fault.Error) *fault.Error {
	if len(reasons) == 0 {
		return nil
	}
	slices.SortStableFunc(reasons, func(a, b *fault.Error) int {
		return slices.Index(precedence, a.Code()) - slices.Index(precedence, b.Code())
	})
	return reasons[0].Among(reasons)
}
