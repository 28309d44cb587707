package appointments

import (
	"github.com/google/uuid"

	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/scheduling"
)

// bookingDraft is a draft of an appointment that is booked, or booked again.
type bookingDraft struct{ visitDraft }

// bookNew creates the appointment of a booking.
func (d bookingDraft) bookNew() error {
	b := d.booking
	d.a = Appointment{
		OrganizationID: d.caller.OrganizationID, ID: d.request.appointment, ServiceCodeID: b.ServiceCodeID, Status: Scheduled,
		Span: b.Span.utc(), Notes: b.Notes, Practitioners: b.Practitioners, Place: b.Place,
		MakeUpFor: b.MakeUpFor, ExceedsMissedTime: b.ExceedsMissedTime, CreatedBy: d.caller.UserID, CreatedAt: d.now,
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
	fieldErrors = append(fieldErrors, d.notMissed()...)
	if len(fieldErrors) > 0 {
		d.refusal = fault.InvalidFields(fieldErrors...)
		return nil
	}
	d.touch()
	return d.bookTime()
}

// bookTime books the appointment's time. It checks every rule and reports all that are broken.
func (d bookingDraft) bookTime() error {
	service := d.rules.ServiceCodes[d.named(d.a.ServiceCodeID)]
	reasons := d.unqualified(service, d.a.ServiceDate)
	for i := range d.a.Patients {
		d.measure(&d.a.Patients[i], service)
	}
	d.setModifiers(d.a.ServiceDate)
	reasons = append(reasons, d.overMissedTime()...)
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

// measure computes the units of a patient's booked time.
func (d bookingDraft) measure(p *Participant, service scheduling.ServiceCode) {
	p.Track, p.Code, p.UnitMinutes = service.Track, service.Code, service.UnitMinutes
	p.Rounding = d.ruleOn(*p, d.a.ServiceDate)
	p.Minutes = d.a.Minutes()
	p.Units = d.shareOf(*p)
}
