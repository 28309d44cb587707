package appointments

import (
	"slices"

	"github.com/google/uuid"

	"omnirapeutic/modules/authorization"
	"omnirapeutic/platform/fault"
)

// decideParts judges the parts of a request one after the other. It accepts all or none or, if the
// request is partial, the parts that break no rule. An error is not caused by the request.
//
// Appointments that move together are judged by their final times, so they do not conflict with
// each other's old times: these are freed before the first is placed. If units or caps run out on
// the way, the units of all of them are released first.
func (s *records) decideParts(r request) (verdict, error) {
	v, err := s.decideInTurn(r, s.ledger.Sheet())
	if err != nil || r.kind != reschedule || v.refusal == nil || v.refusal.Kind() != fault.Conflict {
		return v, err
	}
	sheet := s.ledger.Sheet()
	if err := s.giveBack(sheet, r.parts); err != nil {
		return verdict{}, err
	}
	if again, err := s.decideInTurn(r, sheet); err != nil || again.refusal == nil {
		return again, err
	}
	return v, nil
}

func (s *records) decideInTurn(r request, sheet *authorization.Sheet) (verdict, error) {
	v := verdict{parts: make([]verdict, 0, len(r.parts))}
	moving := s.moving(r.parts)
	for _, a := range moving {
		s.occupied.replace(a, Appointment{})
	}
	for _, part := range r.parts {
		if r.partial {
			sheet = s.ledger.Sheet()
		}
		decided, err := s.decideOn(sheet, part)
		if err != nil {
			s.undo(v.parts, moving)
			return verdict{}, err
		}
		if r.partial && decided.changed() {
			sheet.Keep()
		}
		v.parts = append(v.parts, decided)
	}
	v.occurrences = occurrencesOf(r.parts, v.parts)
	v.refusal = refusalOfParts(r, v)
	if v.refusal != nil {
		s.undo(v.parts, moving)
		v.parts, v.occurrences = nil, nil
		return v, nil //nolint:nilerr // a refusal is a verdict, not an error
	}
	if !r.partial {
		sheet.Keep()
	}
	for i, decided := range v.parts {
		if decided.refusal == nil && (v.appointment.ID == uuid.Nil || r.parts[i].appointment == r.appointment) {
			v.before, v.appointment = decided.before, decided.appointment
		}
	}
	return v, nil
}

// moving returns the current state of the appointments whose time, service date, staff or
// authorization the parts change.
func (s *records) moving(parts []request) []Appointment {
	var moving []Appointment
	for _, part := range parts {
		a, known := s.appointments[part.key()]
		if known && part.kind == reschedule && a.Status == Scheduled && (part.redates || part.change.moves(a)) {
			moving = append(moving, a)
		}
	}
	return moving
}

// giveBack marks the units of the moving appointments as released. Each keeps its reservation for
// its new units.
func (s *records) giveBack(sheet *authorization.Sheet, parts []request) error {
	for _, part := range parts {
		a := s.appointments[part.key()]
		if len(s.moving([]request{part})) == 0 {
			continue
		}
		d := s.draftOf(sheet, part)
		for i, p := range a.Patients {
			if p.ReservationID == nil {
				continue
			}
			if _, err := sheet.Hold(d.claim(i, 0, a.ServiceDate)); err != nil {
				return err
			}
		}
	}
	return nil
}

// undo reverts the parts' changes to the records, last first, and makes the moving appointments
// occupy their old times again. Released units need no undo.
func (s *records) undo(parts []verdict, moving []Appointment) {
	for _, decided := range slices.Backward(parts) {
		if !decided.changed() {
			continue
		}
		s.occupied.replace(decided.appointment, decided.before)
		if decided.before.Version == 0 {
			delete(s.appointments, decided.appointment.key())
		} else {
			s.appointments[decided.before.key()] = decided.before
		}
	}
	for _, a := range moving {
		s.occupied.replace(a, a)
	}
}

// refusalOfParts returns the refusal of the request, or nil. If another time would not help, for
// example for an unknown patient, it returns the same error as for a single appointment.
func refusalOfParts(r request, v verdict) *fault.Error {
	refused := 0
	for _, decided := range v.parts {
		if decided.refusal == nil {
			continue
		}
		if decided.refusal.Kind() != fault.Conflict || r.settling != nil && r.kind == cancel {
			return decided.refusal
		}
		refused++
	}
	if refused == 0 || r.partial && refused < len(v.parts) {
		return nil
	}
	for i := range v.occurrences {
		if r.kind == book || v.occurrences[i].Action == OccurrenceBooked {
			v.occurrences[i].AppointmentID = nil
		}
	}
	switch {
	case r.kind == transfer:
		return refuseMove(v.occurrences)
	case r.redates:
		return refuseServiceDates(v.occurrences)
	}
	return ErrSeries.With(SeriesRefusal{v.occurrences}, "%d of the %d appointments of the series cannot be booked.",
		refused, len(v.parts))
}

// occurrencesOf returns the result of each part, sorted by start.
func occurrencesOf(parts []request, decided []verdict) []Occurrence {
	occurrences := make([]Occurrence, len(parts))
	for i, part := range parts {
		v := decided[i]
		span := part.booking.Span
		if part.kind != book {
			span = part.change.span(v.before.Span)
		}
		o := Occurrence{StartTime: span.Start.UTC(), EndTime: span.End.UTC(), Action: part.action, Reasons: []fault.Reason{}}
		if v.refusal == nil || part.kind != book {
			o.AppointmentID = &part.appointment
		}
		for _, p := range v.appointment.Patients {
			if part.transfer == nil || part.transfer.concerns(p) {
				o.Units += p.Units
			}
		}
		if part.action == OccurrenceCancelled {
			o.Units = 0
		}
		if v.refusal != nil {
			o.Reasons = reasonsOf(v.refusal)
		}
		occurrences[i] = o
	}
	slices.SortFunc(occurrences, func(x, y Occurrence) int { return x.StartTime.Compare(y.StartTime) })
	return occurrences
}

// reasonsOf returns the reasons of a refusal. A refusal without reasons is its own reason.
func reasonsOf(refusal *fault.Error) []fault.Reason {
	if reasons := refusal.Reasons(); reasons != nil {
		return reasons
	}
	return refusal.Among([]*fault.Error{refusal}).Reasons()
}
