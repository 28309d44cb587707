package appointments

import (
	"time"

	"github.com/google/uuid"

	"omnirapeutic/modules/directory"
	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/command"
	"omnirapeutic/platform/scheduling"
)

// roundingBody is the payer's rounding rule that was used.
type roundingBody struct {
	Method   scheduling.Rounding `json:"method"`   // The way in which minutes are rounded to units.
	StartsOn calendar.Date       `json:"startsOn"` // The first day on which the rule applies.
	Basis    scheduling.Basis    `json:"basis"`    // The sessions whose minutes are rounded together.
}

func roundingBodyOf(r scheduling.RoundingRule) roundingBody {
	return roundingBody{r.Method, r.StartsOn, r.Basis}
}

// participantBody is a patient's part in an appointment.
type participantBody struct {
	PatientID       uuid.UUID `json:"patientId"`
	AuthorizationID uuid.UUID `json:"authorizationId"`
	// The reservation of the units. Null if the time was never long enough for a unit.
	ReservationID *uuid.UUID `json:"reservationId"`
	// The units of the booked time. After completion, the units of the actual time.
	Units int `json:"units"`
	// The minutes of the booked time. After completion, the minutes of the actual time.
	Minutes     int          `json:"minutes"`
	UnitMinutes int          `json:"unitMinutes"` // The length of a unit in minutes.
	Rounding    roundingBody `json:"rounding"`    // The rounding rule that was used.
	Modifiers   []string     `json:"modifiers"`   // The modifiers of the claim line, in their order.
	participantReferences
}

// appointmentBody is an appointment in API responses.
type appointmentBody struct {
	command.Replayed `json:"-"`

	ID             uuid.UUID `json:"id"`
	OrganizationID uuid.UUID `json:"organizationId"`
	PatientID      uuid.UUID `json:"patientId"`      // The first of the patients.
	PractitionerID uuid.UUID `json:"practitionerId"` // The first of the practitioners.
	// The authorization of the first patient.
	AuthorizationID uuid.UUID `json:"authorizationId"`
	Units           int       `json:"units"` // The units of the first patient.
	ServiceCodeID   uuid.UUID `json:"serviceCodeId"`
	Status          Status    `json:"status"`    // The status of the appointment.
	StartTime       time.Time `json:"startTime"` // The booked start.
	EndTime         time.Time `json:"endTime"`   // The booked end.
	// The actual start of the session. Null until the appointment is completed.
	ActualStartTime *time.Time `json:"actualStartTime"`
	// The actual end of the session. Null until the appointment is completed.
	ActualEndTime *time.Time `json:"actualEndTime"`
	// The date of the start, in the time zone of the location or else of the organization.
	ServiceDate calendar.Date `json:"serviceDate"`
	// The patients with their authorizations and units.
	Patients []participantBody `json:"patients"`
	// The practitioners. The first one leads.
	PractitionerIDs []uuid.UUID `json:"practitionerIds"`
	Notes           *string     `json:"notes" needs:"appointment:read-notes"` // The notes of the organization.
	// The series of the appointment. Null if it belongs to none.
	SeriesID *uuid.UUID `json:"seriesId"`
	// The session of a completed appointment.
	SessionID *uuid.UUID `json:"sessionId"`
	// The actual start, once the appointment was started.
	StartedAt *time.Time `json:"startedAt"`
	// The time of the clock-in. Null: there was none.
	ClockedInAt *time.Time `json:"clockedInAt"`
	// The time of the clock-out. Null: there was none.
	ClockedOutAt *time.Time `json:"clockedOutAt"`
	// The last time that a start, a cancellation or a no-show was undone.
	ReopenedAt *time.Time `json:"reopenedAt"`
	ReopenedBy *uuid.UUID `json:"reopenedBy"` // The user who reopened the appointment.
	// The reason why the appointment was reopened.
	ReopenReason *string `json:"reopenReason" needs:"appointment:read-notes"`
	// The time of the cancellation or no-show.
	CancelledAt *time.Time `json:"cancelledAt"`
	// The user who cancelled the appointment or recorded the no-show.
	CancelledBy *uuid.UUID `json:"cancelledBy"`
	// The reason of the cancellation or no-show.
	CancelReason *string `json:"cancelReason" needs:"appointment:read-notes"`
	// Whether the cancellation was late.
	LateCancel bool `json:"lateCancel"`
	// The side that cancelled. Null: not given.
	CancellationParty *directory.Party `json:"cancellationParty"`
	// The reason of the cancellation, from the organization's list.
	CancellationReasonID *uuid.UUID `json:"cancellationReasonId"`
	// The minutes between the cancellation and the booked start; negative after the start. Null: not
	// cancelled.
	NoticeMinutes *int `json:"noticeMinutes"`
	// The missed appointment that this one makes up for. Null: none.
	MakeUpFor *uuid.UUID `json:"makeUpFor"`
	// Whether the make-ups may be longer than the missed appointment.
	ExceedsMissedTime bool `json:"exceedsMissedTime"`
	// The missed time of a cancelled appointment or a no-show, and its make-ups. Only a single appointment
	// has it.
	MissedTime *missedTimeBody `json:"missedTime,omitempty"`
	CreatedBy  uuid.UUID       `json:"createdBy"`
	placeBody
	Version   int       `json:"version"`
	CreatedAt time.Time `json:"createdAt"`
	UpdatedAt time.Time `json:"updatedAt"`

	// All requested appointments of a series: the accepted ones and, with `allowPartial`, the
	// refused ones.
	Occurrences []Occurrence `json:"occurrences,omitempty"`

	// The concerns about a booking that breaks no rule. They are returned when it is booked or
	// moved.
	Warnings []Warning `json:"warnings,omitempty"`
	appointmentReferences
}

// Location returns the path of the appointment.
func (b appointmentBody) Location() string { return "/api/v1/appointments/" + b.ID.String() }

// Revision returns the version, which the API sends as the ETag.
func (b appointmentBody) Revision() int { return b.Version }

func bodyOf(a Appointment) appointmentBody {
	b := appointmentBody{
		ID: a.ID, OrganizationID: a.OrganizationID, ServiceCodeID: a.ServiceCodeID, Status: a.Status,
		StartTime: a.Start, EndTime: a.End, ServiceDate: a.ServiceDate, PractitionerIDs: a.Practitioners, Notes: a.Notes,
		SeriesID: a.SeriesID, SessionID: a.SessionID, StartedAt: a.StartedAt,
		ClockedInAt: a.ClockedInAt, ClockedOutAt: a.ClockedOutAt,
		ReopenedAt: a.ReopenedAt, ReopenedBy: a.ReopenedBy, ReopenReason: a.ReopenReason, CancelledAt: a.CancelledAt,
		CancelledBy:  a.CancelledBy,
		CancelReason: a.CancelReason, LateCancel: a.LateCancel, CreatedBy: a.CreatedBy,
		CancellationParty: a.CancellationParty, CancellationReasonID: a.CancellationReasonID,
		NoticeMinutes: a.noticeMinutes(), MakeUpFor: a.MakeUpFor, ExceedsMissedTime: a.ExceedsMissedTime,
		Version: a.Version, CreatedAt: a.CreatedAt, UpdatedAt: a.UpdatedAt, placeBody: placeBodyOf(a.Place),
	}
	b.ActualStartTime, b.ActualEndTime = a.Worked.times()
	for _, p := range a.Patients {
		b.Patients = append(b.Patients, participantBody{
			PatientID: p.PatientID, AuthorizationID: p.AuthorizationID, ReservationID: p.ReservationID, Units: p.Units,
			Minutes: p.Minutes, UnitMinutes: p.UnitMinutes, Rounding: roundingBodyOf(p.Rounding),
			Modifiers: p.Modifiers.List(),
		})
	}
	if len(b.Patients) > 0 { // it has no patients if the request failed
		b.PatientID, b.AuthorizationID, b.Units = b.Patients[0].PatientID, b.Patients[0].AuthorizationID, b.Patients[0].Units
		b.PractitionerID = b.PractitionerIDs[0]
	}
	return b
}

func answerOf(o Outcome, err error) (appointmentBody, error) {
	b := bodyOf(o.Appointment)
	b.Replayed, b.Occurrences = command.Replayed(o.Replayed), o.Occurrences
	return b, err
}
