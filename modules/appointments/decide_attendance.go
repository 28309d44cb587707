package appointments

import (
	"fmt"

	"github.com/google/uuid"

	"omnirapeutic/platform/fault"
)

// attend applies the attendance of each patient to the draft's session, and returns an error for
// each field that is not possible. A patient without an entry attended the whole session.
func (d sessionDraft) attend(all []Attendance) []fault.Field {
	var fieldErrors []fault.Field
	seen := map[uuid.UUID]bool{}
	for i, entry := range all {
		at := d.a.indexOf(entry.PatientID)
		switch {
		case at < 0:
			fieldErrors = append(fieldErrors, fault.Field{
				Field: patientField(i, "patientId"), Code: "reference", Message: "is not a patient of the appointment",
			})
			continue
		case seen[entry.PatientID]:
			fieldErrors = append(fieldErrors, fault.Field{
				Field: patientField(i, "patientId"), Code: "duplicate", Message: "is given twice",
			})
			continue
		}
		seen[entry.PatientID] = true
		fieldErrors = append(fieldErrors, d.attendOne(&d.a.Patients[at], i, entry)...)
	}
	for _, p := range d.a.Patients {
		if !p.Absent {
			return fieldErrors
		}
	}
	return append(fieldErrors, fault.Field{
		Field: "patients", Code: "attended", Message: "must have a patient who attended: record a no-show instead",
	})
}

// attendOne applies one entry, which has the given index in the request.
func (d sessionDraft) attendOne(p *Participant, i int, entry Attendance) []fault.Field {
	p.Absent, p.Own = entry.absent(), nil
	if entry.Start == nil && entry.End == nil {
		return nil
	}
	if p.Absent {
		return []fault.Field{{
			Field: patientField(i, "attended"), Code: "excluded_with", Message: "must be true for a patient with own times",
		}}
	}
	own := d.session.Span
	if entry.Start != nil {
		own.Start = entry.Start.UTC()
	}
	if entry.End != nil {
		own.End = entry.End.UTC()
	}
	fieldErrors := own.fieldErrors()
	for j := range fieldErrors {
		fieldErrors[j].Field = patientField(i, fieldErrors[j].Field)
	}
	within := func(name string, outside bool) {
		if outside && len(fieldErrors) == 0 {
			fieldErrors = append(fieldErrors, fault.Field{
				Field: patientField(i, name), Code: "range",
				Message: fmt.Sprintf("must be within the session (%s)", localSpan(d.session.Span, d.zone)),
			})
		}
	}
	within("startTime", own.Start.Before(d.session.Start))
	within("endTime", own.End.After(d.session.End))
	if own != d.session.Span {
		p.Own = &own
	}
	return fieldErrors
}

// settleAbsent releases the units of an absent patient, or consumes the booked ones by
// the payer's rule, and writes the patient's part in the session.
func (d sessionDraft) settleAbsent(i int) error {
	p := &d.a.Patients[i]
	part := SessionPatient{
		PatientID: p.PatientID, AuthorizationID: p.AuthorizationID, UnitMinutes: p.UnitMinutes, Rounding: p.Rounding,
	}
	claim := d.claim(i, 0, d.session.ServiceDate)
	p.Minutes = d.a.Minutes()
	if d.noShowConsumes(*p, d.session.ServiceDate) {
		claim.Units = unitsOf(p.Rounding.Method, p.Minutes, p.UnitMinutes)
	}
	settled, err := d.sheet.Settle(claim)
	if err != nil {
		return err
	}
	p.Units, p.Consumption = claim.Units, settled.Entry
	if settled.Units > 0 {
		p.ReservationID = &claim.ReservationID
	}
	part.Units, part.UnauthorizedUnits, part.Consumption = claim.Units, settled.Missing, settled.Entry
	d.session.Patients[i] = part
	d.session.sumUnauthorized()
	return nil
}
