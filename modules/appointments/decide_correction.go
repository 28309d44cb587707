package appointments

import (
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/patch"
)

// Correction has the corrected fields of a session. Fields that are not given stay unchanged.
type Correction struct {
	Match         patch.Match // the versions of the session that it applies to
	Start, End    *time.Time
	Practitioners []uuid.UUID        // 1 to [MaxPractitioners]; the first one leads
	Patients      []CorrectedPatient // all patients of the session, 1 to [MaxPatients]
	Confirm       bool               // confirms times that differ considerably from the booked ones
	Overlap       *string            // the reason to accept an overlap with another session
	Place         PlaceChange
}

// CorrectedPatient is a patient of a corrected session. Attendance and times that are not given stay
// unchanged.
type CorrectedPatient struct {
	Attendance
	AuthorizationID *uuid.UUID // nil: unchanged; required for a patient who was not in the session
}

// check returns the errors of a correction that do not depend on stored state.
func (c Correction) check() error {
	var fieldErrors []fault.Field
	if c.Practitioners != nil {
		fieldErrors = staffErrors(c.Practitioners)
	}
	seen := map[uuid.UUID]bool{}
	for i, p := range c.Patients {
		if seen[p.PatientID] {
			fieldErrors = append(fieldErrors, fault.Field{
				Field: patientField(i, "patientId"), Code: "duplicate", Message: "is given twice",
			})
		}
		seen[p.PatientID] = true
	}
	return errorOf(fieldErrors)
}

// correctionDraft is a draft whose session is corrected.
type correctionDraft struct{ sessionDraft }

// correct replaces the content of the appointment's session. It takes back the units that were
// consumed, and consumes the units of the corrected session.
func (d correctionDraft) correct() error {
	session, ok := d.current()
	if !ok {
		return nil
	}
	if err := d.startVersion(corrected); err != nil {
		return err
	}
	span := session.Span
	if d.correction.Start != nil {
		span.Start = d.correction.Start.UTC()
	}
	if d.correction.End != nil {
		span.End = d.correction.End.UTC()
	}
	d.correctPlace()
	d.session.Span, d.session.ServiceDate = span, d.dateOf(span.Start)
	if d.correction.Practitioners != nil {
		d.a.Practitioners = d.correction.Practitioners
		d.session.Practitioners = d.a.Practitioners
	}
	d.a.Worked = &d.session.Span
	if d.refusal = d.refuseCorrection(session); d.refusal == nil {
		d.refusal = d.refuseOverlap(d.correction.Overlap)
	}
	if d.refusal != nil {
		return nil //nolint:nilerr // a refusal is the outcome, not a failure of deciding
	}
	d.measureWork()
	same := d.isSame(session)
	if !same || session.UnauthorizedUnits > 0 {
		d.touch()
		if err := d.ownClaims(func() error { return d.settleAgain(session) }); err != nil {
			return err
		}
	}
	if same && d.session.UnauthorizedUnits == session.UnauthorizedUnits { // nothing has been granted since
		d.session, d.a = &session, d.before
	}
	return nil
}

// refuseCorrection applies the corrected patients, and returns an error for records that do not
// exist or match, invalid times, and practitioners who may not render the service.
func (d correctionDraft) refuseCorrection(session Session) *fault.Error {
	fieldErrors := append(d.unknown(), d.misplaced(d.session.ServiceDate)...)
	if d.correction.Patients != nil {
		fieldErrors = append(fieldErrors, d.correctPatients()...)
	}
	for i, p := range d.a.Patients {
		if p.Own != nil && (p.Own.Start.Before(d.session.Start) || p.Own.End.After(d.session.End)) && len(fieldErrors) == 0 {
			fieldErrors = append(fieldErrors, fault.Field{
				Field: patientField(i, "startTime"), Code: "range", Message: fmt.Sprintf(
					"the patient's own times must be within the session (%s)", localSpan(d.session.Span, d.zone)),
			})
		}
	}
	if len(fieldErrors) > 0 {
		return fault.InvalidFields(fieldErrors...)
	}
	d.completion = Completion{Start: &d.session.Start, End: &d.session.End, Confirm: d.correction.Confirm}
	if d.session.Span != session.Span {
		if refusal := d.refuseTimes(d.session.Span); refusal != nil {
			return refusal
		}
	}
	if slices.Equal(d.a.Practitioners, d.before.Practitioners) && d.session.ServiceDate == session.ServiceDate {
		return nil
	}
	return refusalOf(d.unqualified(d.rules.ServiceCodes[d.named(d.a.ServiceCodeID)], d.session.ServiceDate))
}

// correctPatients replaces the patients, and returns an error for each that does not exist or does
// not match its authorization.
func (d correctionDraft) correctPatients() []fault.Field {
	var patients []Participant
	var fieldErrors []fault.Field
	usual := d.before.Patients[0]
	for i, c := range d.correction.Patients {
		p := Participant{PatientID: c.PatientID, UnitMinutes: usual.UnitMinutes, Track: usual.Track, Code: usual.Code}
		if at := d.before.indexOf(c.PatientID); at >= 0 {
			p = d.before.Patients[at]
		} else if c.AuthorizationID == nil {
			fieldErrors = append(fieldErrors, fault.Field{
				Field: patientField(i, "authorizationId"), Code: "required",
				Message: "is required for a patient who was not in the session",
			})
		}
		if c.AuthorizationID != nil {
			p.AuthorizationID = *c.AuthorizationID
		}
		if c.Attended != nil || c.Start != nil || c.End != nil {
			fieldErrors = append(fieldErrors, d.attendOne(&p, i, c.Attendance)...)
		}
		patients = append(patients, p)
	}
	if !slices.ContainsFunc(patients, func(p Participant) bool { return !p.Absent }) {
		fieldErrors = append(fieldErrors, fault.Field{
			Field: "patients", Code: "attended", Message: "must have a patient who attended: void the session instead",
		})
	}
	d.a.Patients = patients
	d.session.Patients = make([]SessionPatient, len(patients))
	for i, p := range patients {
		if p.AuthorizationID != uuid.Nil {
			fieldErrors = append(fieldErrors, d.mismatches(i, patientField)...)
		}
	}
	return fieldErrors
}

// isSame reports whether the corrected session equals the present one, apart from units that no
// authorization covered.
func (d correctionDraft) isSame(session Session) bool {
	if d.session.Span != session.Span || !slices.Equal(d.a.Practitioners, d.before.Practitioners) ||
		!d.session.Place.equal(session.Place) || !equal(d.session.OverlapReason, session.OverlapReason) ||
		len(d.a.Patients) != len(d.before.Patients) {
		return false
	}
	for i := range d.a.Patients {
		at, same := d.isSamePart(i, session)
		if !same || at != i || d.a.Patients[i].Modifiers != session.Patients[i].Modifiers {
			return false
		}
	}
	return true
}

// keeps returns the index of a patient in the present session, and whether the units stay consumed
// as they are.
func (d correctionDraft) keeps(i int, session Session) (at int, kept bool) {
	at, same := d.isSamePart(i, session)
	return at, same && session.Patients[at].UnauthorizedUnits == 0
}

// isSamePart returns the index of a patient in the present session, and whether the patient's part
// stays the same.
func (d correctionDraft) isSamePart(i int, session Session) (at int, same bool) {
	p := d.a.Patients[i]
	at = d.before.indexOf(p.PatientID)
	if at < 0 {
		return at, false
	}
	was := d.before.Patients[at]
	same = was.AuthorizationID == p.AuthorizationID && was.Units == p.Units && was.Minutes == p.Minutes &&
		was.Absent == p.Absent && equal(was.Own, p.Own) && d.session.ServiceDate == session.ServiceDate
	return at, same
}

// settleAgain takes back the units of the present session, and consumes the units of the corrected
// one. Units that stay the same are not touched.
func (d correctionDraft) settleAgain(session Session) error {
	stays := map[uuid.UUID]bool{}
	for i, p := range d.a.Patients {
		if at, kept := d.keeps(i, session); kept {
			stays[p.PatientID] = true
			part := session.Patients[at]
			part.Rounding = p.Rounding
			d.session.Patients[i] = part
		}
	}
	for i := range d.before.Patients {
		was := d.before.Patients[i]
		if stays[was.PatientID] {
			continue
		}
		if err := d.takeBack(&was, session.ServiceDate); err != nil {
			return err
		}
	}
	for i := range d.a.Patients {
		p := &d.a.Patients[i]
		if stays[p.PatientID] {
			continue
		}
		p.ReservationID, p.Consumption = nil, nil
		if err := d.settlePart(i); err != nil {
			return err
		}
	}
	d.session.sumUnauthorized()
	return nil
}

// correctPlace applies the corrected place to the appointment and its session.
func (d correctionDraft) correctPlace() {
	d.a.Place = d.correction.Place.of(d.a.Place)
	if d.correction.Place.relocates(d.before.Place) {
		d.locate()
	}
	d.session.Place = d.a.Place
}
