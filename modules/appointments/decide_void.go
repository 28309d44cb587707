package appointments

// void takes back the units of the appointment's session, which did not take place, and gives the
// appointment the requested status.
func (d statusDraft) void() error {
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
	d.a.Status = Scheduled // for the booked units: a cancelled appointment has none in a visit
	d.touch()
	service := d.rules.ServiceCodes[d.named(d.a.ServiceCodeID)]
	for i := range d.a.Patients {
		d.measure(&d.a.Patients[i], service)
	}
	d.a.Status = d.voidedTo
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
