package authorization

import (
	"slices"

	"github.com/google/uuid"

	"omnirapeutic/platform/calendar"
)

// Movements of units. Each changes a reservation and the counters, and posts one entry.

// open creates the operation's reservation.
func (d *draft) open(units int, day calendar.Date) *Reservation {
	r := Reservation{
		OrganizationID:  d.OrganizationID,
		ID:              d.op.NewID,
		AuthorizationID: d.ID,
		Sequence:        d.LastSequence + 1,
		ServiceDate:     day,
		AppointmentID:   d.op.AppointmentID,
		Reference:       d.op.Reference,
		CreatedAt:       d.at.Now,
	}
	if d.op.HoldFor > 0 {
		r.ExpiresAt = new(d.at.Now.Add(d.op.HoldFor))
	}
	d.reservations = append(d.reservations, r)
	opened := &d.reservations[len(d.reservations)-1]
	d.extend(opened, units)
	d.noteExpiry(opened)
	return opened
}

// extend reserves more units on a reservation. It does not check caps: the caller must have done
// so.
func (d *draft) extend(r *Reservation, units int) {
	if units == 0 {
		return
	}
	r.Units += units
	d.Scheduled += units
	d.book(r, units)
	d.postOn(r, Reserve, units, r.ServiceDate)
}

// use turns reserved units into used units.
func (d *draft) use(r *Reservation, units int, day calendar.Date) {
	r.Consumed += units
	d.Scheduled -= units
	d.Used += units
	d.consumed += units
	d.postOn(r, Consume, units, day)
}

// giveBack releases reserved units; kind is Release or Expire.
func (d *draft) giveBack(r *Reservation, kind EntryKind, units int) {
	r.Released += units
	d.Scheduled -= units
	d.book(r, -units)
	d.postOn(r, kind, units, r.ServiceDate)
}

// takeBack turns used units of a settled reservation into available units, and names the
// consumption that this corrects. The day is the service date of the consumption.
func (d *draft) takeBack(r *Reservation, units int, consumption int64, day calendar.Date) {
	r.Consumed -= units
	r.Released += units
	d.Used -= units
	d.book(r, -units)
	r.UpdatedAt = d.at.Now
	d.post(Entry{Kind: Reverse, Units: units, ReservationID: new(r.ID), ServiceDate: day, Corrects: &consumption})
}

// book updates the units by date, which caps count.
func (d *draft) book(r *Reservation, units int) {
	if d.UnitsByDate == nil {
		return
	}
	d.UnitsByDate[r.ServiceDate] += units
	if d.UnitsByDate[r.ServiceDate] == 0 {
		delete(d.UnitsByDate, r.ServiceDate)
	}
}

func (d *draft) postOn(r *Reservation, kind EntryKind, units int, day calendar.Date) {
	r.UpdatedAt = d.at.Now
	d.post(Entry{Kind: kind, Units: units, ReservationID: new(r.ID), ServiceDate: day})
}

// post appends the entry to the ledger. The counters must already be updated.
func (d *draft) post(e Entry) {
	b := d.Balance
	if b.Used < 0 || b.Scheduled < 0 || b.Used+b.Scheduled > b.Total {
		d.damaged = true // the database would refuse it too
	}
	e.OrganizationID = d.OrganizationID
	e.AuthorizationID = d.ID
	e.Sequence = d.LastSequence + 1
	if e.Kind != Expire {
		e.Reason = d.op.Reason
	}
	e.OperationID = d.op.ID
	e.ActorID = d.op.ActorID
	e.RequestID = d.op.RequestID
	e.TotalAfter, e.UsedAfter, e.ScheduledAfter = b.Total, b.Used, b.Scheduled
	e.OccurredAt = d.at.Now
	e.PreviousHash = d.LastHash
	e.Hash = e.computeHash()
	d.LastSequence, d.LastHash = e.Sequence, e.Hash
	d.entries = append(d.entries, e)
}

// noteExpiry lowers NextExpiry to the reservation's expiry if that is earlier.
func (d *draft) noteExpiry(r *Reservation) {
	if !r.hasLeft() || r.ExpiresAt == nil {
		return
	}
	if d.NextExpiry == nil || r.ExpiresAt.Before(*d.NextExpiry) {
		d.NextExpiry = r.ExpiresAt
	}
}

// touchedBy returns the reservations of the entries, oldest first. If own is set, it omits
// reservations that only expired: they are not part of the operation.
func (a account) touchedBy(entries []Entry, own bool) []Reservation {
	about := make(map[uuid.UUID]bool, len(entries))
	for i := range entries {
		if e := &entries[i]; e.ReservationID != nil && (e.Kind != Expire || !own) {
			about[*e.ReservationID] = true
		}
	}
	touched := make([]Reservation, 0, len(about))
	for i := len(a.reservations) - 1; i >= 0 && len(about) > 0; i-- { // new ones are at the end
		if r := &a.reservations[i]; about[r.ID] {
			delete(about, r.ID)
			touched = append(touched, *r)
		}
	}
	slices.Reverse(touched)
	return slices.Clip(touched)
}
