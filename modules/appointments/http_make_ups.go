package appointments

import (
	"time"

	"github.com/google/uuid"
)

// missedTimeBody is the missed time of an appointment that did not take place.
type missedTimeBody struct {
	Patients []missedPatientBody `json:"patients"` // The missed time of each patient.
	MakeUps  []makeUpBody        `json:"makeUps"`  // The appointments that make up for it, sorted by start.
}

// missedPatientBody is the time that a patient missed.
type missedPatientBody struct {
	PatientID      uuid.UUID `json:"patientId"`
	MissedMinutes  int       `json:"missedMinutes"`  // The booked minutes.
	MissedUnits    int       `json:"missedUnits"`    // The booked units.
	MadeUpMinutes  int       `json:"madeUpMinutes"`  // The minutes of completed make-ups.
	MadeUpUnits    int       `json:"madeUpUnits"`    // The units of completed make-ups.
	PlannedMinutes int       `json:"plannedMinutes"` // The minutes of open make-ups.
	PlannedUnits   int       `json:"plannedUnits"`   // The units of open make-ups.
	LeftMinutes    int       `json:"leftMinutes"`    // The minutes that are neither made up nor planned.
	LeftUnits      int       `json:"leftUnits"`      // The units that are neither made up nor planned.
	patientReference
}

// makeUpBody is an appointment that makes up for a missed one.
type makeUpBody struct {
	AppointmentID uuid.UUID `json:"appointmentId"`
	Status        Status    `json:"status"` // The status of the make-up.
	StartTime     time.Time `json:"startTime"`
	EndTime       time.Time `json:"endTime"`
}

func missedTimeBodyOf(a Appointment) *missedTimeBody {
	if !a.Missed() {
		return nil
	}
	b := &missedTimeBody{Patients: []missedPatientBody{}, MakeUps: []makeUpBody{}}
	for _, m := range a.MissedTimes() {
		left := m.Left()
		b.Patients = append(b.Patients, missedPatientBody{
			m.PatientID, m.Missed.Minutes, m.Missed.Units, m.MadeUp.Minutes, m.MadeUp.Units,
			m.Planned.Minutes, m.Planned.Units, left.Minutes, left.Units,
			patientReference{},
		})
	}
	for _, m := range a.MakeUps {
		b.MakeUps = append(b.MakeUps, makeUpBody{m.ID, m.Status, m.Start, m.End})
	}
	return b
}
