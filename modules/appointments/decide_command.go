package appointments

import (
	"slices"

	"github.com/google/uuid"

	"omnirapeutic/platform/command"
	"omnirapeutic/platform/outbox"
	"omnirapeutic/platform/record"
	"omnirapeutic/platform/trail"
)

// bookingState is what one transaction has read for its requests. They are decided on it one after
// the other, and the results are written together. It does no I/O.
type bookingState struct {
	records
	prefetched appointmentReading
	expanded   map[uuid.UUID]request // the requests with a part for each appointment, by call

	changed  []record.Key        // appointments to write, each once
	shrunk   map[record.Key]bool // appointments that lose a participant
	saved    []Session           // new sessions and new versions
	messages []outbox.Message
	events   []trail.Event
	series   []Series
	edited   map[record.Key]bool // series with an appointment that an earlier request has changed
}

// decide decides a request on the state that earlier requests left. The error is not caused by the
// request, see [authorization.Sheet], or is [errStaleZone].
func (s *bookingState) decide(called request) (verdict, bool, error) {
	r := s.expanded[called.CallID]
	switch {
	case !s.inCurrentZone(r):
		return verdict{}, false, errStaleZone
	case s.hasStaleSeries(r):
		return verdict{}, false, command.ErrSeparate
	}
	r = s.withoutChangedParts(r)
	v, err := s.records.decide(r)
	switch {
	case err != nil:
		return v, false, err
	case v.changed():
		s.noteAll(r, v)
		return v, true, nil
	}
	attempt := trailOfAttempt(r, v, s.now)
	s.events = append(s.events, attempt...)
	return v, len(attempt) > 0, nil
}

// inCurrentZone reports whether the request was parsed with the organization's time zone as read in
// this transaction.
func (s *bookingState) inCurrentZone(r request) bool {
	rules, known := s.rules.Organizations[r.caller.OrganizationID]
	return !known || rules.TimeZone == r.zone.String()
}

// hasStaleSeries reports whether an earlier request has changed the series of the request. The parts and
// their shift depend on all appointments of the series, as they were read before.
func (s *bookingState) hasStaleSeries(r request) bool {
	if !r.scope.several() {
		return false
	}
	series := s.appointments[r.key()].SeriesID
	return series != nil && s.edited[record.Of(r.caller.OrganizationID, *series)]
}

// toSave returns the appointments to write, and the ones that lose a practitioner.
func (s *bookingState) toSave() (changed, shrunk []Appointment) {
	for _, key := range s.changed {
		changed = append(changed, s.appointments[key])
		if s.shrunk[key] {
			shrunk = append(shrunk, s.appointments[key])
		}
	}
	return changed, shrunk
}

func (s *bookingState) noteAll(r request, v verdict) {
	if v.parts == nil {
		s.note(r, v)
		return
	}
	if r.kind == book {
		s.series = append(s.series, Series{
			OrganizationID: r.caller.OrganizationID, ID: r.series, RecurrenceRule: r.rule, CreatedBy: r.caller.UserID,
			CreatedAt: s.now,
		})
	}
	for i, decided := range v.parts {
		if decided.changed() {
			s.note(r.parts[i], decided)
		}
	}
}

func (s *bookingState) note(r request, v verdict) {
	key := record.Of(v.appointment.OrganizationID, v.appointment.ID)
	if !slices.Contains(s.changed, key) {
		s.changed = append(s.changed, key)
	}
	if series := v.appointment.SeriesID; series != nil {
		s.edited[record.Of(key.OrganizationID, *series)] = true
	}
	if len(v.appointment.Practitioners) < len(v.before.Practitioners) ||
		len(v.appointment.Patients) < len(v.before.Patients) {
		s.shrunk[key] = true
	}
	if v.session != nil {
		s.saved = append(s.saved, *v.session)
	}
	s.messages = append(s.messages, messageOf(r, v.appointment))
	s.events = append(s.events, trailOf(r, v)...)
	for _, sibling := range v.siblings {
		s.note(r.asRecount(), sibling)
	}
}
