package authorization

import (
	"maps"
	"slices"

	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/fault"
)

// What appointments ask for beyond what everybody may: an appointment keeps one
// reservation on an authorization for as long as it is open, whatever becomes of
// its time.

// resize has the appointment's reservation hold the operation's units for the day
// from now on, none at all included. On the same day the ledger gets the
// difference; on another, all that is left goes back for the one and is reserved
// for the other, so that caps count by the new day. To hold less on the same day
// is always possible; anything else needs what a reservation needs, with the
// reservation's own units available to it.
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

// appointments returns the reservation that the operation names, which must be
// its appointment's, and not have been consumed.
func (d *draft) appointments() (*Reservation, *fault.Error) {
	id := *d.op.ReservationID
	i := slices.IndexFunc(d.reservations, func(r Reservation) bool { return r.ID == id })
	if i < 0 || d.reservations[i].AppointmentID == nil {
		return nil, ErrReservationNotFound
	}
	r := &d.reservations[i]
	if d.op.AppointmentID == nil || *d.op.AppointmentID != *r.AppointmentID {
		return nil, ErrBelongsToAppointment.With(Appointment{*r.AppointmentID},
			"The reservation belongs to appointment %s and is settled only through it.", *r.AppointmentID)
	}
	if r.Consumed > 0 {
		return nil, d.closed(r)
	}
	return r, nil
}

// without returns the account as it would be had the reservation given back what
// is left of it.
func (a account) without(r Reservation) account {
	a.Scheduled -= r.Left()
	if a.Booked != nil {
		a.Booked = maps.Clone(a.Booked)
		a.Booked[r.ServiceDate] -= r.Left()
	}
	return a
}

// mayReopen reports whether an appointment that holds no units any more, because
// its time became too short for one, may consume units all the same.
func (d *draft) mayReopen(r *Reservation) bool {
	return d.op.Kind == Consume && r.AppointmentID != nil && r.Consumed == 0
}

// consumeUnreserved books a session whose appointment has held no units: it takes
// what is available, and tells what is not as missing, because it was worked.
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
