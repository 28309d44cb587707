package appointments

import (
	"slices"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/scheduling"
)

// The errors of this module. An error of a booking has reasons: every rule that the booking would
// break, including the rules of the authorization.
var (
	// ErrNotFound is returned if the caller's organization has no such appointment, or it is
	// outside the caller's record scope.
	ErrNotFound = fault.Define(fault.NotFound, "appointment-not-found", "Appointment not found.")
	// ErrSessionNotFound is returned if the caller's organization has no such session, or it is
	// outside the caller's record scope.
	ErrSessionNotFound = fault.Define(fault.NotFound, "session-not-found", "Session not found.")
	// ErrTransition carries [Transition].
	ErrTransition = fault.Define(fault.Conflict, "appointment-transition",
		"The appointment's status does not allow that.").
		Carrying(Transition{}).AsReason().
		Advising("Reload the appointment: another request has changed it. `allowed` lists the statuses that it can " +
			"change to.")
	// ErrNotBegun carries [NotBegun].
	ErrNotBegun = fault.Define(fault.Conflict, "appointment-not-begun",
		"The appointment has not begun, so it cannot be a no-show yet.").
		Carrying(NotBegun{}).
		Advising("Offer this from `startTime` on. Until then, the appointment can be cancelled.")
	// ErrStartTooEarly carries [TooEarly].
	ErrStartTooEarly = fault.Define(fault.Conflict, "start-too-early", "It is too early to start the appointment.").
				Carrying(TooEarly{}).
				Advising("Offer the start from `startableFrom` on. The organization's `earlyStartMinutes` sets this time.")
	// ErrStartTooLate carries [TooLate].
	ErrStartTooLate = fault.Define(fault.Conflict, "start-too-late",
		"The appointment is over, so it cannot be started now.").
		Carrying(TooLate{}).
		Advising("Ask for the actual start and send it as `startTime`, at most 24 hours back. Or complete the appointment " +
			"with its times: `POST /appointments/{id}/complete`.")
	// ErrUnconfirmed carries [Unconfirmed].
	ErrUnconfirmed = fault.Define(fault.Conflict, "session-unconfirmed",
		"The session's times differ considerably from the booked times.").
		Carrying(Unconfirmed{}).
		Advising("Show both times and ask whether they are right. Then send the same request with `confirm: true`, under " +
			"another `Idempotency-Key`.")
	// ErrPractitionerOverlap carries [PractitionerOverlap].
	ErrPractitionerOverlap = fault.Define(fault.Conflict, "practitioner-overlap",
		"The practitioner has another appointment at that time.").
		Carrying(PractitionerOverlap{}).
		Advising("Choose a time outside `startTime` to `endTime`, or another practitioner.").
		ListingReasons()
	// ErrPractitionerBusy carries [PractitionerBusy].
	ErrPractitionerBusy = fault.Define(fault.Conflict, "practitioner-busy",
		"The practitioner is not free at that time.").
		Carrying(PractitionerBusy{}).
		Advising("Choose a time outside `startTime` to `endTime`, or delete the calendar entry `calendarEntryId`.").
		ListingReasons()
	// ErrEntryNotFound is returned if the caller's organization has no such calendar entry, or it is outside the
	// caller's record scope.
	ErrEntryNotFound = fault.Define(fault.NotFound, "calendar-entry-not-found", "Calendar entry not found.")
	// ErrPatientOverlap carries [PatientOverlap].
	ErrPatientOverlap = fault.Define(
		fault.Conflict, "patient-overlap",
		"The patient has another appointment at that time, and the two services cannot run together.",
	).Carrying(PatientOverlap{}).ListingReasons().
		Advising("Choose a time outside `startTime` to `endTime`. `GET /service-pairs` lists the services that may run " +
			"together.")
	// ErrBookingsStranded carries [StrandedBookings].
	ErrBookingsStranded = fault.Define(fault.Conflict, "bookings-stranded",
		"Appointments are still booked on the authorization.").
		Carrying(StrandedBookings{}).
		Advising("Show `bookings` and ask the user how to handle them. Then set `strandedBookings` to CANCEL, MOVE or " +
			"KEEP.")
	// ErrGroup carries [Group].
	ErrGroup = fault.Define(
		fault.Conflict, "group-appointment",
		"The appointment has several patients and cannot be cancelled because of one of them.",
	).Carrying(Group{}).AsReason().
		Advising("Move the bookings instead, or decide on the appointment `appointmentId` first.")
	// ErrCredentialMissing carries [Credentials].
	ErrCredentialMissing = fault.Define(
		fault.Conflict, "credential-missing", "The practitioner has none of the credentials that the service requires.",
	).Carrying(Credentials{}).ListingReasons().
		Advising("Choose a practitioner with one of the `required` credentials on `serviceDate`.")
	// ErrPractitionerInactive carries [Practitioner].
	ErrPractitionerInactive = fault.Define(fault.Conflict, "practitioner-inactive", "The practitioner is not active.").
				Carrying(Practitioner{}).
				Advising("Choose another practitioner.").
				ListingReasons()
	// ErrMakeUpExceeds carries [MakeUpExcess].
	ErrMakeUpExceeds = fault.Define(fault.Conflict, "make-up-exceeds-missed-time",
		"The make-ups would be longer than the missed appointment.").
		Carrying(MakeUpExcess{}).
		Advising("Book at most `leftMinutes`, or send `exceedsMissedTime: true` under another `Idempotency-Key`.").
		ListingReasons()
	// ErrSessionOverlap carries [SessionOverlaps].
	ErrSessionOverlap = fault.Define(fault.Conflict, "session-overlap",
		"The session overlaps another session of the practitioner or the patient.").
		Carrying(SessionOverlaps{}).
		Advising("Correct the times. If both sessions really took place, send `overlapReason`, with the permission " +
			"`session:accept-overlap` and under another `Idempotency-Key`.")
	// ErrSessionVoided is returned for a change of a session that was voided.
	ErrSessionVoided = fault.Define(fault.Conflict, "session-voided", "The session was voided.").
				Advising("Reload the appointment. It may have a new session, or can be completed again.")
	// ErrNotToday carries [NotToday].
	ErrNotToday = fault.Define(fault.Forbidden, "correction-too-late",
		"You can correct your own sessions on the day of the session only.").
		Carrying(NotToday{}).
		Advising("Ask a supervisor or the billing office to correct the session.")
	// ErrSessionSigned is returned for a correction by a user who can correct own sessions only. It
	// carries [Closed].
	ErrSessionSigned = fault.Define(fault.Conflict, "session-signed",
		"The session is signed, so you can no longer correct or void it.").
		Carrying(Closed{}).
		Advising("Ask a supervisor or the billing office to correct the session. It needs new signatures then.")
	// ErrNoteClosed carries [Closed].
	ErrNoteClosed = fault.Define(fault.Conflict, "note-closed",
		"The note is signed, so its text can no longer be changed.").
		Carrying(Closed{}).
		Advising("Add an addendum: `POST /sessions/{id}/addenda`. A correction of the session opens the text again.")
	// ErrNoteChanged carries [PresentText].
	ErrNoteChanged = fault.Define(fault.Conflict, "note-changed",
		"The note was changed after it was shown for signing.").
		Carrying(PresentText{}).
		Advising("Read the note again, show it, and sign with its `textHash`.")
	// ErrNoteIncomplete carries [Incomplete].
	ErrNoteIncomplete = fault.Define(fault.Conflict, "note-incomplete", "The note is not complete.").
				Carrying(Incomplete{}).
				Advising("Show `missingSections` and the length, and let the user complete the note.")
	// ErrAlreadySigned carries [Closed].
	ErrAlreadySigned = fault.Define(fault.Conflict, "already-signed", "The session has a signature of this role.").
				Carrying(Closed{}).
				Advising("Reload the session.")
	// ErrNotSigner carries [SignerRole].
	ErrNotSigner = fault.Define(fault.Forbidden, "not-a-signer", "You cannot sign this session in this role.").
			Carrying(SignerRole{}).
			Advising("Offer TECHNICIAN to practitioners of the session, and SUPERVISOR to other practitioners.")
)

// StrandedBookings has the details of [ErrBookingsStranded].
type StrandedBookings struct {
	Bookings []strandedBookingBody `json:"bookings"` // The stranded bookings, sorted by start.
	Units    int                   `json:"units"`    // The number of units that these bookings hold.
}

// Group has the details of [ErrGroup].
type Group struct {
	AppointmentID uuid.UUID `json:"appointmentId"`
}

// Transition has the details of [ErrTransition].
type Transition struct {
	From    Status   `json:"from"`    // The present status.
	To      Status   `json:"to"`      // The requested status.
	Allowed []Status `json:"allowed"` // The statuses to which the present one can change.
}

// refuseTransition returns [ErrTransition] with the current status and the allowed ones. A change
// of the time counts as a change from SCHEDULED to SCHEDULED.
func refuseTransition(from, to Status) *fault.Error {
	details := Transition{from, to, transitions[from]}
	if from == to || to == Scheduled {
		return ErrTransition.With(details, "The appointment is %s. Only a SCHEDULED appointment can be changed.", from)
	}
	return ErrTransition.With(details, "The appointment is %s and cannot become %s.", from, to)
}

// refuseReopen returns [ErrTransition] with the current status.
func refuseReopen(from Status) *fault.Error {
	return ErrTransition.With(Transition{from, Scheduled, transitions[from]},
		"The appointment is %s. Only an IN_PROGRESS, CANCELLED or NO_SHOW appointment can be reopened.", from)
}

// SessionOverlaps has the details of [ErrSessionOverlap].
type SessionOverlaps struct {
	Overlaps []SessionOverlap `json:"overlaps"` // The overlaps, one for each practitioner and patient.
}

// SessionOverlap is the time that two sessions have in common.
type SessionOverlap struct {
	AppointmentID uuid.UUID `json:"appointmentId"`
	// The session of the other appointment. Null if it is in progress.
	SessionID      *uuid.UUID `json:"sessionId"`
	PractitionerID *uuid.UUID `json:"practitionerId"` // The practitioner of both sessions. Null if a patient overlaps.
	PatientID      *uuid.UUID `json:"patientId"`      // The patient of both sessions. Null if a practitioner overlaps.
	StartTime      time.Time  `json:"startTime"`      // The start of the common time.
	EndTime        time.Time  `json:"endTime"`        // The end of the common time.
	Minutes        int        `json:"minutes"`        // The number of common minutes.
}

// NotToday has the details of [ErrNotToday].
type NotToday struct {
	ServiceDate calendar.Date `json:"serviceDate"` // The date of the session.
}

// NotBegun has the details of [ErrNotBegun].
type NotBegun struct {
	Start time.Time `json:"startTime"`
}

// TooEarly has the details of [ErrStartTooEarly].
type TooEarly struct {
	Start         time.Time `json:"startTime"`     // The booked start.
	StartableFrom time.Time `json:"startableFrom"` // The time from which the appointment can be started.
}

// TooLate has the details of [ErrStartTooLate].
type TooLate struct {
	End time.Time `json:"endTime"` // The booked end.
}

// The ways in which a session's times can differ considerably from the booked times.
const (
	otherDate   = "other-date"
	otherLength = "other-length"
)

// Unconfirmed has the details of [ErrUnconfirmed].
type Unconfirmed struct {
	// The differences: `other-date`, `other-length`.
	Differences []string `json:"differences"`
	// The booked start.
	BookedStart time.Time `json:"bookedStartTime"`
	// The booked end.
	BookedEnd time.Time `json:"bookedEndTime"`
	// The start of the session.
	Start time.Time `json:"startTime"`
	// The end of the session.
	End time.Time `json:"endTime"`
}

// Conflicting is an appointment that overlaps another one.
type Conflicting struct {
	AppointmentID uuid.UUID `json:"appointmentId"`
	StartTime     time.Time `json:"startTime"`
	EndTime       time.Time `json:"endTime"`
}

// PractitionerOverlap has the details of [ErrPractitionerOverlap].
type PractitionerOverlap struct {
	PractitionerID uuid.UUID `json:"practitionerId"`
	Conflicting
}

// PatientOverlap has the details of [ErrPatientOverlap].
type PatientOverlap struct {
	PatientID uuid.UUID `json:"patientId"`
	Conflicting
}

// PractitionerBusy has the details of [ErrPractitionerBusy].
type PractitionerBusy struct {
	PractitionerID  uuid.UUID `json:"practitionerId"`
	CalendarEntryID uuid.UUID `json:"calendarEntryId"`
	Kind            EntryKind `json:"kind"` // The kind of the calendar entry.
	StartTime       time.Time `json:"startTime"`
	EndTime         time.Time `json:"endTime"`
}

// MakeUpExcess has the details of [ErrMakeUpExceeds].
type MakeUpExcess struct {
	AppointmentID uuid.UUID `json:"appointmentId"` // The missed appointment.
	PatientID     uuid.UUID `json:"patientId"`
	MissedMinutes int       `json:"missedMinutes"` // The minutes of the missed appointment.
	// The minutes that are neither made up nor planned, without this appointment.
	LeftMinutes int `json:"leftMinutes"`
	Minutes     int `json:"minutes"` // The minutes of this appointment.
}

// Credentials has the details of [ErrCredentialMissing].
type Credentials struct {
	PractitionerID uuid.UUID     `json:"practitionerId"`
	ServiceDate    calendar.Date `json:"serviceDate"`
	// The qualifications of which the practitioner needs one.
	Required []string `json:"required"`
}

// Practitioner has the details of [ErrPractitionerInactive].
type Practitioner struct {
	PractitionerID uuid.UUID `json:"practitionerId"`
}

// Closed has the details of [ErrSessionSigned], [ErrNoteClosed] and [ErrAlreadySigned].
type Closed struct {
	Role     scheduling.Signer `json:"role"`     // The role of the signer.
	SignedAt time.Time         `json:"signedAt"` // The time of the signature.
}

// PresentText has the details of [ErrNoteChanged].
type PresentText struct {
	TextHash string `json:"textHash"` // The hash of the present text.
}

// Incomplete has the details of [ErrNoteIncomplete].
type Incomplete struct {
	Length          int                      `json:"length"`          // The characters of the note.
	MinLength       int                      `json:"minLength"`       // The required characters.
	MissingSections []scheduling.NoteSection `json:"missingSections"` // The required sections without a text.
}

// SignerRole has the details of [ErrNotSigner].
type SignerRole struct {
	Role scheduling.Signer `json:"role"` // The requested role.
}

// precedence is the order of reasons, by code. Reasons that another time of that day would not
// resolve come first.
var precedence = []string{
	"authorization-not-found", "outside-authorization-dates", "authorization-not-active",
	"practitioner-inactive", "credential-missing", "make-up-exceeds-missed-time",
	"practitioner-overlap", "practitioner-busy", "patient-overlap",
	"insufficient-units", "cap-exceeded",
}

// refusalOf returns the first reason, with all reasons attached, or nil if there are none.
func refusalOf(reasons []*fault.Error) *fault.Error {
	if len(reasons) == 0 {
		return nil
	}
	slices.SortStableFunc(reasons, func(a, b *fault.Error) int {
		return slices.Index(precedence, a.Code()) - slices.Index(precedence, b.Code())
	})
	return reasons[0].Among(reasons)
}

// SeriesRefusal has the details of [ErrSeries].
type SeriesRefusal struct {
	Occurrences []Occurrence `json:"occurrences"` // All occurrences, including the ones that break no rule.
}

// ErrSeries carries [SeriesRefusal].
var ErrSeries = fault.Define(
	fault.Conflict, "series-refused", "Some appointments of the series break a rule, so none was booked or changed.",
).Carrying(SeriesRefusal{}).
	Advising("Show `occurrences` with their `reasons`. With `allowPartial`, a booking skips the occurrences that have " +
		"reasons.")

// ErrServiceDatesRefused carries [MoveRefusal].
var ErrServiceDatesRefused = fault.Define(fault.Conflict, "service-dates-refused",
	"Some appointments cannot have their new service date, so no date has changed.").
	Carrying(MoveRefusal{}).
	Advising("Show `occurrences` with their `reasons`. Reschedule or cancel those first, or keep the service dates.")

// ServiceDateChange is an appointment whose service date differs in a new time zone.
type ServiceDateChange struct {
	AppointmentID  uuid.UUID     `json:"appointmentId"`
	StartTime      time.Time     `json:"startTime"`
	EndTime        time.Time     `json:"endTime"`
	ServiceDate    calendar.Date `json:"serviceDate"`    // The service date as booked.
	NewServiceDate calendar.Date `json:"newServiceDate"` // The date of the start in the new time zone.
	// The number of units that the booking holds for the date.
	Units int `json:"units"`
}

// ServiceDateChanges has the details of [ErrServiceDates].
type ServiceDateChanges struct {
	Bookings []ServiceDateChange `json:"bookings"` // The first 1,000 appointments, in the order of their times.
	Total    int                 `json:"total"`    // The number of such appointments.
}

// ErrServiceDates carries [ServiceDateChanges].
var ErrServiceDates = fault.Define(fault.Conflict, "service-dates-change",
	"Appointments start on another date in the new time zone.").
	Carrying(ServiceDateChanges{}).
	Advising("Show `bookings`, ask whether their service dates should change, and send `serviceDates`: MOVE or KEEP.")

// MoveRefusal has the details of [ErrMove].
type MoveRefusal struct {
	Occurrences []Occurrence `json:"occurrences"` // All bookings, including the ones that break no rule.
}

// ErrMove carries [MoveRefusal].
var ErrMove = fault.Define(fault.Conflict, "move-refused",
	"Some bookings cannot move to the other authorization, so none was moved.").
	Carrying(MoveRefusal{}).
	Advising("Show `occurrences` with their `reasons`. Reschedule or cancel those, or move them to another " +
		"authorization. Set `from` to skip earlier bookings.")

// ErrNoPractitioner is returned if the caller's organization has no such practitioner, or the
// practitioner is outside the caller's record scope.
var ErrNoPractitioner = fault.Define(fault.NotFound, "availability-practitioner-not-found", "Practitioner not found.")

// The errors of calendar feeds.
var (
	// ErrFeedNotFound is returned for an unknown or revoked calendar feed, and for one of another
	// organization, so that callers cannot tell these apart.
	ErrFeedNotFound = fault.Define(fault.NotFound, "calendar-feed-not-found", "Calendar feed not found.").
			Advising("If it was revoked, create a new one.")
	// ErrNoOwner is returned for an unknown practitioner or patient of a new feed.
	ErrNoOwner = fault.Define(fault.NotFound, "calendar-owner-not-found", "Practitioner or patient not found.")
)
