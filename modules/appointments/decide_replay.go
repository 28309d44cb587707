package appointments

import (
	"encoding/json"

	"omnirapeutic/platform/fault"
)

// storedVerdict is the stored form of a verdict. It does not contain texts such as notes.
type storedVerdict struct {
	Refusal     *fault.Stored `json:"refusal,omitempty"` // nil: accepted
	Appointment *Appointment  `json:"appointment,omitempty"`
	Session     *Session      `json:"session,omitempty"`
	Occurrences []Occurrence  `json:"occurrences,omitempty"`
}

func storedVerdictOf(v verdict) storedVerdict {
	if v.refusal != nil {
		return storedVerdict{Refusal: v.refusal.Store()}
	}
	a := v.appointment
	a.Notes, a.CancelReason, a.ReopenReason = nil, nil, nil
	a.Clocking = a.Clocking.times()
	stored := storedVerdict{Appointment: &a, Occurrences: v.occurrences}
	if v.session != nil {
		s := *v.session
		s.Narrative, s.NoteSections = nil, nil
		stored.Session = &s
	}
	return stored
}

// replay returns the verdict on an earlier call of the request from its stored answer. The texts
// come from the request, which is the same, and from the current appointment.
func (s *bookingState) replay(r request, answer []byte) (verdict, error) {
	var stored storedVerdict
	if err := json.Unmarshal(answer, &stored); err != nil {
		return verdict{}, err
	}
	if stored.Refusal != nil {
		refusal, err := stored.Refusal.Restore()
		return verdict{refusal: refusal}, err
	}
	v := verdict{appointment: *stored.Appointment, session: stored.Session, occurrences: stored.Occurrences}
	now := s.appointments[r.key()]
	v.appointment.Notes = now.Notes
	if r.kind == book {
		v.appointment.Notes = r.booking.Notes
	}
	if v.appointment.CancelledAt != nil { // or cancelled later
		v.appointment.CancelReason = now.CancelReason
	}
	if v.appointment.ReopenedAt != nil {
		v.appointment.ReopenReason = now.ReopenReason
	}
	if v.session != nil {
		v.session.Narrative = r.completion.Narrative
	}
	v.before = v.appointment // nothing to write
	return v, nil
}
