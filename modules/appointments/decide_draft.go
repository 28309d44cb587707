package appointments

import (
	"time"

	"github.com/google/uuid"

	"omnirapeutic/modules/authorization"
	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/record"
	"omnirapeutic/platform/scheduling"
)

// draft is an appointment during a decision.
type draft struct {
	*records
	request
	sheet    *authorization.Sheet
	before   Appointment // the zero value for a new appointment
	a        Appointment
	home     *time.Location // the organization's time zone; zone is that of the place
	session  *Session
	siblings map[record.Key]*draft // the other appointments of its visits whose units change
	refusal  *fault.Error
}

// draftOf returns the draft of the appointment that the request names, or of a new one.
func (s *records) draftOf(sheet *authorization.Sheet, r request) *draft {
	before := s.appointments[r.key()]
	d := &draft{
		records: s, request: r, sheet: sheet, before: before, a: before.clone(), siblings: map[record.Key]*draft{},
		home: r.zone,
	}
	d.zone = before.zone(r.zone)
	return d
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
	return scheduling.PayerRules{RoundingRule: scheduling.DefaultRounding}
}

func coverageOf(organization uuid.UUID, insurance *uuid.UUID, day calendar.Date) scheduling.Coverage {
	c := scheduling.Coverage{OrganizationID: organization, ServiceDate: day}
	if insurance != nil {
		c.InsuranceID = *insurance
	}
	return c
}

// close records the user, the time and the reason of a cancellation or no-show.
func (d *draft) close() {
	d.a.CancelledAt, d.a.CancelledBy, d.a.CancelReason = new(d.now), new(d.caller.UserID), d.reason
}
