package appointments

import (
	"fmt"
	"slices"
	"time"

	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/fault"
)

// Availability says when a practitioner can be booked, as people say it: hours for
// each day of the week, exceptions for certain dates, and time that is kept free
// around appointments. It guides openings and warns at a booking; it never refuses
// one. The zero value says nothing: no openings, and no warnings.
//
// An instant is within hours when clocks in the organization's time zone show a
// time within them. On a day on which clocks are put back, hours that hold the
// repeated time last longer, and on one on which they are put forward shorter.
type Availability struct {
	Weekly     []WeeklyHours `json:"weekly" validate:"max=100,dive"`
	Exceptions []Exception   `json:"exceptions" validate:"max=400,dive"`
	// BufferBefore is how many minutes before each appointment the practitioner has
	// no other, and BufferAfter how many after it: between two appointments there
	// are both. They may lie outside the hours.
	BufferBefore int `json:"bufferBeforeMinutes" validate:"min=0,max=240"`
	BufferAfter  int `json:"bufferAfterMinutes" validate:"min=0,max=240"`
}

// Hours are the part of a day from a wall-clock time to a later one: what goes on
// past midnight are hours of two days.
type Hours struct {
	From Clock `json:"from"` // 00:00 where it is not given
	To   Clock `json:"to"`   // after From; 24:00 is the end of the day
}

// WeeklyHours are hours on one day of each week, from the first to the last date
// on which that holds; without a date from ever, or for ever.
type WeeklyHours struct {
	Weekday Weekday `json:"weekday" validate:"required"`
	Hours
	ValidFrom  calendar.Date `json:"validFrom,omitzero"`
	ValidUntil calendar.Date `json:"validUntil,omitzero"` // included
}

// Exception says that on the dates from the first to the last the weekly hours do
// not hold but these, and none where there are none. Of exceptions for the same
// date one without hours decides; otherwise the hours of all of them hold.
type Exception struct {
	StartDate calendar.Date `json:"startDate" validate:"required"`
	EndDate   calendar.Date `json:"endDate" validate:"required,gtefield=StartDate"` // included
	Hours     []Hours       `json:"hours" validate:"max=20,dive"`
}

// Known reports whether anything is said of when the practitioner works.
func (a Availability) Known() bool { return len(a.Weekly) > 0 || len(a.Exceptions) > 0 }

// wrongFields returns what the rules of single fields do not see.
func (a Availability) wrongFields() []fault.Field {
	var wrong []fault.Field
	backwards := func(path string, h Hours) {
		if h.To <= h.From {
			wrong = append(wrong, fault.Field{Field: path + ".to", Code: "gtfield", Message: "must be after from; hours past midnight are hours of two days"})
		}
	}
	for i, w := range a.Weekly {
		path := fmt.Sprintf("weekly[%d]", i)
		backwards(path, w.Hours)
		if !w.ValidUntil.IsZero() && w.ValidUntil.Before(w.ValidFrom) {
			wrong = append(wrong, fault.Field{Field: path + ".validUntil", Code: "gtefield", Message: "must not be before validFrom"})
		}
	}
	for i, e := range a.Exceptions {
		for j, h := range e.Hours {
			backwards(fmt.Sprintf("exceptions[%d].hours[%d]", i, j), h)
		}
	}
	return wrong
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

// spans returns when the practitioner is available within the span: in order, none
// of them touching the next, in UTC.
func (a Availability) spans(within Span, zone *time.Location) []Span {
	var found []Span
	for s := range steady(zone, within) {
		// While the offset holds, clocks run as in UTC.
		first := calendar.DateIn(s.Start.Add(s.offset), time.UTC)
		last := calendar.DateIn(s.End.Add(s.offset), time.UTC)
		for date := first; !date.After(last); date = date.AddDays(1) {
			midnight := date.Time().Add(-s.offset)
			for _, h := range a.hoursOn(date) {
				part := Span{midnight.Add(h.From.sinceMidnight()), midnight.Add(h.To.sinceMidnight())}.common(s.Span)
				if !part.empty() {
					found = append(found, part)
				}
			}
		}
	}
	return merged(found)
}

// covers reports whether the practitioner is available from the start to the end.
func (a Availability) covers(s Span, zone *time.Location) bool {
	found := a.spans(s, zone)
	return len(found) == 1 && found[0].Start.Equal(s.Start) && found[0].End.Equal(s.End)
}

// around returns what an appointment takes of the practitioner's time, its buffers
// included.
func (a Availability) around(s Span) Span {
	return Span{
		s.Start.Add(-time.Duration(a.BufferBefore) * time.Minute),
		s.End.Add(time.Duration(a.BufferAfter) * time.Minute),
	}
}

// merged returns the same instants as spans in order that neither overlap nor touch.
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
