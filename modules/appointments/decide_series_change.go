package appointments

import (
	"slices"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/patch"
	"omnirapeutic/platform/record"
)

// differences returns the change without fields that equal the appointment's. A client may send
// every field of a form; unchanged fields must not be applied to the other appointments of the
// series.
func (c Change) differences(a Appointment) Change {
	if c.Start.Value.Equal(a.Start) {
		c.Start = patch.Field[time.Time]{}
	}
	if c.End.Value.Equal(a.End) {
		c.End = patch.Field[time.Time]{}
	}
	if slices.Equal(c.Practitioners.Value, a.Practitioners) {
		c.Practitioners = patch.Field[[]uuid.UUID]{}
	}
	if len(a.Patients) == 1 && c.AuthorizationID.Value == a.Patients[0].AuthorizationID {
		c.AuthorizationID = patch.Field[uuid.UUID]{}
	}
	if notes := a.Notes; c.Notes.Given {
		if c.Notes.Apply(&notes); equal(notes, a.Notes) {
			c.Notes = patch.Clearable[string]{}
		}
	}
	c.Place = c.Place.differences(a.Place)
	return c
}

// span returns an appointment's time after the change.
func (c Change) span(s Span) Span {
	c.Start.Apply(&s.Start)
	c.End.Apply(&s.End)
	return s
}

// moves reports whether the change gives the appointment another time, other staff, another location or
// another authorization, so that the rules of a booking apply.
func (c Change) moves(a Appointment) bool {
	to := c.span(a.Span)
	switch {
	case !to.Start.Equal(a.Start) || !to.End.Equal(a.End):
		return true
	case c.Place.relocates(a.Place):
		return true
	case c.Practitioners.Given && !slices.Equal(c.Practitioners.Value, a.Practitioners):
		return true
	}
	return c.AuthorizationID.Given && (len(a.Patients) > 1 || c.AuthorizationID.Value != a.Patients[0].AuthorizationID)
}

// forMember returns the change for another appointment of the series. The shift changes its time;
// all other differences are the same. The refusal means that the new day does not have the new
// time.
func (c Change) forMember(named, member Appointment, zone *time.Location) (Change, *fault.Error) {
	c.Match = ""
	to, refusal := shiftOf(named.Span, c.span(named.Span), zone).of(member.Span)
	c.Start, c.End = patch.Set(to.Start), patch.Set(to.End)
	return c.differences(member), refusal
}

// shift is the effect of a new time of one appointment on the others of its series: a number of
// days, a new time of day, a new length. Each of the others keeps the unchanged parts, even if it
// was moved individually before. A new time of day includes start and end, so it sets the length
// too.
type shift struct {
	zone   *time.Location
	from   time.Time // wall-clock start of the named appointment before the change
	days   int
	clock  *time.Time     // the new time of day; nil: unchanged
	length *time.Duration // nil: unchanged
}

// shiftOf returns the shift from one time to another. A time of day also counts as unchanged if
// only a clock change displaces it: from 02:30 to 03:30, on a day without 02:30.
func shiftOf(from, to Span, zone *time.Location) shift {
	first, last := calendar.DateIn(from.Start, zone), calendar.DateIn(to.Start, zone)
	s := shift{zone: zone, from: wallClock(from.Start, zone), days: daysBetween(first, last)}
	clock := wallClock(to.Start, zone)
	if !clock.Equal(onDate(last, s.from)) && !to.Start.Equal(instantOf(onDate(last, s.from), zone)) {
		s.clock = &clock
	}
	if length := to.Length(); s.clock != nil || length != from.Length() {
		s.length = &length
	}
	return s
}

// of returns the shifted time of another appointment of the series. The refusal is
// [fault.ErrInvalid] if the new day has neither the time of day nor a later one, like for a booking
// of a series.
func (s shift) of(member Span) (Span, *fault.Error) {
	length := member.Length()
	if s.length != nil {
		length = *s.length
	}
	if s.days == 0 && s.clock == nil {
		return Span{member.Start, member.Start.Add(length)}, nil
	}
	was := calendar.DateIn(member.Start, s.zone)
	clock := wallClock(member.Start, s.zone)
	switch {
	case s.clock != nil:
		clock = *s.clock
	case member.Start.Equal(instantOf(onDate(was, s.from), s.zone)):
		clock = s.from // a clock change may have displaced it on its current day
	}
	date := was.AddDays(s.days)
	start := instantOf(onDate(date, clock), s.zone)
	if calendar.DateIn(start, s.zone) != date {
		return member, fault.InvalidFields(fault.Field{
			Field: "startTime", Code: "recurrence",
			Message: "moves an appointment to " + date.String() +
				", which has neither that time nor a later one in the organization's time zone",
		})
	}
	return Span{start, start.Add(length)}, nil
}

func daysBetween(from, to calendar.Date) int {
	const day = 24 * time.Hour
	return int(to.Time().Sub(from.Time()) / day)
}

// spread splits each request for several appointments of a series into parts, one for each
// appointment that it affects.
func spread(requests []request, members map[record.Key][]uuid.UUID, existing map[record.Key]Appointment) []request {
	all := slices.Clone(requests)
	for i, r := range all {
		if !r.scope.several() {
			continue
		}
		named, ok := existing[r.key()]
		if ok && r.weekdays != nil {
			all[i] = r.spreadWeekdays(named, members[r.key()], existing)
			continue
		}
		if !ok || named.SeriesID == nil {
			continue
		}
		var parts []request
		for _, id := range members[r.key()] {
			member := existing[record.Of(named.OrganizationID, id)]
			if member.affected(named, r.scope) {
				parts = append(parts, r.partFor(named, member))
			}
		}
		slices.SortFunc(parts, func(x, y request) int {
			xa, ya := existing[x.key()], existing[y.key()]
			return xa.Start.Compare(ya.Start)
		})
		if target := r.change.span(named.Span); target.Start.After(named.Start) {
			slices.Reverse(parts) // last first, so that none moves to the old time of the next
		}
		all[i].parts = parts
	}
	return all
}

// affected reports whether a change of the named appointment also applies to this one. Appointments
// that have begun or ended are not affected.
func (a Appointment) affected(named Appointment, scope Scope) bool {
	switch {
	case a.ID == named.ID:
		return true
	case a.Status != Scheduled:
		return false
	}
	return scope == ScopeAll || !a.Start.Before(named.Start)
}

// partFor returns the request for another appointment of the series.
func (r request) partFor(named, member Appointment) request {
	part := r
	part.scope, part.appointment = ScopeOne, member.ID
	if member.ID == named.ID {
		return part
	}
	part.change, part.knownRefusal = r.change.differences(named).forMember(named, member, r.zone)
	part.reservations = make([]uuid.UUID, len(r.reservations))
	for i, id := range r.reservations {
		part.reservations[i] = uuid.NewSHA1(id, member.ID[:]) // the same in every attempt
	}
	return part
}
