package appointments

import (
	"iter"
	"time"

	"omnirapeutic/platform/calendar"
)

// Length returns the elapsed time from the start to the end.
func (s Span) Length() time.Duration { return s.End.Sub(s.Start) }

// intersection returns the intersection of the spans; its end is not after its start if they do not
// overlap.
func (s Span) intersection(other Span) Span {
	if other.Start.After(s.Start) {
		s.Start = other.Start
	}
	if other.End.Before(s.End) {
		s.End = other.End
	}
	return s
}

// extended returns the span with a later end.
func (s Span) extended(by time.Duration) Span { return Span{s.Start, s.End.Add(by)} }

func (s Span) empty() bool { return !s.Start.Before(s.End) }

// A wall-clock time is a date and a time of day without a zone. It is represented by a time.Time in
// UTC.

// wallClock returns the wall-clock time in the zone at t.
func wallClock(t time.Time, zone *time.Location) time.Time {
	local := t.In(zone)
	year, month, day := local.Date()
	hour, minute, second := local.Clock()
	return time.Date(year, month, day, hour, minute, second, local.Nanosecond(), time.UTC)
}

// onDate returns the wall-clock time on another date.
func onDate(date calendar.Date, wall time.Time) time.Time {
	const day = 24 * time.Hour
	return date.Time().Add(wall.Sub(wall.Truncate(day)))
}

// instantOf returns the instant of a wall-clock time in the zone, by the rules of RFC 5545, 3.3.5. A
// time that is repeated by a clock change means the first occurrence. A time that is skipped uses
// the offset before the change, so that 02:30 means 03:30 on that day. [time.Date] does not specify
// which of the two it returns.
func instantOf(wall time.Time, zone *time.Location) time.Time {
	const margin = 48 * time.Hour // more than the largest possible offset change of 26 hours
	var before time.Duration
	for s := range constantOffsets(zone, Span{wall.Add(-margin), wall.Add(margin)}) {
		t := wall.Add(-s.offset)
		switch {
		case t.Before(s.Start):
			return wall.Add(-before).UTC()
		case t.Before(s.End):
			return t.UTC()
		}
		before = s.offset
	}
	return wall.Add(-before).UTC()
}

// offsetSpan is a span in which a zone keeps its offset.
type offsetSpan struct {
	Span
	offset time.Duration // the difference of wall-clock time and UTC
}

// constantOffsets yields the parts of the span with a constant offset in the zone, in order and without
// gaps.
func constantOffsets(zone *time.Location, within Span) iter.Seq[offsetSpan] {
	return func(yield func(offsetSpan) bool) {
		for at := within.Start; at.Before(within.End); {
			local := at.In(zone)
			_, offset := local.Zone()
			_, end := local.ZoneBounds()
			if end.IsZero() || end.After(within.End) {
				end = within.End
			}
			if !yield(offsetSpan{Span{at.UTC(), end.UTC()}, time.Duration(offset) * time.Second}) {
				return
			}
			at = end
		}
	}
}
