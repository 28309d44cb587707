package appointments

import (
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/patch"
	"omnirapeutic/platform/record"
)

// WeekdayChange replaces a weekday of a series. At least one of the weekdays is set.
type WeekdayChange struct {
	From Weekday // the appointments of this weekday move; 0: new ones are booked
	To   Weekday // to this weekday of the same week; 0: they are cancelled
}

// OccurrenceAction is the effect of a change of weekdays on an appointment.
type OccurrenceAction string

// The actions.
const (
	OccurrenceKept      OccurrenceAction = "KEPT"
	OccurrenceMoved     OccurrenceAction = "MOVED"
	OccurrenceBooked    OccurrenceAction = "BOOKED"
	OccurrenceCancelled OccurrenceAction = "CANCELLED"
)

// checkWeekdays returns an error for each change without weekdays, and for each weekday that is given twice.
func checkWeekdays(changes []WeekdayChange) error {
	var fieldErrors []fault.Field
	from, to := map[Weekday]bool{}, map[Weekday]bool{}
	for i, c := range changes {
		refuse := func(member, code, message string) {
			fieldErrors = append(fieldErrors, fault.Field{
				Field: fmt.Sprintf("weekdays[%d].%s", i, member), Code: code, Message: message,
			})
		}
		switch {
		case c.From == 0 && c.To == 0:
			refuse("from", "required_without", "must be given if to is not given")
		case c.From == c.To:
			refuse("to", "nefield", "must be another weekday")
		}
		if c.From != 0 && from[c.From] {
			refuse("from", "duplicate", "is given twice")
		}
		if c.To != 0 && to[c.To] {
			refuse("to", "duplicate", "is given twice")
		}
		from[c.From], to[c.To] = true, true
	}
	return errorOf(fieldErrors)
}

// weekdaysOn returns the parts of a change of weekdays: one for each SCHEDULED appointment of the series from the
// named one on, and one for each new appointment. Appointments that were moved by hand to another weekday or time
// of day are kept.
func (r request) weekdaysOn(named Appointment, members []Appointment) request {
	slices.SortFunc(members, func(x, y Appointment) int { return x.Start.Compare(y.Start) })
	clock := timeOfDay(wallClock(named.Start, r.zone))
	weeks := map[calendar.Date]bool{}
	parts := make([][]request, 3) // units of cancelled appointments are free for the others
	for _, member := range members {
		if member.Status != Scheduled || member.Start.Before(named.Start) {
			continue
		}
		wall := wallClock(member.Start, r.zone)
		part := r.partFor(named, member)
		part.weekdays, part.change, part.action = nil, Change{}, OccurrenceKept
		change := r.weekdayOf(weekdayOf(wall.Weekday()))
		regular := timeOfDay(wall) == clock
		switch {
		case !regular || change == nil:
		case change.To == 0:
			part.kind, part.action = cancel, OccurrenceCancelled
		default:
			moved := shift{zone: r.zone, from: wallClock(named.Start, r.zone), days: int(change.To - change.From)}
			to, refusal := moved.of(member.Span)
			part.change = Change{Start: patch.Set(to.Start), End: patch.Set(to.End)}
			part.knownRefusal, part.action = refusal, OccurrenceMoved
		}
		if regular {
			weeks[mondayOf(wall)] = true
		}
		order := 1
		if part.kind == cancel {
			order = 0
		}
		parts[order] = append(parts[order], part)
	}
	parts[2] = r.bookingsOn(named, weeks)
	if r.parts = slices.Concat(parts...); len(r.parts) > MaxOccurrences {
		r.parts, r.knownRefusal = nil, tooManyOccurrences
	}
	return r
}

var tooManyOccurrences = fault.InvalidFields(fault.Field{
	Field: "weekdays", Code: "range", Message: fmt.Sprintf("must not result in more than %d appointments", MaxOccurrences),
})

// weekdayOf returns the change of a weekday, or nil.
func (r request) weekdayOf(day Weekday) *WeekdayChange {
	i := slices.IndexFunc(r.weekdays, func(c WeekdayChange) bool { return c.From == day })
	if i < 0 {
		return nil
	}
	return &r.weekdays[i]
}

// bookingsOn returns the bookings on the additional weekdays in the weeks, like the named appointment, from its
// date on.
func (r request) bookingsOn(named Appointment, weeks map[calendar.Date]bool) []request {
	var parts []request
	first := calendar.DateIn(named.Start, r.zone)
	for monday := range weeks {
		for _, c := range r.weekdays {
			date := monday.AddDays(int(c.To) - 1)
			if c.From == 0 && !date.Before(first) {
				parts = append(parts, r.bookingOn(named, date))
			}
		}
	}
	slices.SortFunc(parts, func(x, y request) int { return x.booking.Start.Compare(y.booking.Start) })
	return parts
}

// bookingOn returns the booking of an appointment like the named one on another date. Its ids are the same in every
// attempt.
func (r request) bookingOn(named Appointment, date calendar.Date) request {
	part := r
	part.kind, part.scope, part.weekdays, part.action = book, ScopeOne, nil, OccurrenceBooked
	part.appointment = uuid.NewSHA1(r.session, []byte(date.String()))
	part.reservations = make([]uuid.UUID, len(named.Patients))
	for i := range part.reservations {
		part.reservations[i] = uuid.NewSHA1(part.appointment, []byte{byte(i)})
	}
	if named.SeriesID != nil {
		part.series = *named.SeriesID
	}
	on := shift{
		zone: r.zone, from: wallClock(named.Start, r.zone),
		days: daysBetween(calendar.DateIn(named.Start, r.zone), date),
	}
	part.booking = Booking{
		Practitioners: slices.Clone(named.Practitioners), ServiceCodeID: named.ServiceCodeID, Notes: named.Notes,
		Place: named.Place,
	}
	part.booking.Span, part.knownRefusal = on.of(named.Span)
	part.booking.TimeZone = nil
	for _, p := range named.Patients {
		part.booking.Patients = append(part.booking.Patients, BookedPatient{p.PatientID, p.AuthorizationID})
	}
	return part
}

// timeOfDay returns the time since midnight of a wall-clock time.
func timeOfDay(wall time.Time) time.Duration {
	return wall.Sub(onDate(calendar.NewDate(wall.Date()), time.Time{}))
}

// mondayOf returns the first day of the week, which begins on Monday like that of a recurrence rule.
func mondayOf(wall time.Time) calendar.Date {
	return calendar.NewDate(wall.Date()).AddDays(1 - int(weekdayOf(wall.Weekday())))
}

// spreadWeekdays splits a change of weekdays into parts. An appointment without a series is its only member.
func (r request) spreadWeekdays(named Appointment, ids []uuid.UUID, existing map[record.Key]Appointment) request {
	members := []Appointment{named}
	if named.SeriesID != nil {
		members = nil
		for _, id := range ids {
			members = append(members, existing[record.Of(named.OrganizationID, id)])
		}
	}
	return r.weekdaysOn(named, members)
}
