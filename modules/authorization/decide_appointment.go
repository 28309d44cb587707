package authorization

import (
	"maps"
	"slices"

	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/fault"
)

// Decisions for appointments. An appointment keeps one reservation on an authorization while it is
// open, even if its time changes.

// resize changes the units and the day of the appointment's reservation; 0 units are allowed. On
// the same day, the ledger gets the difference. On another day, all units are released for the old
// day and reserved for the new one, so that caps count by the new day. Holding fewer units on the
// same day is always allowed. Anything else is checked like a new reservation, with the
// reservation's own units counted as available.
func (d *draft) resize(day calendar.Date) *fault.Error {
	r, refusal := d.appointments()
	if refusal != nil {
		return refusal
	}
	held := r.Left()
	if day == r.ServiceDate && d.op.Units <= held {
		d.giveBackSome(r, held-d.op.Units)
		return nil
	}
	if refusal := d.ask(d.without(*r), day); refusal != nil {
		return refusal
	}
	if day == r.ServiceDate {
		d.extend(r, d.op.Units-held)
		return nil
	}
	d.giveBackSome(r, held)
	if d.op.Units > 0 {
		r.ServiceDate = day
		d.extend(r, d.op.Units)
	}
	return nil
}

func (d *draft) giveBackSome(r *Reservation, units int) {
	if units > 0 {
		d.giveBack(r, Release, units)
	}
}

// appointments returns the reservation that the operation names. It must belong to the operation's
// appointment and must not be consumed.
func (d *draft) appointments() (*Reservation, *fault.Error) {
	id := *d.op.ReservationID
	i := slices.IndexFunc(d.reservations, func(r Reservation) bool { return r.ID == id })
	if i < 0 || d.reservations[i].AppointmentID == nil {
		return nil, ErrReservationNotFound
	}
	r := &d.reservations[i]
	if d.op.AppointmentID == nil || *d.op.AppointmentID != *r.AppointmentID {
		return nil, ErrBelongsToAppointment.With(Appointment{*r.AppointmentID}, "%s", ErrBelongsToAppointment.Title())
	}
	if r.Consumed > 0 {
		return nil, d.closed(r)
	}
	return r, nil
}

// reverse takes back the consumption that the operation names, with all its units. The error is
// [ErrReservationClosed] if it was taken back before.
func (d *draft) reverse() *fault.Error {
	id := *d.op.ReservationID
	i := slices.IndexFunc(d.reservations, func(r Reservation) bool { return r.ID == id })
	if i < 0 || d.reservations[i].AppointmentID == nil {
		return ErrReservationNotFound
	}
	r := &d.reservations[i]
	switch {
	case d.op.AppointmentID == nil || *d.op.AppointmentID != *r.AppointmentID:
		return ErrBelongsToAppointment.With(Appointment{*r.AppointmentID}, "%s", ErrBelongsToAppointment.Title())
	case r.Consumed == 0:
		return d.closed(r)
	}
	d.takeBack(r, r.Consumed, d.op.Corrects, d.op.ServiceDate)
	return nil
}

// without returns the account as if the reservation had released its remaining units.
func (a account) without(r Reservation) account {
	a.Scheduled -= r.Left()
	if a.UnitsByDate != nil {
		a.UnitsByDate = maps.Clone(a.UnitsByDate)
		a.UnitsByDate[r.ServiceDate] -= r.Left()
	}
	return a
}

// mayReopen reports whether an appointment that holds no units, because its time became too short
// for one, may still consume units.
func (d *draft) mayReopen(r *Reservation) bool {
	return d.op.Kind == Consume && r.AppointmentID != nil && r.Consumed == 0
}

// consumeUnreserved books a session whose appointment has no reservation. It takes available units,
// and reports the others as missing.
func (d *draft) consumeUnreserved() {
	day := d.op.ServiceDate
	if day.IsZero() {
		day = d.at.Today
	}
	granted := d.grantable(d.op.Units, day)
	if granted > 0 {
		d.use(d.open(granted, day), granted, day)
	}
	d.missing = d.op.Units - granted
}
