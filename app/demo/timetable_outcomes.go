package demo

import (
	"cmp"
	"slices"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/modules/appointments"
)

// narratives are what technicians wrote; one in nine sessions has none yet.
var narratives = []string{
	"Requests with two words, in play. Four of five trials without help.",
	"Turn-taking with a puzzle, then with a ball. Needed one reminder.",
	"Washing hands step by step; the last two steps without help.",
	"Waiting for two minutes with a timer. The caregiver watched and then tried it.",
}

// timedStep is an operation on an appointment at a time.
type timedStep struct {
	at time.Time
	do func(*appointments.Service) error
}

// playTimetable completes, cancels and misses the past visits in order of time. It starts those
// in progress, and one that its technician forgot to complete. Another past visit
// remains scheduled.
func (c *clinic) playTimetable() error {
	slices.SortStableFunc(c.past,
		func(a, b started) int { return cmp.Or(a.Start.Compare(b.Start), cmp.Compare(a.lead, b.lead)) })
	forgotten, untouched := -1, -1
	for i, v := range c.past {
		switch over := v.treatment && v.End.Before(c.Now.Add(-time.Hour)); {
		case over && v.lead == "Tom":
			forgotten = i
		case over && v.lead == "Rita":
			untouched = i
		}
	}
	var all []timedStep
	for i, v := range c.past {
		if i != untouched {
			all = append(all, c.stepsOf(i, v, i == forgotten)...)
		}
	}
	slices.SortStableFunc(all, func(a, b timedStep) int { return a.at.Compare(b.at) })
	for _, m := range all {
		if err := m.do(c.Appointments(m.at)); err != nil {
			return err
		}
	}
	return nil
}

// stepsOf returns the operations on the visit with the index i.
func (c *clinic) stepsOf(i int, v started, forgotten bool) []timedStep {
	end, narrative := v.End, &narratives[i%len(narratives)]
	switch {
	case i%7 == 3:
		end = end.Add(-15 * time.Minute)
	case i%11 == 4 && v.treatment:
		end = end.Add(15 * time.Minute)
	}
	if i%9 == 2 {
		narrative = nil
	}
	begin := timedStep{v.Start, func(s *appointments.Service) error {
		_, err := s.Start(c.ctx, v.id, nil, "")
		return err
	}}
	cancel := func(before time.Duration, code, reason string) []timedStep {
		by := &appointments.Cancellation{ReasonID: new(c.reasons[code])}
		return []timedStep{{v.Start.Add(-before), func(s *appointments.Service) error {
			_, err := s.CancelBy(c.ctx, v.id, by, &reason, appointments.ScopeOne, "")
			return err
		}}}
	}
	done := end.Add(5 * time.Minute)
	switch {
	case forgotten || done.After(c.Now):
		return []timedStep{begin}
	case i%13 == 5:
		return cancel(50*time.Hour, "FAMILY-AWAY", "The family is on vacation.")
	case i%17 == 9:
		return cancel(2*time.Hour, "PATIENT-ILL", "The child has a fever.") // late: with less than 24 hours' notice
	case i%23 == 11:
		return []timedStep{{done, func(s *appointments.Service) error {
			_, err := s.NoShow(c.ctx, v.id, nil, "")
			return err
		}}}
	}
	return c.completion(i, v, end, narrative)
}

// completion returns the steps that complete a visit five minutes after its end. A few sessions are
// corrected or voided twenty minutes later.
func (c *clinic) completion(i int, v started, end time.Time, narrative *string) []timedStep {
	var session uuid.UUID
	done := end.Add(5 * time.Minute)
	complete := timedStep{done, func(s *appointments.Service) error {
		o, err := s.Complete(c.ctx, v.id, appointments.Completion{Start: &v.Start, End: &end, Narrative: narrative}, "")
		if err == nil {
			session = o.Session.ID
		}
		return err
	}}
	later := done.Add(20 * time.Minute)
	switch {
	case later.After(c.Now):
	case i%19 == 6:
		return []timedStep{complete, {later, func(s *appointments.Service) error {
			early := appointments.Correction{End: new(end.Add(-15 * time.Minute)), Confirm: true}
			_, err := s.Correct(c.ctx, session, early, "The technician left 15 minutes early.", "")
			return err
		}}}
	case i%29 == 14:
		return []timedStep{complete, {later, func(s *appointments.Service) error {
			_, err := s.Void(c.ctx, session, appointments.Correction{}, appointments.Cancelled,
				"It was recorded for the wrong child.", "")
			return err
		}}}
	}
	return []timedStep{complete}
}
