package appointments

import (
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/fault"
)

// Availability defines when a practitioner can be booked: weekly hours, exceptions for certain
// dates, and buffers around appointments. It determines openings and causes warnings; it never
// refuses a booking. The zero value means unknown: no openings and no warnings.
//
// An instant is within hours if the wall-clock time in the organization's time zone is. Hours that
// contain a repeated or skipped time, on the day of a clock change, are longer or shorter.
type Availability struct {
	Weekly     []WeeklyHours `json:"weekly" validate:"max=100,dive"`     // The hours of a usual week.
	Exceptions []Exception   `json:"exceptions" validate:"max=400,dive"` // The exceptions for certain dates.
	// The minutes before each appointment in which the practitioner has no other. Between two
	// appointments both buffers apply. Buffers may lie outside the hours.
	BufferBefore int `json:"bufferBeforeMinutes" validate:"min=0,max=240"`
	// The minutes after each appointment in which the practitioner has no other.
	BufferAfter int `json:"bufferAfterMinutes" validate:"min=0,max=240"`
}

// Hours is a part of a day, from a wall-clock time to a later one. Hours that cross midnight must
// be split into two days.
type Hours struct {
	From Clock `json:"from"` // The start of the hours. The default is 00:00.
	To   Clock `json:"to"`   // The end of the hours, after the start. 24:00 is the end of the day.
}

// WeeklyHours are the hours on one day of the week, from the first to the last date of
// validity.
type WeeklyHours struct {
	Weekday Weekday `json:"weekday" validate:"required"` // The day of the week.
	Hours
	// The first date on which the hours apply. The default is no limit.
	ValidFrom calendar.Date `json:"validFrom,omitzero"`
	// The last date on which the hours apply. The default is no limit.
	ValidUntil calendar.Date `json:"validUntil,omitzero"`
}

// Exception replaces the weekly hours on the dates from the first to the last by its own hours, or
// by none. If several exceptions have the same date, one without hours takes precedence; otherwise
// the hours of all apply.
type Exception struct {
	StartDate calendar.Date `json:"startDate" validate:"required"`
	EndDate   calendar.Date `json:"endDate" validate:"required,gtefield=StartDate"` // The last day.
	// The hours on these days. If it is empty, the practitioner is not available.
	Hours []Hours `json:"hours" validate:"max=20,dive"`
}

// Known reports whether hours or exceptions have been set.
func (a Availability) Known() bool { return len(a.Weekly) > 0 || len(a.Exceptions) > 0 }

// fieldErrors returns the errors that validation of single fields does not find.
func (a Availability) fieldErrors() []fault.Field {
	var fieldErrors []fault.Field
	backwards := func(path string, h Hours) {
		if h.To <= h.From {
			fieldErrors = append(fieldErrors, fault.Field{
				Field: path + ".to", Code: "gtfield", Message: "must be after from; split hours that cross midnight into two days",
			})
		}
	}
	for i, w := range a.Weekly {
		path := fmt.Sprintf("weekly[%d]", i)
		backwards(path, w.Hours)
		if !w.ValidUntil.IsZero() && w.ValidUntil.Before(w.ValidFrom) {
			fieldErrors = append(fieldErrors, fault.Field{
				Field: path + ".validUntil", Code: "gtefield",
				Message: "must not be before validFrom",
			})
		}
	}
	for i, e := range a.Exceptions {
		for j, h := range e.Hours {
			backwards(fmt.Sprintf("exceptions[%d].hours[%d]", i, j), h)
		}
	}
	return fieldErrors
}

// hoursOn returns the hours of a date, in no particular order; they may overlap.
func (a Availability) hoursOn(date calendar.Date) []Hours {
	var hours []Hours
	excepted := false
	for _, e := range a.Exceptions {
		if date.Before(e.StartDate) || date.After(e.EndDate) {
			continue
		}
		if len(e.Hours) == 0 {
			return nil
		}
		excepted = true
		hours = append(hours, e.Hours...)
	}
	if excepted {
		return hours
	}
	weekday := weekdayOf(date.Time().Weekday())
	for _, w := range a.Weekly {
		if w.Weekday == weekday && !date.Before(w.ValidFrom) && (w.ValidUntil.IsZero() || !date.After(w.ValidUntil)) {
			hours = append(hours, w.Hours)
		}
	}
	return hours
}

// spans returns the times at which the practitioner is available within the span, sorted and not
// adjacent, in UTC.
func (a Availability) spans(within Span, zone *time.Location) []Span {
	var found []Span
	for s := range constantOffsets(zone, within) {
		// While the offset is constant, the wall clock runs like UTC.
		first := calendar.DateIn(s.Start.Add(s.offset), time.UTC)
		last := calendar.DateIn(s.End.Add(s.offset), time.UTC)
		for date := first; !date.After(last); date = date.AddDays(1) {
			midnight := date.Time().Add(-s.offset)
			for _, h := range a.hoursOn(date) {
				part := Span{midnight.Add(h.From.sinceMidnight()), midnight.Add(h.To.sinceMidnight())}.intersection(s.Span)
				if !part.empty() {
					found = append(found, part)
				}
			}
		}
	}
	return merged(found)
}

// covers reports whether the practitioner is available for the whole span.
func (a Availability) covers(s Span, zone *time.Location) bool {
	found := a.spans(s, zone)
	return len(found) == 1 && found[0].Start.Equal(s.Start) && found[0].End.Equal(s.End)
}

// around returns the span extended by the practitioner's buffers.
func (a Availability) around(s Span) Span {
	return Span{
		s.Start.Add(-time.Duration(a.BufferBefore) * time.Minute),
		s.End.Add(time.Duration(a.BufferAfter) * time.Minute),
	}
}

// merged returns the union of the spans, sorted, without overlapping or adjacent spans.
func merged(spans []Span) []Span {
	spans = slices.Clone(spans)
	slices.SortFunc(spans, func(x, y Span) int { return x.Start.Compare(y.Start) })
	whole := spans[:0]
	for _, s := range spans {
		if n := len(whole); n > 0 && !s.Start.After(whole[n-1].End) {
			if s.End.After(whole[n-1].End) {
				whole[n-1].End = s.End
			}
			continue
		}
		whole = append(whole, s)
	}
	return whole
}

// Timetable is a practitioner's stored availability.
type Timetable struct {
	PractitionerID uuid.UUID
	Availability
	Version int // incremented by every change; 0: never set
}

// withBuffers returns the span in which other appointments matter: extended by the buffers on both sides.
func (a Availability) withBuffers(s Span) Span {
	buffers := time.Duration(a.BufferBefore+a.BufferAfter) * time.Minute
	return Span{s.Start.Add(-buffers), s.End.Add(buffers)}
}

// The codes of warnings.
const (
	warnOutside   = "outside-availability"
	warnBuffer    = "within-buffer"
	warnGroupSize = "group-size" // the number of patients is unusual for the code
)

// groupSize has the usual numbers of patients of the group codes (AMA, CPT, adaptive behavior services:
// 97154 and 97158 are face-to-face with two or more patients; payers allow up to eight).
var groupSize = map[string]struct{ least, most int }{"97154": {2, 8}, "97158": {2, 8}}

// groupWarnings returns a warning if the number of patients is unusual for a group code.
func groupWarnings(a Appointment) []Warning {
	if len(a.Patients) == 0 || len(a.Practitioners) == 0 {
		return nil
	}
	code := a.Patients[0].Code
	usual, ok := groupSize[code]
	if !ok || len(a.Patients) >= usual.least && len(a.Patients) <= usual.most {
		return nil
	}
	return []Warning{{
		warnGroupSize, a.Practitioners[0], a.Start.UTC(),
		fmt.Sprintf("%s is for groups of %d to %d patients. This appointment has %d.", code, usual.least, usual.most,
			len(a.Patients)),
	}}
}

// Warning is a concern about an appointment that breaks no rule.
type Warning struct {
	// The stable code: `outside-availability`, `within-buffer` or `group-size`.
	Code           string    `json:"code"`
	PractitionerID uuid.UUID `json:"practitionerId"`
	StartTime      time.Time `json:"startTime"` // The start of the appointment.
	Message        string    `json:"message"`   // The text for people.
}

// warnings returns the warnings for one appointment of the practitioner.
func (a Availability) warnings(practitioner uuid.UUID, span Span, near []slot, zone *time.Location) []Warning {
	var all []Warning
	if a.Known() && !a.covers(span, zone) {
		all = append(all, Warning{
			warnOutside, practitioner, span.Start.UTC(),
			"The practitioner is not available at that time.",
		})
	}
	for _, other := range near {
		if !other.Span.Overlaps(span) && a.around(other.Span).Overlaps(a.around(span)) {
			return append(all, Warning{
				warnBuffer, practitioner, span.Start.UTC(), "The practitioner has another appointment within the buffer time.",
			})
		}
	}
	return all
}

// openings returns the times of the given length at which the practitioner could be booked. They
// start in the window, are within the hours, and keep the buffers to the appointments in busy. They
// are sorted, in UTC, and may overlap: one starts at each multiple of step since midnight, so a
// step of 15 minutes gives full and quarter hours. Length and step are whole minutes, at least one.
// busy has any order, and includes appointments up to a length after the window.
func (a Availability) openings(zone *time.Location, window Span, busy []Span, length, step time.Duration) []Span {
	taken := make([]Span, len(busy))
	for i, s := range busy {
		taken[i] = a.around(s)
	}
	taken = merged(taken)

	found := []Span{}
	for _, open := range a.spans(window.extended(length), zone) {
		for s := range constantOffsets(zone, open.intersection(window)) {
			for start := onGrid(s, step); start.Before(s.End); start = nextOnGrid(start, s.offset, step) {
				slot := Span{start, start.Add(length)}
				if slot.End.After(open.End) {
					break
				}
				around := a.around(slot)
				for len(taken) > 0 && !taken[0].End.After(around.Start) {
					taken = taken[1:] // no later opening meets it either
				}
				if len(taken) == 0 || !taken[0].Overlaps(around) {
					found = append(found, slot)
				}
			}
		}
	}
	return found
}

// onGrid returns the first instant at or after the span's start whose wall-clock time is a multiple
// of step since midnight.
func onGrid(s offsetSpan, step time.Duration) time.Time {
	shown := s.Start.Add(s.offset)
	if over := shown.Sub(midnight(shown)) % step; over == 0 {
		return s.Start
	}
	return nextOnGrid(s.Start, s.offset, step)
}

// nextOnGrid returns the next such instant after t. The multiples restart at each midnight.
func nextOnGrid(t time.Time, offset, step time.Duration) time.Time {
	const day = 24 * time.Hour
	shown := t.Add(offset)
	since := shown.Sub(midnight(shown))
	return midnight(shown).Add(min(since-since%step+step, day)).Add(-offset)
}

func midnight(wall time.Time) time.Time {
	const day = 24 * time.Hour
	return wall.Truncate(day)
}
