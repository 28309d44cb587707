package appointments

import "time"

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
	for _, open := range a.spans(window.longer(length), zone) {
		for s := range steady(zone, open.common(window)) {
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
func onGrid(s steadySpan, step time.Duration) time.Time {
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
