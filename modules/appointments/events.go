package appointments

import (
	"context"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/outbox"
	"omnirapeutic/platform/permission"
	"omnirapeutic/platform/trail"
)

// The types of the events that this module publishes. Subscribers need [permission.AppointmentRead]. The data
// is an [AppointmentChange].
const (
	EventBooked      = "appointment.booked"
	EventRescheduled = "appointment.rescheduled"
	EventStarted     = "appointment.started"
	EventReopened    = "appointment.reopened"
	EventCompleted   = "appointment.completed"
	EventCancelled   = "appointment.cancelled"
	EventNoShow      = "appointment.no-show"
)

// EventTypes returns the types of all events that this module publishes.
func EventTypes() []outbox.Type {
	var all []outbox.Type
	for _, name := range []string{
		EventBooked, EventRescheduled, EventStarted, EventReopened, EventCompleted, EventCancelled, EventNoShow, EventReminder,
	} {
		all = append(all, outbox.Type{Name: name, Permission: permission.AppointmentRead})
	}
	return all
}

var eventOf = map[kind]string{
	book: EventBooked, reschedule: EventRescheduled, transfer: EventRescheduled,
	start: EventStarted, reopen: EventReopened, complete: EventCompleted, cancel: EventCancelled, noShow: EventNoShow,
}

// AppointmentChange is an appointment after a change. It leaves the system, so it does not identify
// patients.
type AppointmentChange struct {
	AppointmentID   uuid.UUID   `json:"appointmentId"`
	PractitionerIDs []uuid.UUID `json:"practitionerIds"`
	Status          Status      `json:"status"` // The status of the appointment.
	StartTime       time.Time   `json:"startTime"`
	EndTime         time.Time   `json:"endTime"`
	Version         int         `json:"version"`
}

func messageOf(r request, a Appointment) outbox.Message {
	return outbox.Message{
		OrganizationID: a.OrganizationID, Type: eventOf[r.kind], SubjectID: a.ID,
		Permission: permission.AppointmentRead, OccurredAt: a.UpdatedAt,
		Payload: AppointmentChange{
			AppointmentID: a.ID, PractitionerIDs: a.Practitioners, Status: a.Status, StartTime: a.Start, EndTime: a.End, Version: a.Version,
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
	SessionID       *uuid.UUID  `json:"sessionId,omitempty"`
	// Reason explains why units were moved or a start was undone. The appointment has the reason of
	// a cancellation.
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
	for i, p := range v.appointment.Patients {
		if r.transfer != nil && !r.transfer.concerns(p) {
			continue
		}
		e := trail.By(r.caller)
		e.Action, e.SubjectType, e.SubjectID = subjectAppointment+"."+string(r.kind), subjectAppointment, v.appointment.ID
		e.PatientID, e.OccurredAt = &p.PatientID, v.appointment.UpdatedAt
		if v.before.Version > 0 {
			e.Before = recordedOf(v.before, i)
		}
		after := recordedOf(v.appointment, i)
		if r.kind == transfer || r.kind == reopen {
			after.Reason = r.reason
		}
		e.After = after
		events = append(events, e)
	}
	return events
}

func recordedOf(a Appointment, i int) recorded {
	p := a.Patients[i]
	return recorded{
		Status: a.Status, StartTime: a.Start, EndTime: a.End, PractitionerIDs: a.Practitioners,
		AuthorizationID: p.AuthorizationID, Units: p.Units, LateCancel: a.LateCancel, SessionID: a.SessionID,
	}
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
