package appointments

import "omnirapeutic/platform/operation"

// operations stores the outcomes of requests, for replay.
var operations = operation.In("appointment_operations")

// memory is the stored form of a request's outcome. It does not contain texts such as notes.
type memory struct {
	operation.Answer
	Appointment *Appointment `json:"appointment,omitempty"`
	Session     *Session     `json:"session,omitempty"`
	Occurrences []Occurrence `json:"occurrences,omitempty"`
}

func memoryOf(r request, v verdict) memory {
	m := memory{Answer: operation.Answer{Call: r.call}}
	if v.refusal != nil {
		m.Refusal = v.refusal.Freeze()
		return m
	}
	a := v.appointment
	a.Notes, a.CancelReason, a.ReopenReason = nil, nil, nil
	m.Appointment, m.Occurrences = &a, v.occurrences
	if v.session != nil {
		s := *v.session
		s.Narrative = nil
		m.Session = &s
	}
	return m
}

// recall returns the verdict of the earlier request, with the current texts of the appointment and
// the session.
func (m memory) recall(now Appointment, session *Session) (verdict, error) {
	v := verdict{replayed: true}
	if m.Refusal != nil {
		refusal, err := m.Refusal.Thaw()
		v.refusal = refusal
		return v, err
	}
	v.appointment, v.occurrences = *m.Appointment, m.Occurrences
	v.appointment.Notes = now.Notes
	if v.appointment.CancelledAt != nil { // or cancelled later
		v.appointment.CancelReason = now.CancelReason
	}
	if v.appointment.ReopenedAt != nil {
		v.appointment.ReopenReason = now.ReopenReason
	}
	if v.session = m.Session; v.session != nil && session != nil {
		v.session.Narrative = session.Narrative
	}
	v.before = v.appointment // nothing to write
	return v, nil
}
