package appointments

import (
	"maps"
	"slices"
	"time"

	"omnirapeutic/modules/authorization"
	"omnirapeutic/modules/directory"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/record"
	"omnirapeutic/platform/scheduling"
)

// records are what requests are decided on: the rows that one transaction has read for
// all of them, changed by the earlier decisions.
type records struct {
	now          time.Time
	appointments map[record.Key]Appointment // named by the requests, and the others of their visits
	sessions     map[record.Key]Session     // of completed appointments that may change, by appointment
	written      map[record.Key]bool        // the sessions that earlier requests changed, by appointment
	rules        scheduling.Rules
	occupied     occupied
	ledger       *authorization.Ledger
	reasons      map[record.Key]directory.CancellationReason // that cancellations name
	// missed has the appointments that requests make up for, and their other make-ups, as they were read.
	missed map[record.Key]Appointment
}

// verdict is the decision on a request.
type verdict struct {
	refusal     *fault.Error // nil: accepted
	before      Appointment  // the zero value for a new appointment
	appointment Appointment
	session     *Session     // of a completion, or the new version of a correction
	siblings    []verdict    // on other appointments of its visits, whose units change
	replayed    bool         // whether it is the stored response of an earlier request with the same key
	parts       []verdict    // of a request for several appointments
	occurrences []Occurrence // the parts as reported to clients
}

// changed reports whether there is anything to write.
func (v verdict) changed() bool {
	if v.parts != nil {
		return v.refusal == nil && slices.ContainsFunc(v.parts, verdict.changed)
	}
	return v.refusal == nil && v.appointment.Version != v.before.Version
}

// decide judges one request. It is the only function that changes appointments. An accepted request
// changes the units in the ledger and the occupied slots; a refused one changes nothing. An
// error is not caused by the request: see [authorization.Sheet].
func (s *records) decide(r request) (verdict, error) {
	if r.kind == transfer {
		if refusal := s.refuseTransfer(r); refusal != nil {
			return verdict{refusal: refusal}, nil //nolint:nilerr // a refusal is a verdict
		}
	}
	if r.parts != nil {
		return s.decideParts(r)
	}
	sheet := s.ledger.Sheet()
	v, err := s.decideOn(sheet, r)
	if err == nil && v.changed() {
		sheet.Keep()
	}
	return v, err
}

// decideOn is decide for a request whose claims are added to the sheet. The caller keeps the sheet.
func (s *records) decideOn(sheet *authorization.Sheet, r request) (verdict, error) {
	d := s.draftOf(sheet, r)
	if err := d.run(); err != nil || d.refusal != nil {
		return verdict{refusal: d.refusal, before: d.before, appointment: d.before}, err
	}
	return s.apply(d), nil
}

// accepts reports whether the request would be accepted. It changes nothing.
func (s *records) accepts(r request) (bool, error) {
	d := s.draftOf(s.ledger.Sheet(), r)
	err := d.run()
	return err == nil && d.refusal == nil, err
}

// run makes the requested change to the draft, or refuses it.
func (d *draft) run() error {
	with := visitDraft{d}
	switch {
	case d.kind == book && d.knownRefusal == nil:
		return bookingDraft{with}.bookNew()
	case d.before.Version == 0 && d.kind != book:
		d.refusal = ErrNotFound
		return nil
	case d.knownRefusal != nil:
		d.refusal = d.knownRefusal
		return nil //nolint:nilerr // a refusal is a decision, not a failure
	case d.kind == reschedule:
		return bookingDraft{with}.reschedule()
	case d.kind == transfer:
		return bookingDraft{with}.moveUnits()
	case d.kind == correct:
		return correctionDraft{sessionDraft{with}}.correct()
	case d.kind == void:
		return statusDraft{bookingDraft{with}}.void()
	case d.kind == clockOut:
		statusDraft{bookingDraft{with}}.clockOut()
		return nil
	default:
		return statusDraft{bookingDraft{with}}.move()
	}
}

// apply takes over an accepted draft with its siblings, and returns the verdict.
func (s *records) apply(d *draft) verdict {
	v := verdict{before: d.before, appointment: d.a, session: d.session}
	if !v.changed() {
		return v
	}
	key := d.a.key()
	s.appointments[key] = d.a
	s.occupied.replace(d.before, d.a)
	if d.session != nil {
		d.session.takeModifiers(d.a)
		s.sessions[key], s.written[key] = *d.session, true
	}
	for _, key := range slices.SortedFunc(maps.Keys(d.siblings), record.Key.Compare) {
		v.siblings = append(v.siblings, s.apply(d.siblings[key]))
	}
	return v
}
