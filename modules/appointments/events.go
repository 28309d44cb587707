package appointments

import (
	"context"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/modules/directory"
	"omnirapeutic/platform/outbox"
	"omnirapeutic/platform/permission"
	"omnirapeutic/platform/trail"
)

// The types of the events about changes of appointments. Subscribers need [permission.AppointmentRead]. The
// data is an [AppointmentChange].
const (
	EventBooked      = "appointment.booked"
	EventRescheduled = "appointment.rescheduled"
	EventStarted     = "appointment.started"
	EventReopened    = "appointment.reopened"
	EventCompleted   = "appointment.completed"
	EventCancelled   = "appointment.cancelled"
	EventNoShow      = "appointment.no-show"
	EventClockedOut  = "appointment.clocked-out"
	EventCorrected   = "session.corrected"
	EventVoided      = "session.voided"
	EventRecounted   = "appointment.recounted" // its units changed because of another appointment of its visit
)

// EventTypes returns the types of all events that this module publishes.
func EventTypes() []outbox.Type {
	var all []outbox.Type
	for _, name := range []string{
		EventBooked, EventRescheduled, EventStarted, EventReopened, EventCompleted, EventCancelled, EventNoShow,
		EventClockedOut,
		EventCorrected, EventVoided, EventRecounted, EventReminder, EventEntryCreated, EventEntryDeleted,
	} {
		all = append(all, outbox.Type{Name: name, Permission: permission.AppointmentRead})
	}
	return append(all, outbox.Type{Name: EventSigned, Permission: permission.SessionRead})
}

var eventOf = map[kind]string{
	book: EventBooked, reschedule: EventRescheduled, transfer: EventRescheduled,
	start: EventStarted, reopen: EventReopened, complete: EventCompleted, cancel: EventCancelled, noShow: EventNoShow,
	clockOut: EventClockedOut,
	correct:  EventCorrected, void: EventVoided, recountUnits: EventRecounted,
}

// AppointmentChange is an appointment after a change. It leaves the system, so it does not identify
// patients.
type AppointmentChange struct {
	AppointmentID   uuid.UUID   `json:"appointmentId"`
	PractitionerIDs []uuid.UUID `json:"practitionerIds"` // The practitioners; the first one leads.
	Status          Status      `json:"status"`          // The status of the appointment.
	StartTime       time.Time   `json:"startTime"`
	EndTime         time.Time   `json:"endTime"`
	// The session of a completed appointment.
	SessionID *uuid.UUID `json:"sessionId,omitempty"`
	Version   int        `json:"version"`
}

func messageOf(r request, a Appointment) outbox.Message {
	return outbox.Message{
		OrganizationID: a.OrganizationID, Type: eventOf[r.kind], SubjectID: a.ID,
		Permission: permission.AppointmentRead, OccurredAt: a.UpdatedAt,
		Payload: AppointmentChange{
			AppointmentID: a.ID, PractitionerIDs: a.Practitioners, Status: a.Status, StartTime: a.Start, EndTime: a.End,
			SessionID: a.SessionID, Version: a.Version,
		},
	}
}

// recorded is the audit trail's record of an appointment: ids, times, statuses, numbers.
type recorded struct {
	Status          Status      `json:"status"`
	StartTime       time.Time   `json:"startTime"`
	EndTime         time.Time   `json:"endTime"`
	PractitionerIDs []uuid.UUID `json:"practitionerIds"`
	AuthorizationID uuid.UUID   `json:"authorizationId"`
	Units           int         `json:"units"`
	LateCancel      bool        `json:"lateCancel,omitempty"`
	// CancellationParty and CancellationReasonID say which side cancelled, and why.
	CancellationParty    *directory.Party `json:"cancellationParty,omitempty"`
	CancellationReasonID *uuid.UUID       `json:"cancellationReasonId,omitempty"`
	MakeUpFor            *uuid.UUID       `json:"makeUpFor,omitempty"`
	ClockedInAt          *time.Time       `json:"clockedInAt,omitempty"`
	ClockedOutAt         *time.Time       `json:"clockedOutAt,omitempty"`
	SessionID            *uuid.UUID       `json:"sessionId,omitempty"`
	UnauthorizedUnits    int              `json:"unauthorizedUnits,omitempty"`
	PlaceOfService       *string          `json:"placeOfService,omitempty"`
	Modifiers            string           `json:"modifiers,omitempty"` // separated by spaces
	LocationID           *uuid.UUID       `json:"locationId,omitempty"`
	// SupervisingPractitionerID is the practitioner who supervises the service.
	SupervisingPractitionerID *uuid.UUID `json:"supervisingPractitionerId,omitempty"`
	// Reason explains why units were moved, modifiers were given, an end was undone, or a session was corrected or voided.
	// The appointment has the reason of a cancellation.
	Reason *string `json:"reason,omitempty"`
}

// The subjects of audit events.
const (
	subjectAppointment = "appointment"
	subjectSession     = "session"
	subjectFeed        = "calendar-feed"
)

// showAppointments records that appointments are returned to the caller.
func showAppointments(ctx context.Context, all ...Appointment) {
	for _, a := range all {
		for _, p := range a.Patients {
			trail.Show(ctx, trail.Subject{Type: subjectAppointment, ID: a.ID, PatientID: p.PatientID})
		}
	}
}

// showSessions records that sessions are returned to the caller.
func showSessions(ctx context.Context, all ...Session) {
	for _, each := range all {
		for _, p := range each.Patients {
			trail.Show(ctx, trail.Subject{Type: subjectSession, ID: each.ID, PatientID: p.PatientID})
		}
	}
}

// trailOf returns the audit events of a change, one for each patient affected.
func trailOf(r request, v verdict) []trail.Event {
	var events []trail.Event
	for _, patient := range affected(v) {
		now, was := v.appointment.indexOf(patient), v.before.indexOf(patient)
		if r.transfer != nil && !r.transfer.concerns(v.appointment.Patients[now]) {
			continue
		}
		e := trail.By(r.caller)
		e.Action, e.SubjectType, e.SubjectID = subjectAppointment+"."+string(r.kind), subjectAppointment, v.appointment.ID
		if v.session != nil && r.kind != complete {
			e.Action, e.SubjectType, e.SubjectID = subjectSession+"."+string(r.kind), subjectSession, v.session.ID
		}
		e.PatientID, e.OccurredAt = &patient, v.appointment.UpdatedAt
		if was >= 0 {
			e.Before = recordedOf(v.before, was)
		}
		if now >= 0 {
			after := recordedOf(v.appointment, now)
			if v.session != nil {
				after.UnauthorizedUnits = v.session.Patients[now].UnauthorizedUnits
			}
			switch r.kind {
			case reschedule, transfer, reopen, correct, void, recountUnits:
				after.Reason = r.reason
			}
			e.After = after
		}
		events = append(events, e)
	}
	return events
}

// trailOfAttempt returns the audit events of a correction that has changed nothing. They have equal
// values before and after, and the reason. All other requests that change nothing have no events.
func trailOfAttempt(r request, v verdict, now time.Time) []trail.Event {
	if r.kind != correct || v.refusal != nil {
		return nil
	}
	events := trailOf(r, v)
	for i := range events {
		events[i].OccurredAt = now
	}
	return events
}

// affected returns the patients of an appointment, before and after a change.
func affected(v verdict) []uuid.UUID {
	var all []uuid.UUID
	for _, p := range v.appointment.Patients {
		all = append(all, p.PatientID)
	}
	for _, p := range v.before.Patients {
		if v.appointment.indexOf(p.PatientID) < 0 {
			all = append(all, p.PatientID)
		}
	}
	return all
}

func recordedOf(a Appointment, i int) recorded {
	p := a.Patients[i]
	span := a.Occupied()
	return recorded{
		Status: a.Status, StartTime: span.Start, EndTime: span.End, PractitionerIDs: a.Practitioners,
		AuthorizationID: p.AuthorizationID, Units: p.Units, LateCancel: a.LateCancel, SessionID: a.SessionID,
		ClockedInAt: a.ClockedInAt, ClockedOutAt: a.ClockedOutAt,
		PlaceOfService: a.PlaceOfService, Modifiers: string(p.Modifiers), LocationID: a.LocationID,
		SupervisingPractitionerID: a.SupervisingPractitionerID, CancellationParty: a.CancellationParty,
		CancellationReasonID: a.CancellationReasonID, MakeUpFor: a.MakeUpFor,
	}
}

// The types of the events about calendar entries. Subscribers need [permission.AppointmentRead]. The data is an
// [EntryChange].
const (
	EventEntryCreated = "calendar-entry.created"
	EventEntryDeleted = "calendar-entry.deleted"
)

// EntryChange is a calendar entry that was created or deleted.
type EntryChange struct {
	CalendarEntryID uuid.UUID   `json:"calendarEntryId"`
	Kind            EntryKind   `json:"kind"`            // The kind of time.
	PractitionerIDs []uuid.UUID `json:"practitionerIds"` // The practitioners.
	StartTime       time.Time   `json:"startTime"`
	EndTime         time.Time   `json:"endTime"`
}

// EventReminder is the type of the event that an appointment starts soon. Subscribers need
// [permission.AppointmentRead]. The data is an [AppointmentReminder]. Subscribers decide on recipients and
// channels.
const EventReminder = "appointment.reminder"

// AppointmentReminder is an appointment that starts soon. It leaves the system, so it does not
// identify people.
type AppointmentReminder struct {
	AppointmentID uuid.UUID `json:"appointmentId"`
	StartTime     time.Time `json:"startTime"`
	EndTime       time.Time `json:"endTime"`
	Version       int       `json:"version"`
	// The minutes between the reminder and the start, as configured.
	MinutesBefore int `json:"minutesBefore"`
}
