package appointments

import (
	"slices"

	"github.com/google/uuid"

	"omnirapeutic/platform/fault"
)

// sameRoster reports whether the appointment has exactly these patients and authorizations.
func sameRoster(roster []BookedPatient, a Appointment) bool {
	return slices.EqualFunc(roster, a.Patients, func(wanted BookedPatient, p Participant) bool {
		return wanted.PatientID == p.PatientID && wanted.AuthorizationID == p.AuthorizationID
	})
}

// reschedule applies the change, and checks every rule again if the time, the staff or the
// authorization changes.
func (d bookingDraft) reschedule() error {
	before, c := d.before, d.change
	if err := c.Match.Check(before.Version); err != nil {
		d.refusal, _ = fault.From(err)
		return nil
	}
	c.Start.Apply(&d.a.Start)
	c.End.Apply(&d.a.End)
	c.Practitioners.Apply(&d.a.Practitioners)
	c.Notes.Apply(&d.a.Notes)
	d.a.Place = c.Place.of(d.a.Place)
	d.a.Span = d.a.Span.utc()
	moved := d.redates || c.moves(before) || c.Patients.Given && !sameRoster(c.Patients.Value, before)
	switch {
	case moved && before.Status != Scheduled:
		d.refusal = refuseTransition(before.Status, Scheduled)
	case moved:
		d.touch()
		return d.rebook()
	case !d.a.Place.equal(before.Place):
		d.replace()
	case !equal(d.a.Notes, before.Notes):
		d.touch()
	}
	return nil
}

// rebook checks an appointment again like a new booking. Every change of a time, staff,
// authorization or service date uses it.
func (d bookingDraft) rebook() error {
	d.locate()
	fieldErrors := slices.Concat(d.a.Span.fieldErrors(), d.unknown(), d.misplaced(d.a.ServiceDate))
	if authorization := d.change.AuthorizationID; authorization.Given {
		if len(d.a.Patients) > 1 {
			fieldErrors = append(fieldErrors, fault.Field{
				Field: "authorizationId", Code: "group", Message: "cannot be changed: the appointment has several patients",
			})
		} else if err := d.changeAuthorization(0, authorization.Value); err != nil {
			return err
		}
		fieldErrors = append(fieldErrors, d.mismatches(0, func(_ int, name string) string { return name })...)
	}
	if d.change.Patients.Given {
		invalid, err := d.changeRoster(d.change.Patients.Value)
		if err != nil {
			return err
		}
		fieldErrors = append(fieldErrors, invalid...)
	}
	if len(fieldErrors) > 0 {
		d.refusal = fault.InvalidFields(fieldErrors...)
		return nil
	}
	return d.bookTime()
}

// changeRoster replaces the patients. It releases the units of patients who are removed or get another
// authorization, and returns an error for each patient who does not match.
func (d bookingDraft) changeRoster(roster []BookedPatient) ([]fault.Field, error) {
	keeps := map[uuid.UUID]bool{}
	patients := make([]Participant, len(roster))
	for i, wanted := range roster {
		patients[i] = Participant{PatientID: wanted.PatientID, AuthorizationID: wanted.AuthorizationID}
		at := d.before.indexOf(wanted.PatientID)
		if at >= 0 && d.before.Patients[at].AuthorizationID == wanted.AuthorizationID {
			patients[i], keeps[wanted.PatientID] = d.before.Patients[at], true
		}
	}
	for _, p := range d.before.Patients {
		if keeps[p.PatientID] || p.ReservationID == nil {
			continue
		}
		if err := d.sheet.Release(d.claimFor(p, uuid.Nil, 0, d.before.ServiceDate)); err != nil {
			return nil, err
		}
	}
	d.a.Patients = patients
	var fieldErrors []fault.Field
	for i := range patients {
		fieldErrors = append(fieldErrors, d.mismatches(i, patientField)...)
	}
	return fieldErrors, nil
}

// changeAuthorization releases the patient's units on the old authorization if the new one differs.
func (d bookingDraft) changeAuthorization(i int, to uuid.UUID) error {
	p := &d.a.Patients[i]
	if p.AuthorizationID == to {
		return nil
	}
	if p.ReservationID != nil {
		if err := d.sheet.Release(d.claim(i, 0, d.a.ServiceDate)); err != nil {
			return err
		}
	}
	p.AuthorizationID, p.ReservationID = to, nil
	return nil
}

// replace changes the place of an appointment without moving it. That is possible until it is
// completed; a session is corrected instead.
func (d bookingDraft) replace() {
	if !d.before.Status.Open() {
		d.refusal = refuseTransition(d.before.Status, Scheduled)
		return
	}
	if fieldErrors := d.misplaced(d.a.ServiceDate); len(fieldErrors) > 0 {
		d.refusal = fault.InvalidFields(fieldErrors...)
		return
	}
	d.setModifiers(d.a.ServiceDate)
	d.touch()
}

// moveUnits moves the patient's units to the other authorization. The appointment is decided like a
// new booking with that authorization, on the current date of its start.
func (d bookingDraft) moveUnits() error {
	i := d.a.patientOn(d.transfer.From)
	if err := d.changeAuthorization(i, d.transfer.To); err != nil {
		return err
	}
	d.touch()
	return d.rebook()
}
