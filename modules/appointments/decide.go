package appointments

import (
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/modules/authorization"
	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/record"
	"omnirapeutic/platform/scheduling"
)

// scene is the state on which requests are decided: the records that one transaction has read for
// all of them, changed by the earlier decisions.
type scene struct {
	now          time.Time
	appointments map[record.Key]Appointment // named by the requests, and the others of their visits
	sessions     map[record.Key]Session     // of completed appointments that may change, by appointment
	written      map[record.Key]bool        // the sessions that earlier requests changed, by appointment
	rules        scheduling.Rules
	occupied     occupied
	ledger       *authorization.Ledger
}

// verdict is the decision on a request.
type verdict struct {
	refusal     *fault.Error // nil: accepted
	before      Appointment  // the zero value for a new appointment
	appointment Appointment
	session     *Session     // of a completion, or the new version of a correction
	siblings    []verdict    // on other appointments of its visits, whose units change
	replayed    bool         // whether it is the stored response of an earlier request with the same key
	parts       []verdict    // of a request for several appointments
	occurrences []Occurrence // the parts as reported to clients
}

// changed reports whether there is anything to write.
func (v verdict) changed() bool {
	if v.parts != nil {
		return v.refusal == nil && slices.ContainsFunc(v.parts, verdict.changed)
	}
	return v.refusal == nil && v.appointment.Version != v.before.Version
}

// decide judges one request. It is the only function that changes appointments. An accepted request
// changes the units in the scene's ledger and the scene's slots; a refused one changes nothing. An
// error is not caused by the request: see [authorization.Sheet].
func (s *scene) decide(r request) (verdict, error) {
	if r.kind == transfer {
		if refusal := s.refuseTransfer(r); refusal != nil {
			return verdict{refusal: refusal}, nil //nolint:nilerr // a refusal is a verdict
		}
	}
	if r.parts != nil {
		return s.decideParts(r)
	}
	sheet := s.ledger.Sheet()
	v, err := s.decideOn(sheet, r)
	if err == nil && v.changed() {
		sheet.Keep()
	}
	return v, err
}

// decideOn is decide for a request whose claims are added to the sheet. The caller keeps the sheet.
func (s *scene) decideOn(sheet *authorization.Sheet, r request) (verdict, error) {
	before, known := s.appointments[r.key()]
	d := draft{
		scene: s, request: r, sheet: sheet, before: before, a: before.clone(), siblings: map[record.Key]*draft{},
		home: r.zone,
	}
	d.zone = before.zone(r.zone)
	var err error
	switch {
	case r.kind == book:
		err = d.bookNew()
	case !known:
		return verdict{refusal: ErrNotFound}, nil
	case r.impossibleTime != nil:
		return verdict{refusal: r.impossibleTime, before: before, appointment: before}, nil //nolint:nilerr // a refusal is a verdict
	case r.kind == reschedule:
		err = d.reschedule(before)
	case r.kind == transfer:
		err = d.moveUnits()
	case r.kind == correct:
		err = d.correct()
	case r.kind == void:
		err = d.void()
	case r.kind == clockOut:
		d.clockOut()
	default:
		err = d.move()
	}
	if err != nil || d.refusal != nil {
		return verdict{refusal: d.refusal, before: before, appointment: before}, err
	}
	return s.apply(d), nil
}

// apply takes over an accepted draft with its siblings, and returns the verdict.
func (s *scene) apply(d draft) verdict {
	v := verdict{before: d.before, appointment: d.a, session: d.session}
	if !v.changed() {
		return v
	}
	key := d.a.key()
	s.appointments[key] = d.a
	s.occupied.replace(d.before, d.a)
	if d.session != nil {
		d.session.takeModifiers(d.a)
		s.sessions[key], s.written[key] = *d.session, true
	}
	for _, key := range slices.SortedFunc(maps.Keys(d.siblings), record.Key.Compare) {
		v.siblings = append(v.siblings, s.apply(*d.siblings[key]))
	}
	return v
}

func (a Appointment) clone() Appointment {
	a.Patients = slices.Clone(a.Patients)
	a.Practitioners = slices.Clone(a.Practitioners)
	return a
}

// draft is an appointment during a decision.
type draft struct {
	*scene
	request
	sheet    *authorization.Sheet
	before   Appointment // the zero value for a new appointment
	a        Appointment
	home     *time.Location // the organization's time zone; zone is that of the place
	session  *Session
	siblings map[record.Key]*draft // the other appointments of its visits whose units change
	refusal  *fault.Error
}

// touch increments the version and sets the time of the change.
func (d *draft) touch() {
	d.a.Version++
	d.a.UpdatedAt = d.now
}

func (d *draft) dateOf(t time.Time) calendar.Date { return calendar.DateIn(t, d.zone) }

func (d *draft) named(id uuid.UUID) record.Key {
	return record.Of(d.caller.OrganizationID, id)
}

// bookNew creates the appointment of a booking.
func (d *draft) bookNew() error {
	b := d.booking
	d.a = Appointment{
		OrganizationID: d.caller.OrganizationID, ID: d.request.appointment, ServiceCodeID: b.ServiceCodeID, Status: Scheduled,
		Span: b.Span.utc(), Notes: b.Notes, Practitioners: b.Practitioners, Place: b.Place,
		CreatedBy: d.caller.UserID, CreatedAt: d.now,
	}
	if d.series != uuid.Nil {
		d.a.SeriesID = &d.series
	}
	d.locate()
	fieldErrors := append(d.unknown(), d.misplaced(d.a.ServiceDate)...)
	for i, p := range b.Patients {
		d.a.Patients = append(d.a.Patients, Participant{PatientID: p.PatientID, AuthorizationID: p.AuthorizationID})
		fieldErrors = append(fieldErrors, d.mismatches(i, b.field)...)
	}
	if len(fieldErrors) > 0 {
		d.refusal = fault.InvalidFields(fieldErrors...)
		return nil
	}
	d.touch()
	return d.bookTime()
}

// unknown returns an error for each unknown service or practitioner.
func (d *draft) unknown() []fault.Field {
	var fieldErrors []fault.Field
	if _, ok := d.rules.ServiceCodes[d.named(d.a.ServiceCodeID)]; !ok {
		fieldErrors = append(fieldErrors, fault.Field{Field: "serviceCodeId", Code: "reference", Message: "does not exist"})
	}
	for i, id := range d.a.Practitioners {
		if _, ok := d.rules.Practitioners[d.named(id)]; !ok {
			fieldErrors = append(fieldErrors, fault.Field{
				Field: staffField(d.a.Practitioners, i), Code: "reference",
				Message: "does not exist",
			})
		}
	}
	return fieldErrors
}

// mismatches returns an error for an unknown patient or authorization, and for an authorization of
// another patient or service.
func (d *draft) mismatches(i int, field func(i int, name string) string) []fault.Field {
	p := d.a.Patients[i]
	var fieldErrors []fault.Field
	if _, ok := d.rules.Patients[d.named(p.PatientID)]; !ok {
		fieldErrors = append(fieldErrors, fault.Field{
			Field: field(i, "patientId"), Code: "reference",
			Message: "does not exist",
		})
	}
	a, ok := d.ledger.Authorization(d.caller.OrganizationID, p.AuthorizationID)
	refers := func(message string) {
		fieldErrors = append(fieldErrors, fault.Field{
			Field: field(i, "authorizationId"), Code: "reference",
			Message: message,
		})
	}
	switch {
	case !ok:
		refers("does not exist")
	case a.PatientID != p.PatientID:
		refers("belongs to another patient")
	case a.ServiceCodeID != d.a.ServiceCodeID:
		refers("is for another service")
	}
	return fieldErrors
}

// bookTime books the appointment's time. It checks every rule and reports all that are broken.
func (d *draft) bookTime() error {
	service := d.rules.ServiceCodes[d.named(d.a.ServiceCodeID)]
	reasons := d.unqualified(service, d.a.ServiceDate)
	for i := range d.a.Patients {
		d.measure(&d.a.Patients[i], service)
	}
	d.setModifiers(d.a.ServiceDate)
	reasons = append(reasons, d.occupied.overlaps(d.a, d.rules, d.zone)...)
	against, err := d.withVisits(func() error {
		for i := range d.a.Patients {
			against, err := d.hold(i)
			if err != nil {
				return err
			}
			reasons = append(reasons, against...)
		}
		return nil
	})
	d.refusal = refusalOf(append(reasons, against...))
	return err
}

// hold reserves the patient's units for the appointment's date, and returns the rules that this
// would break.
func (d *draft) hold(i int) ([]*fault.Error, error) {
	p := &d.a.Patients[i]
	claim := d.claim(i, p.Units, d.a.ServiceDate)
	against, err := d.sheet.Hold(claim)
	if n := len(d.a.Patients); n > 1 {
		for j, reason := range against {
			against[j] = reason.With(reason.Details(), "Patient %d of %d: %s", i+1, n, reason.Error())
		}
	}
	if p.Units > 0 {
		p.ReservationID = &claim.ReservationID
	}
	return against, err
}

// unqualified returns the reasons why practitioners may not render the service on the day.
func (d *draft) unqualified(service scheduling.ServiceCode, day calendar.Date) []*fault.Error {
	var reasons []*fault.Error
	for _, id := range d.a.Practitioners {
		practitioner := d.rules.Practitioners[d.named(id)]
		if !practitioner.Active {
			reasons = append(reasons, ErrPractitionerInactive.With(Practitioner{id}, "%s is not active.", practitioner.Name))
		}
		if !practitioner.Qualified(service, day) {
			reasons = append(reasons, ErrCredentialMissing.With(Credentials{id, day, service.RequiredCredentials},
				"%s has none of the credentials that %s requires on %s.", practitioner.Name, service.Code, day))
		}
	}
	return reasons
}

// measure computes the units of a patient's booked time.
func (d *draft) measure(p *Participant, service scheduling.ServiceCode) {
	p.Track, p.Code, p.UnitMinutes = service.Track, service.Code, service.UnitMinutes
	p.Rounding = d.ruleOn(*p, d.a.ServiceDate)
	p.Minutes = d.a.Minutes()
	p.Units = d.shareOf(*p)
}

// ruleOn returns the rounding rule of the patient's payer on the day.
func (d *draft) ruleOn(p Participant, day calendar.Date) scheduling.RoundingRule {
	return d.payerOn(p, day).RoundingRule
}

// payerOn returns the rules of the patient's payer on the day.
func (d *draft) payerOn(p Participant, day calendar.Date) scheduling.PayerRules {
	a, _ := d.ledger.Authorization(d.caller.OrganizationID, p.AuthorizationID)
	if rules, ok := d.rules.Payers[coverageOf(d.caller.OrganizationID, a.InsuranceID, day)]; ok {
		return rules
	}
	return scheduling.PayerRules{RoundingRule: scheduling.Unruled}
}

func coverageOf(organization uuid.UUID, insurance *uuid.UUID, day calendar.Date) scheduling.Coverage {
	c := scheduling.Coverage{OrganizationID: organization, ServiceDate: day}
	if insurance != nil {
		c.InsuranceID = *insurance
	}
	return c
}

// claim returns the request's claim for the patient with that index.
func (d *draft) claim(i, units int, day calendar.Date) authorization.Claim {
	return d.claimFor(d.a.Patients[i], d.reservations[i], units, day)
}

// claimFor returns the request's claim for a patient. A patient without a reservation gets the new
// one.
func (d *draft) claimFor(p Participant, reservation uuid.UUID, units int, day calendar.Date) authorization.Claim {
	c := authorization.Claim{
		OrganizationID: d.a.OrganizationID, AuthorizationID: p.AuthorizationID, AppointmentID: d.a.ID,
		ReservationID: reservation, Units: units, ServiceDate: day,
		OperationID: d.ID, ActorID: d.caller.UserID, RequestID: d.caller.RequestID, Reason: d.reason,
	}
	if p.ReservationID != nil {
		c.ReservationID = *p.ReservationID
	}
	return c
}
