package appointments

import (
	"github.com/google/uuid"

	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/record"
)

// Missed reports whether the appointment did not take place, so that it can be made up for.
func (a Appointment) Missed() bool { return a.Status == Cancelled || a.Status == NoShow }

// MissedTime is the time that a patient missed, and how much of it is made up.
type MissedTime struct {
	PatientID uuid.UUID
	Missed    Amount // as booked
	MadeUp    Amount // by completed make-ups
	Planned   Amount // by make-ups that are still open
}

// Amount is a time in minutes, and the units that it has.
type Amount struct{ Minutes, Units int }

// Left returns the part that is neither made up nor planned. It is never negative.
func (m MissedTime) Left() Amount {
	return Amount{
		Minutes: max(m.Missed.Minutes-m.MadeUp.Minutes-m.Planned.Minutes, 0),
		Units:   max(m.Missed.Units-m.MadeUp.Units-m.Planned.Units, 0),
	}
}

// count adds a patient's part in a make-up. A make-up that was missed, and an absent patient, count nothing.
func (m *MissedTime) count(makeUp Appointment) {
	i := makeUp.indexOf(m.PatientID)
	if i < 0 || makeUp.Patients[i].Absent {
		return
	}
	part := Amount{makeUp.Patients[i].Minutes, makeUp.Patients[i].Units}
	switch {
	case makeUp.Status == Completed:
		m.MadeUp = m.MadeUp.plus(part)
	case makeUp.Status.Open():
		m.Planned = m.Planned.plus(part)
	}
}

func (a Amount) plus(b Amount) Amount { return Amount{a.Minutes + b.Minutes, a.Units + b.Units} }

// MissedTimes returns the missed time of each patient of a missed appointment, from its make-ups.
func (a Appointment) MissedTimes() []MissedTime {
	all := make([]MissedTime, len(a.Patients))
	for i, p := range a.Patients {
		all[i] = MissedTime{PatientID: p.PatientID, Missed: Amount{p.Minutes, p.Units}}
		for _, makeUp := range a.MakeUps {
			all[i].count(makeUp)
		}
	}
	return all
}

// missedBy returns the missed appointment that a make-up names, with all its make-ups but this one, as
// the earlier requests of the batch left them. It reports whether the appointment exists.
func (s *records) missedBy(makeUp Appointment) (Appointment, bool) {
	key := record.Of(makeUp.OrganizationID, *makeUp.MakeUpFor)
	missed, exists := s.appointments[key]
	if !exists {
		if missed, exists = s.missed[key]; !exists {
			return Appointment{}, false
		}
	}
	missed.MakeUps = nil
	add := func(a Appointment) {
		if a.OrganizationID == key.OrganizationID && a.MakeUpFor != nil && *a.MakeUpFor == key.ID && a.ID != makeUp.ID {
			missed.MakeUps = append(missed.MakeUps, a)
		}
	}
	for other, a := range s.missed {
		if _, current := s.appointments[other]; !current {
			add(a)
		}
	}
	for _, a := range s.appointments {
		add(a)
	}
	return missed, true
}

// notMissed returns an error unless the appointment that a booking makes up for was missed by the same patients.
// A make-up itself cannot be made up for.
func (d *draft) notMissed() []fault.Field {
	if d.a.MakeUpFor == nil {
		return nil
	}
	missed, exists := d.missedBy(d.a)
	refused := func(message string) []fault.Field {
		return []fault.Field{{Field: "makeUpFor", Code: "reference", Message: message}}
	}
	switch {
	case !exists:
		return refused("does not exist")
	case !missed.Missed():
		return refused("must be a cancelled appointment or a no-show")
	case missed.MakeUpFor != nil:
		return refused("is a make-up itself: name the appointment that it makes up for")
	}
	for _, p := range d.a.Patients {
		if missed.indexOf(p.PatientID) < 0 {
			return refused("belongs to another patient")
		}
	}
	return nil
}

// overMissedTime returns a reason for each patient whose make-ups would be longer than the missed
// appointment, unless that was accepted.
func (d bookingDraft) overMissedTime() []*fault.Error {
	decided := d.kind == book || d.kind == reschedule || d.kind == reopen
	if d.a.MakeUpFor == nil || d.a.ExceedsMissedTime || !decided {
		return nil
	}
	missed, _ := d.missedBy(d.a)
	var reasons []*fault.Error
	for _, m := range missed.MissedTimes() {
		i := d.a.indexOf(m.PatientID)
		if i < 0 || d.a.Patients[i].Minutes <= m.Left().Minutes {
			continue
		}
		reasons = append(reasons, ErrMakeUpExceeds.With(
			MakeUpExcess{missed.ID, m.PatientID, m.Missed.Minutes, m.Left().Minutes, d.a.Patients[i].Minutes},
			"%d of the %d missed minutes are left to make up, and this appointment has %d.",
			m.Left().Minutes, m.Missed.Minutes, d.a.Patients[i].Minutes))
	}
	return reasons
}

// attribute records the party and the reason of a cancellation. The party defaults to the reason's.
func (d *draft) attribute() *fault.Error {
	if d.cancellation == nil {
		return nil
	}
	d.a.CancellationParty, d.a.CancellationReasonID = d.cancellation.Party, d.cancellation.ReasonID
	if d.a.CancellationReasonID == nil {
		return nil
	}
	reason, exists := d.reasons[d.named(*d.a.CancellationReasonID)]
	if !exists || !reason.Active {
		message := "does not exist"
		if exists {
			message = "is no longer in use"
		}
		return fault.InvalidFields(fault.Field{Field: "cancellationReasonId", Code: "reference", Message: message})
	}
	if d.a.CancellationParty == nil {
		d.a.CancellationParty = &reason.Party
	}
	return nil
}

// noticeMinutes returns the minutes between the cancellation and the booked start, negative after the
// start, or nil if the appointment is not cancelled.
func (a Appointment) noticeMinutes() *int {
	if a.Status != Cancelled || a.CancelledAt == nil {
		return nil
	}
	return new(int(a.Start.Sub(*a.CancelledAt).Minutes()))
}
