package appointments

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/modules/directory"
	"omnirapeutic/platform/command"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/httpx"
	"omnirapeutic/platform/permission"
)

func (s *BookingService) clockRoutes() []httpx.Route {
	return []httpx.Route{
		{
			Method: http.MethodPost, Path: "/appointments/:id/start",
			Permission: permission.AppointmentStart, RecordScopes: appointmentOwners.Scopes(),
			Name: "startAppointment", Summary: "Start an appointment",
			Description: "Records that the appointment began at `startTime`; default: now. The time must be within the " +
				"organization's `earlyStartMinutes` before the booked start, or later, and before the booked end. The units stay " +
				"reserved until the appointment is completed. Without `startTime` it is the clock-in of electronic visit " +
				"verification.",
			Refusals: []*fault.Error{ErrNotFound, ErrTransition, ErrStartTooEarly, ErrStartTooLate},
			Endpoint: httpx.Handle(http.StatusOK, s.handleStart),
		},
		{
			Method: http.MethodPost, Path: "/appointments/:id/clock-out",
			Permission: permission.AppointmentStart, RecordScopes: appointmentOwners.Scopes(),
			Name: "clockOut", Summary: "Clock out of an appointment",
			Description: "Records the time at which the practitioner leaves, and optional coordinates, for electronic visit " +
				"verification. `POST /appointments/{id}/start` without `startTime` is the clock-in. The completion ends at the " +
				"clock-out unless it gives `endTime`. A repeated clock-out replaces the earlier one.",
			Refusals: []*fault.Error{ErrNotFound, ErrTransition},
			Endpoint: httpx.Handle(http.StatusOK, s.handleClockOut),
		},
	}
}

func (s *BookingService) statusRoutes() []httpx.Route {
	return []httpx.Route{
		{
			Method: http.MethodPost, Path: "/appointments/:id/reopen",
			Permission: permission.AppointmentStart, RecordScopes: appointmentOwners.Scopes(),
			Name: "reopenAppointment", Summary: "Undo a start, a cancellation or a no-show",
			Description: "Sets an appointment without a session back to SCHEDULED. After a start, its units stay reserved. " +
				"After a cancellation or a no-show, it is booked again: its time and units must be free. This also needs " +
				"`appointment:cancel` or `appointment:no-show`. The reason is in the appointment and in the audit trail.",
			Refusals: slices.Concat([]*fault.Error{ErrNotFound, ErrTransition, ErrMakeUpExceeds}, bookingRefusals()),
			Endpoint: httpx.Handle(http.StatusOK, s.handleReopen),
		},
		{
			Method: http.MethodPost, Path: "/appointments/:id/complete",
			Permission: permission.AppointmentComplete, RecordScopes: appointmentOwners.Scopes(),
			Name: "completeAppointment", Summary: "Complete an appointment",
			Description: "Writes the session, and consumes the units of its actual time, once. If it was shorter than booked, " +
				"the rest is released. If it was longer, more units are taken as far as available; the others become the " +
				"session's `unauthorizedUnits`. This also works after the authorization has ended, because documentation is " +
				"often late. Default of `startTime`: the time at which the appointment was started, or else the booked start. " +
				"Default of `endTime`: the clock-out, or else the booked end, or now if the appointment was started and that is " +
				"still to come. With `coordinates` the completion is the clock-out. Times on another date than booked, and a " +
				"session that is longer or shorter than booked by more than the organization's `confirmLengthFactor`, need `confirm: true`.",
			Refusals: []*fault.Error{ErrNotFound, ErrTransition, ErrUnconfirmed, ErrSessionOverlap},
			Endpoint: httpx.Handle(http.StatusOK, s.handleComplete),
		},
		{
			Method: http.MethodPost, Path: "/appointments/:id/cancel",
			Permission: permission.AppointmentCancel, RecordScopes: appointmentOwners.Scopes(),
			Name: "cancelAppointment", Summary: "Cancel an appointment",
			Description: "Releases the units that this appointment holds, and records the user, the time, the reason, the " +
				"party and whether the cancellation was late. An appointment with `makeUpFor` can make up for it. With `scope` " +
				"it also cancels the SCHEDULED appointments of its series that start later, or all of them.",
			Refusals: []*fault.Error{ErrNotFound, ErrTransition, ErrSeries},
			Endpoint: httpx.Handle(http.StatusOK, s.handleCancel),
		},
		{
			Method: http.MethodPost, Path: "/appointments/:id/no-show",
			Permission: permission.AppointmentNoShow, RecordScopes: appointmentOwners.Scopes(),
			Name: "noShowAppointment", Summary: "Record a no-show",
			Description: "Records that the patient did not come. It releases the units that the appointment holds, or " +
				"consumes them if `noShowConsumes` of the payer, or else of the organization, is set. Possible from the booked " +
				"start on; before that, the appointment can be cancelled.",
			Refusals: []*fault.Error{ErrNotFound, ErrTransition, ErrNotBegun},
			Endpoint: httpx.Handle(http.StatusOK, s.handleNoShow),
		},
	}
}

type startRequest struct {
	byID
	command.Keyed
	// The actual start, not in the future and at most 24 hours ago. The default is now.
	StartTime *time.Time `json:"startTime"`
	// The coordinates of the device, for electronic visit verification. They exclude startTime.
	Coordinates *devicePositionBody `json:"coordinates"`
}

func (s *BookingService) handleStart(ctx context.Context, in startRequest) (appointmentBody, error) {
	return answerOf(s.ClockIn(ctx, in.ID, in.StartTime, in.Coordinates.point(), in.Key))
}

type reopenRequest struct {
	byID
	command.Keyed
	Reason string `json:"reason" validate:"required,max=500,text"` // The reason of the change.
}

func (s *BookingService) handleReopen(ctx context.Context, in reopenRequest) (appointmentBody, error) {
	return answerOf(s.Reopen(ctx, in.ID, in.Reason, in.Key))
}

type cancelRequest struct {
	byID
	command.Keyed
	scoped
	// A text about the cancellation.
	Reason *string `json:"reason" validate:"omitempty,min=1,max=500,text"`
	// The side that cancels: the family, a practitioner, the practice, the payer, or none of them. The
	// default is the party of the cancellation reason.
	Party *directory.Party `json:"party" validate:"omitempty,oneof=FAMILY STAFF CLINIC PAYER OTHER"`
	// The reason, from the organization's list.
	CancellationReasonID *uuid.UUID `json:"cancellationReasonId"`
}

func (r cancelRequest) cancellation() *Cancellation {
	if r.Party == nil && r.CancellationReasonID == nil {
		return nil
	}
	return &Cancellation{r.Party, r.CancellationReasonID}
}

func (s *BookingService) handleCancel(ctx context.Context, in cancelRequest) (appointmentBody, error) {
	return answerOf(s.CancelBy(ctx, in.ID, in.cancellation(), in.Reason, Scope(in.Scope), in.Key))
}

type noShowRequest struct {
	byID
	command.Keyed
	Reason *string `json:"reason" validate:"omitempty,min=1,max=500,text"` // The reason of the no-show.
}

func (s *BookingService) handleNoShow(ctx context.Context, in noShowRequest) (appointmentBody, error) {
	return answerOf(s.NoShow(ctx, in.ID, in.Reason, in.Key))
}

type completeRequest struct {
	byID
	command.Keyed
	StartTime *time.Time `json:"startTime"`                                // The actual start.
	EndTime   *time.Time `json:"endTime"`                                  // The actual end, not in the future.
	Narrative *string    `json:"narrative" validate:"omitempty,max=20000"` // The narrative of the session.
	// Whether the times are right although they differ considerably from the booked ones.
	Confirm bool `json:"confirm"`
	// The patients who were absent, or who came late or left early. All others attended the session.
	Patients []attendanceBody `json:"patients" validate:"omitempty,max=20,dive"`
	// The reason to accept an overlap with another session. This needs `session:accept-overlap`.
	OverlapReason *string `json:"overlapReason" validate:"omitempty,min=1,max=500,text"`
	// The coordinates of the device. The completion is then the clock-out, and ends now. They exclude endTime.
	Coordinates *devicePositionBody `json:"coordinates"`
}

// attendanceBody is a patient's presence in a session.
type attendanceBody struct {
	PatientID uuid.UUID `json:"patientId" validate:"required"`
	Attended  *bool     `json:"attended"` // Whether the patient came. The default is `true`.
	// The time at which the patient came. The default is the start of the session.
	StartTime *time.Time `json:"startTime"`
	// The time at which the patient left. The default is the end of the session.
	EndTime *time.Time `json:"endTime"`
}

type completeAnswer struct {
	command.Replayed `json:"-"`

	Session     sessionBody     `json:"session"`     // The session.
	Appointment appointmentBody `json:"appointment"` // The completed appointment.
}

func (s *BookingService) handleComplete(ctx context.Context, in completeRequest) (completeAnswer, error) {
	c := Completion{
		Start: in.StartTime, End: in.EndTime, Narrative: in.Narrative, Confirm: in.Confirm, Overlap: in.OverlapReason,
		ClockOut: in.Coordinates.point(),
	}
	for _, p := range in.Patients {
		c.Patients = append(c.Patients, Attendance{p.PatientID, p.Attended, p.StartTime, p.EndTime})
	}
	o, err := s.Complete(ctx, in.ID, c, in.Key)
	answer := completeAnswer{Replayed: command.Replayed(o.Replayed)}
	if err == nil {
		answer.Session, answer.Appointment = sessionBodyOf(*o.Session), bodyOf(o.Appointment)
	}
	return answer, err
}
