package appointments

import (
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/command"
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

// current returns the session that the request names, or refuses the request.
func (d *draft) current() (Session, bool) {
	session, exists := d.sessions[d.a.key()]
	switch {
	case d.a.SessionID == nil || *d.a.SessionID != d.request.session || !exists:
		d.refusal = ErrSessionVoided
	default:
		if err := d.correction.Match.Check(session.Version); err != nil {
			d.refusal, _ = fault.From(err)
		}
	}
	if d.refusal == nil {
		d.refusal = refuseExported(session, d.caller)
	}
	return session, d.refusal == nil
}

// startVersion begins a new version of the appointment's session. The error is
// [command.ErrSeparate] if an earlier request of the batch has changed the session, because every
// version is stored.
func (d *draft) startVersion(change SessionChange) error {
	key := d.a.key()
	if d.written[key] {
		return command.ErrSeparate
	}
	s := d.sessions[key]
	s.Patients = slices.Clone(s.Patients)
	s.Version++
	s.Change, s.ChangedBy, s.ChangeReason = change, new(d.caller.UserID), d.reason
	s.UpdatedAt = d.now
	d.session = &s
	return nil
}

// takeBack reverses the consumption of a patient's units on the day, if there is one.
func (d *draft) takeBack(p *Participant, day calendar.Date) error {
	if p.Consumption == nil {
		return nil
	}
	claim := d.claimFor(*p, uuid.Nil, 0, day)
	claim.Corrects = *p.Consumption
	p.Consumption, p.ReservationID = nil, nil
	return d.sheet.Reverse(claim)
}

// correct replaces the content of the appointment's session. It takes back the units that were
// consumed, and consumes the units of the corrected session.
func (d *draft) correct() error {
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
	if d.correctsNothing(session) {
		d.session, d.a = &session, d.before
		return nil
	}
	d.touch()
	return d.ownClaims(func() error { return d.settleAgain(session) })
}

// refuseCorrection applies the corrected patients, and returns an error for records that do not
// exist or match, invalid times, and practitioners who may not render the service.
func (d *draft) refuseCorrection(session Session) *fault.Error {
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
func (d *draft) correctPatients() []fault.Field {
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

// indexOf returns the index of a patient, or -1.
func (a Appointment) indexOf(patient uuid.UUID) int {
	return slices.IndexFunc(a.Patients, func(p Participant) bool { return p.PatientID == patient })
}

// correctsNothing reports whether the corrected session equals the present one, and no missing unit
// could be consumed.
func (d *draft) correctsNothing(session Session) bool {
	if d.session.Span != session.Span || !slices.Equal(d.a.Practitioners, d.before.Practitioners) ||
		!d.session.Place.equal(session.Place) || len(d.a.Patients) != len(d.before.Patients) {
		return false
	}
	for i := range d.a.Patients {
		at, kept := d.keeps(i, session)
		if !kept || at != i || d.a.Patients[i].Modifiers != session.Patients[i].Modifiers {
			return false
		}
	}
	return true
}

// keeps returns the index of a patient in the present session, and whether the units stay consumed
// as they are.
func (d *draft) keeps(i int, session Session) (at int, kept bool) {
	p := d.a.Patients[i]
	at = d.before.indexOf(p.PatientID)
	if at < 0 {
		return at, false
	}
	was := d.before.Patients[at]
	kept = was.AuthorizationID == p.AuthorizationID && was.Units == p.Units && was.Minutes == p.Minutes &&
		was.Absent == p.Absent && equal(was.Own, p.Own) &&
		d.session.ServiceDate == session.ServiceDate && session.Patients[at].UnauthorizedUnits == 0
	return at, kept
}

// settleAgain takes back the units of the present session, and consumes the units of the corrected
// one. Units that stay the same are not touched.
func (d *draft) settleAgain(session Session) error {
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

// void takes back the units of the appointment's session, which did not take place, and gives the
// appointment the requested status.
func (d *draft) void() error {
	session, ok := d.current()
	if !ok {
		return nil
	}
	if err := d.startVersion(voided); err != nil {
		return err
	}
	d.session.VoidedAt = new(d.now)
	for i := range d.session.Patients {
		part := &d.session.Patients[i]
		part.Units, part.UnauthorizedUnits, part.Consumption = 0, 0, nil
	}
	d.session.sumUnauthorized()
	for i := range d.a.Patients {
		if err := d.takeBack(&d.a.Patients[i], session.ServiceDate); err != nil {
			return err
		}
		d.a.Patients[i].ReservationID, d.a.Patients[i].Absent, d.a.Patients[i].Own = nil, false, nil
	}
	d.a.SessionID, d.a.Worked, d.a.StartedAt, d.a.Clocking = nil, nil, nil, Clocking{}
	d.a.Status = d.voidedTo
	d.touch()
	service := d.rules.ServiceCodes[d.named(d.a.ServiceCodeID)]
	for i := range d.a.Patients {
		d.measure(&d.a.Patients[i], service)
	}
	switch d.a.Status {
	case Scheduled:
		return d.bookTime()
	case NoShow:
		d.close()
		return d.ownClaims(d.settleNoShow)
	default:
		d.close()
		return d.ownClaims(func() error { return nil })
	}
}
