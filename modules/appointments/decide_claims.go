package appointments

import (
	"github.com/google/uuid"

	"omnirapeutic/modules/authorization"
	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/fault"
)

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

// release releases the units that the appointment holds.
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

// consume consumes a patient's units, and writes the patient's part in the session.
func (d *draft) consume(i int) error {
	p := &d.a.Patients[i]
	claim := d.claim(i, p.Units, d.session.ServiceDate)
	settled, err := d.sheet.Settle(claim)
	if err != nil {
		return err
	}
	if p.Consumption = settled.Entry; settled.Units > 0 {
		p.ReservationID = &claim.ReservationID
	}
	d.session.Patients[i] = SessionPatient{
		PatientID: p.PatientID, AuthorizationID: p.AuthorizationID, Minutes: p.Minutes, Units: p.Units,
		UnauthorizedUnits: settled.Missing, UnitMinutes: p.UnitMinutes, Rounding: p.Rounding, Consumption: settled.Entry,
		Attended: true, Own: p.Own,
	}
	d.session.sumUnauthorized()
	return nil
}

// settleNoShow releases the booked units, or consumes them by the payer's rule.
func (d *draft) settleNoShow() error {
	for i := range d.a.Patients {
		p := &d.a.Patients[i]
		claim := d.claim(i, 0, d.a.ServiceDate)
		if d.noShowConsumes(*p, d.a.ServiceDate) {
			claim.Units = p.Units
		}
		settled, err := d.sheet.Settle(claim)
		if err != nil {
			return err
		}
		if p.Consumption = settled.Entry; settled.Units > 0 {
			p.ReservationID = &claim.ReservationID
		}
	}
	return nil
}

// noShowConsumes reports whether the units of a patient who does not come on the day remain used: by the
// payer's rule, or as the organization has set.
func (d *draft) noShowConsumes(p Participant, day calendar.Date) bool {
	if consumes := d.payerOn(p, day).NoShowConsumes; consumes != nil {
		return *consumes
	}
	return d.rules.Organizations[d.a.OrganizationID].NoShowConsumes
}

func (s *Session) sumUnauthorized() {
	s.UnauthorizedUnits = 0
	for _, p := range s.Patients {
		s.UnauthorizedUnits += p.UnauthorizedUnits
	}
}
