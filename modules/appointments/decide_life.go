package appointments

import (
	"time"

	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/fault"
)

// targets says where each step of an appointment's life leads.
var targets = map[kind]Status{start: InProgress, complete: Completed, cancel: Cancelled, noShow: NoShow}

// move takes one step of the appointment's life.
func (d *draft) move() error {
	if d.settling != nil && len(d.a.Patients) > 1 {
		d.refusal = ErrGroup.With(Group{d.a.ID}, "Others take part in the appointment, which would be cancelled for them too.")
		return nil
	}
	from, to := d.a.Status, targets[d.kind]
	if !from.mayBecome(to) {
		d.refusal = refuseTransition(from, to)
		return nil
	}
	if d.kind == noShow && d.now.Before(d.a.Start) {
		d.refusal = ErrNotBegun.With(NotBegun{d.a.Start}, "The appointment begins at %s, so nobody has missed it yet.", d.a.Start.UTC().Format(time.RFC3339))
		return nil
	}
	d.a.Status = to
	d.touch()
	switch d.kind {
	case start:
		d.a.StartedAt = new(d.now)
		return nil
	case complete:
		return d.complete()
	case cancel:
		notice := time.Duration(d.rules.Organizations[d.a.OrganizationID].LateCancelHours) * time.Hour
		d.a.LateCancel = d.a.Start.Sub(d.now) < notice
		d.close()
		return d.release()
	default: // noShow
		d.close()
		if d.rules.Organizations[d.a.OrganizationID].NoShowConsumes {
			return d.consumeHeld()
		}
		return d.release()
	}
}

// close notes who ended the appointment before it took place, when and why.
func (d *draft) close() {
	d.a.CancelledAt, d.a.CancelledBy, d.a.CancelReason = new(d.now), new(d.caller.UserID), d.reason
}

// release gives back what the appointment holds: exactly that.
func (d *draft) release() error {
	for i, p := range d.a.Patients {
		if p.ReservationID == nil {
			continue
		}
		if err := d.sheet.Release(d.claim(i, 0, d.a.ServiceDate)); err != nil {
			return err
		}
	}
	return nil
}

// consumeHeld uses what the appointment holds, because the payer pays for it.
func (d *draft) consumeHeld() error {
	for i, p := range d.a.Patients {
		if _, _, err := d.sheet.Settle(d.claim(i, p.Units, d.a.ServiceDate)); err != nil {
			return err
		}
	}
	return nil
}

// complete writes the session, and settles the units of its actual time: what was
// really worked counts, whatever the calendar and the authorization say to it.
func (d *draft) complete() error {
	span := d.actual()
	wrong := span.wrong()
	if span.End.After(d.now) {
		wrong = append(wrong, fault.Field{Field: "endTime", Code: "future", Message: "must not be in the future"})
	}
	if len(wrong) > 0 {
		d.refusal = fault.InvalidFields(wrong...)
		return nil
	}
	d.session = &Session{
		OrganizationID: d.a.OrganizationID, ID: d.request.session, AppointmentID: d.a.ID, Span: span, ServiceDate: d.dateOf(span.Start),
		Narrative: d.completion.Narrative, CreatedBy: d.caller.UserID, Version: 1, CreatedAt: d.now, UpdatedAt: d.now,
		Practitioners: d.a.Practitioners,
	}
	d.a.SessionID = &d.session.ID
	for i := range d.a.Patients {
		if err := d.settle(i); err != nil {
			return err
		}
	}
	return nil
}

// actual returns when the session took place, as far as that is told or known.
func (d *draft) actual() Span {
	span := d.a.Span
	if d.a.StartedAt != nil {
		span.Start = d.a.StartedAt.Truncate(time.Minute)
		if span.End.After(d.now) || !span.Start.Before(span.End) {
			span.End = d.now.Truncate(time.Minute)
		}
	}
	if d.completion.Start != nil {
		span.Start = *d.completion.Start
	}
	if d.completion.End != nil {
		span.End = *d.completion.End
	}
	return span.utc()
}

// settle turns a patient's actual time into units, and those into used ones.
func (d *draft) settle(place int) error {
	p := &d.a.Patients[place]
	day := d.session.ServiceDate
	if day != d.a.ServiceDate {
		p.Rounding = d.ruleOn(*p, day)
	}
	p.Minutes = d.session.Minutes()
	p.Units = unitsOf(p.Rounding.Method, p.Minutes, p.UnitMinutes, d.visitOn(place, day))
	claim := d.claim(place, p.Units, day)
	consumed, unauthorized, err := d.sheet.Settle(claim)
	if err != nil {
		return err
	}
	if consumed > 0 {
		p.ReservationID = &claim.ReservationID
	}
	d.session.UnauthorizedUnits += unauthorized
	d.session.Patients = append(d.session.Patients, SessionPatient{
		PatientID: p.PatientID, AuthorizationID: p.AuthorizationID, Minutes: p.Minutes, Units: p.Units,
		UnauthorizedUnits: unauthorized, UnitMinutes: p.UnitMinutes, Rounding: p.Rounding,
	})
	return nil
}

func (d *draft) visitOn(place int, day calendar.Date) visit {
	return d.occupied.visitBeside(d.a, d.a.Patients[place].PatientID, day, d.zone)
}
