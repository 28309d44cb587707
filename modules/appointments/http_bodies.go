package appointments

import (
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/command"
	"omnirapeutic/platform/scheduling"
)

// roundingBody is the payer's rounding rule that was used.
type roundingBody struct {
	Method   scheduling.Rounding `json:"method"`
	StartsOn calendar.Date       `json:"startsOn"` // the first day on which the rule applies
}

// participantBody is a patient's part in an appointment.
type participantBody struct {
	PatientID       uuid.UUID    `json:"patientId"`
	AuthorizationID uuid.UUID    `json:"authorizationId"`
	ReservationID   *uuid.UUID   `json:"reservationId"` // null: its time has never been long enough for a unit
	Units           int          `json:"units"`         // of the booked time; after completion, of the actual time
	Minutes         int          `json:"minutes"`       // of the booked time; after completion, of the actual time
	UnitMinutes     int          `json:"unitMinutes"`   // the length of a unit
	Rounding        roundingBody `json:"rounding"`
}

// appointmentBody is an appointment in API responses.
type appointmentBody struct {
	command.Replayed `json:"-"`

	ID              uuid.UUID         `json:"id"`
	OrganizationID  uuid.UUID         `json:"organizationId"`
	PatientID       uuid.UUID         `json:"patientId"`       // the first of patients
	PractitionerID  uuid.UUID         `json:"practitionerId"`  // the first of practitionerIds
	AuthorizationID uuid.UUID         `json:"authorizationId"` // of the first patient
	Units           int               `json:"units"`           // of the first patient
	ServiceCodeID   uuid.UUID         `json:"serviceCodeId"`
	Status          Status            `json:"status"`
	StartTime       time.Time         `json:"startTime"`
	EndTime         time.Time         `json:"endTime"`
	ServiceDate     calendar.Date     `json:"serviceDate"` // of the start, in the organization's time zone
	Patients        []participantBody `json:"patients"`
	PractitionerIDs []uuid.UUID       `json:"practitionerIds"` // the first one leads
	Notes           *string           `json:"notes" needs:"appointment:read-notes"`
	SeriesID        *uuid.UUID        `json:"seriesId"`
	SessionID       *uuid.UUID        `json:"sessionId"` // set when the appointment is completed
	StartedAt       *time.Time        `json:"startedAt"`
	ReopenedAt      *time.Time        `json:"reopenedAt"` // the last time that a start was undone
	ReopenedBy      *uuid.UUID        `json:"reopenedBy"`
	ReopenReason    *string           `json:"reopenReason" needs:"appointment:read-notes"`
	CancelledAt     *time.Time        `json:"cancelledAt"` // the time of the cancellation or no-show
	CancelledBy     *uuid.UUID        `json:"cancelledBy"`
	CancelReason    *string           `json:"cancelReason" needs:"appointment:read-notes"`
	LateCancel      bool              `json:"lateCancel"`
	CreatedBy       uuid.UUID         `json:"createdBy"`
	Version         int               `json:"version"`
	CreatedAt       time.Time         `json:"createdAt"`
	UpdatedAt       time.Time         `json:"updatedAt"`

	// Occurrences has all requested appointments of a series: the accepted ones and, with
	// `allowPartial`, the refused ones.
	Occurrences []Occurrence `json:"occurrences,omitempty"`

	// Warnings are concerns about a booking that breaks no rule. They are returned when it is
	// booked or moved.
	Warnings []Warning `json:"warnings,omitempty"`
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
		ReopenedAt: a.ReopenedAt, ReopenedBy: a.ReopenedBy, ReopenReason: a.ReopenReason, CancelledAt: a.CancelledAt, CancelledBy: a.CancelledBy,
		CancelReason: a.CancelReason, LateCancel: a.LateCancel, CreatedBy: a.CreatedBy,
		Version: a.Version, CreatedAt: a.CreatedAt, UpdatedAt: a.UpdatedAt,
	}
	for _, p := range a.Patients {
		b.Patients = append(b.Patients, participantBody{
			p.PatientID, p.AuthorizationID, p.ReservationID, p.Units, p.Minutes, p.UnitMinutes, roundingBody{p.Rounding.Method, p.Rounding.StartsOn},
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
