package authorization

import (
	"maps"
	"slices"
	"time"

	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/fault"
)

// account is one authorization with the reservations that an operation may touch, oldest first: the
// reservation it names, or as many open ones as it can need. If holds may have expired, it includes
// every open hold.
type account struct {
	Authorization
	reservations []Reservation
	weekStart    time.Weekday // the first day of the week, for caps
}

// decide judges one operation. It is the only function that changes units, for single requests,
// batches and previews. It is pure: it takes the state and the operation, and returns the new state
// and the outcome. A refused operation leaves the state unchanged. To decide several operations,
// pass each the state that the previous one returned.
//
// Without a service date, a reservation is for today, and a consumption is for the day of the
// reservation that it settles. See decide_appointment.go for a Reserve that names a reservation,
// and for a Consume of an appointment without a reservation.
func decide(before account, op Operation, at Moment) (account, Outcome) {
	before.reservations = slices.Clip(before.reservations) // decideNext must not append to the caller's array
	return decideNext(before, op, at)
}

// decideNext is decide for a sequence of operations. The new state may share memory with the state
// before, which must not be used for another decision unless the new state is discarded.
func decideNext(before account, op Operation, at Moment) (account, Outcome) {
	d := draft{account: before, op: op, at: at}
	if op.Kind != Reserve || op.ReservationID != nil || before.mayHaveExpired(at.Now) {
		d.reservations = slices.Clone(before.reservations) // some of them may change
	}
	d.UnitsByDate = maps.Clone(before.UnitsByDate)

	d.expireHolds()
	var refusal *fault.Error
	switch op.Kind {
	case Reserve:
		refusal = d.reserve()
	case Release:
		refusal = d.release()
	case Consume:
		refusal = d.consume()
	case Adjust:
		refusal = d.adjust()
	case Reverse:
		refusal = d.reverse()
	case Expire: // expireHolds has done it
	default:
		panic("authorization: unknown operation: " + string(op.Kind))
	}
	if d.damaged {
		refusal = ErrLedgerDamaged
	}
	if refusal != nil {
		return before, Outcome{Refusal: refusal, Reasons: d.reasons, Authorization: before.Authorization}
	}
	if len(d.entries) > 0 {
		d.Version++
		d.UpdatedAt = at.Now
	}
	return d.account, Outcome{
		Authorization: d.Authorization,
		Reservations:  d.touchedBy(d.entries, d.op.Kind != Expire),
		Entries:       d.entries,
		Consumed:      d.consumed,
		Missing:       d.missing,
	}
}

// draft is the intermediate state of a decision.
type draft struct {
	account
	op       Operation
	at       Moment
	entries  []Entry
	reasons  []*fault.Error // all rules that the reservation would break
	consumed int
	missing  int
	damaged  bool // the counters contradict the reservations, because of a change that bypassed this program
}

// expireHolds releases expired holds before the decision. Their units are free from the instant of
// expiry.
func (d *draft) expireHolds() {
	if !d.mayHaveExpired(d.at.Now) && d.op.Kind != Expire { // the sweeper knows of a due hold, even if the hint is stale
		return
	}
	d.NextExpiry = nil
	for i := range d.reservations {
		r := &d.reservations[i]
		if r.ExpiredAt(d.at.Now) {
			d.giveBack(r, Expire, r.Left())
		} else {
			d.noteExpiry(r)
		}
	}
}

func (d *draft) reserve() *fault.Error {
	day := d.op.reservedFor(d.at.Today)
	if d.op.ReservationID != nil {
		return d.resize(day)
	}
	if refusal := d.ask(d.account, day); refusal != nil {
		return refusal
	}
	d.open(d.op.Units, day)
	return nil
}

// ask returns the first rule that reserving the operation's units for the day would break, or nil.
// It keeps all of them as reasons.
func (d *draft) ask(a account, day calendar.Date) *fault.Error {
	if d.reasons = a.refusals(d.op.Units, day); len(d.reasons) > 0 {
		return d.reasons[0]
	}
	return nil
}

// refusals returns every rule that reserving the units for the day would break, in order of
// precedence.
func (a account) refusals(units int, day calendar.Date) []*fault.Error {
	var all []*fault.Error
	if a.Decision != Active {
		all = append(all, a.notActive())
	}
	if !a.Covers(day) {
		all = append(all, a.outsideDates(day))
	}
	if units > a.Available() {
		all = append(all, a.insufficientUnits(units))
	}
	if refusal := a.capRefusal(units, day); refusal != nil && units > 0 {
		all = append(all, refusal)
	}
	return all
}

func (d *draft) release() *fault.Error {
	if d.op.ReservationID != nil {
		r, refusal := d.named()
		if refusal != nil {
			return refusal
		}
		units := d.op.Units
		if units == 0 {
			units = r.Left()
		}
		if units > r.Left() {
			return insufficientReserved(r.Left(), units)
		}
		d.giveBack(r, Release, units)
		return nil
	}

	left := d.op.Units
	for r := range d.unclaimed() {
		units := min(left, r.Left())
		d.giveBack(r, Release, units)
		left -= units
		if left == 0 {
			return nil
		}
	}
	return insufficientReserved(d.op.Units-left, d.op.Units)
}

func (d *draft) consume() *fault.Error {
	if day := d.op.ServiceDate; !day.IsZero() && !d.Covers(day) {
		return d.outsideDates(day)
	}
	switch {
	case d.op.ReservationID != nil:
		return d.consumeNamed()
	case d.op.AppointmentID != nil:
		d.consumeUnreserved()
		return nil
	default:
		return d.consumeOldest()
	}
}

// consumeNamed settles one reservation. Units beyond the reservation are taken from the available
// units, regardless of caps. Units that are not available are reported as missing and are not
// booked.
func (d *draft) consumeNamed() *fault.Error {
	r, refusal := d.named()
	if refusal != nil {
		return refusal
	}
	units := d.op.Units
	if units == 0 {
		units = r.Left()
	}
	day := d.op.ServiceDate
	if day.IsZero() {
		day = r.ServiceDate
	}
	if surplus := units - r.Left(); surplus > 0 {
		granted := d.grantable(surplus, day)
		d.missing = surplus - granted
		d.extend(r, granted)
		units -= d.missing
	}
	if units > 0 {
		d.use(r, units, day)
	}
	if rest := r.Left(); rest > 0 && !d.op.KeepRest {
		d.giveBack(r, Release, rest)
	}
	return nil
}

// consumeOldest takes units from the oldest open reservations without an appointment, then from the
// available units. The unused rest of a reservation stays reserved.
func (d *draft) consumeOldest() *fault.Error {
	left := d.op.Units
	for r := range d.unclaimed() {
		if left == 0 {
			break
		}
		day := d.op.ServiceDate
		if day.IsZero() {
			day = r.ServiceDate
		}
		units := min(left, r.Left())
		d.use(r, units, day)
		left -= units
	}
	if left > 0 {
		day := d.op.ServiceDate
		if day.IsZero() {
			day = d.at.Today
		}
		if granted := d.grantable(left, day); granted > 0 {
			d.use(d.open(granted, day), granted, day)
			left -= granted
		}
	}
	if left == d.op.Units {
		return d.nothingToConsume()
	}
	d.missing = left
	return nil
}

// nothingToConsume returns the reason why no unit can be consumed.
func (d *draft) nothingToConsume() *fault.Error {
	day := d.op.ServiceDate
	if day.IsZero() {
		day = d.at.Today
	}
	switch {
	case d.Decision != Active:
		return d.notActive()
	case !d.Covers(day):
		return d.outsideDates(day)
	default:
		return d.insufficientUnits(d.op.Units)
	}
}

func (d *draft) adjust() *fault.Error {
	if refusal, stale := fault.From(d.op.Match.Check(d.Version)); stale {
		return refusal
	}
	if booked := d.Used + d.Scheduled; d.op.Total < booked {
		return ErrTotalBelowBooked.With(BookedUnits{d.op.Total, d.Used, d.Scheduled},
			"The total cannot be %d: %d units are used and %d are scheduled.", d.op.Total, d.Used, d.Scheduled)
	}
	change := d.op.Total - d.Total
	if change == 0 {
		return nil
	}
	d.Total = d.op.Total
	d.post(Entry{Kind: Adjust, Units: change})
	return nil
}

// named returns the open reservation that the operation names, if this caller may settle it.
func (d *draft) named() (*Reservation, *fault.Error) {
	id := *d.op.ReservationID
	i := slices.IndexFunc(d.reservations, func(r Reservation) bool { return r.ID == id })
	if i < 0 {
		return nil, ErrReservationNotFound
	}
	r := &d.reservations[i]
	switch {
	case r.AppointmentID != nil && (d.op.AppointmentID == nil || *d.op.AppointmentID != *r.AppointmentID):
		return nil, ErrBelongsToAppointment.With(Appointment{*r.AppointmentID}, "%s", ErrBelongsToAppointment.Title())
	case !r.hasLeft() && !d.mayReopen(r):
		return nil, d.closed(r)
	}
	return r, nil
}

func (d *draft) closed(r *Reservation) *fault.Error {
	return ErrReservationClosed.With(
		Settled{r.ID, r.Consumed, r.Released, r.lapsed(d.at.Now)},
		"The reservation no longer holds any units: %d were consumed, %d were released.", r.Consumed, r.Released)
}

// unclaimed yields the open reservations without an appointment, oldest first.
func (d *draft) unclaimed() func(yield func(*Reservation) bool) {
	return func(yield func(*Reservation) bool) {
		for i := range d.reservations {
			r := &d.reservations[i]
			if r.hasLeft() && r.AppointmentID == nil && !yield(r) {
				return
			}
		}
	}
}

// grantable returns how many of the units can be booked without a reservation. A reservation for
// that day would get the same number.
func (d *draft) grantable(units int, day calendar.Date) int {
	if d.Decision != Active || !d.Covers(day) {
		return 0
	}
	return min(units, d.Available())
}

func (a Authorization) notActive() *fault.Error {
	return ErrNotActive.With(State{a.backing(), a.Decision},
		"The authorization is %s. Units can be reserved only on an ACTIVE authorization.", a.Decision)
}

func (a Authorization) outsideDates(day calendar.Date) *fault.Error {
	return ErrOutsideDates.With(Dates{a.backing(), day, a.StartDate, a.EndDate},
		"The service date %s is outside the authorization's dates (%s to %s).", day, a.StartDate, a.EndDate)
}
