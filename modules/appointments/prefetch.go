package appointments

import (
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/modules/authorization"
	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/record"
	"omnirapeutic/platform/scheduling"
)

// needs are the records that requests may need, in any order and combination, so that a batch is
// read in one go.
type needs struct {
	held      []authorization.Held
	query     scheduling.Query
	coverages map[record.Key]map[calendar.Date]bool // the days whose rounding rules are needed
	staff     map[record.Key][]Span                 // the times for which practitioners' slots are needed
	patients  map[record.Key][]Span
	days      []patientDay // patients' days that the requests concern
	visits    []patientDay // the days whose sessions are rounded together
	corrects  bool         // whether a request changes a session
	real      []realNeed   // the real times of sessions
}

// realNeed is a possible real time of a session, with its practitioners and patients.
type realNeed struct {
	people []record.Key
	span   Span
}

// patientDay is a day of a patient, for an authorization.
type patientDay struct {
	patient, authorization record.Key
	day                    calendar.Date
	zone                   *time.Location
}

// subject is an appointment with all changes that the requests may make.
type subject struct {
	organization uuid.UUID
	zone         *time.Location
	service      uuid.UUID
	patients     []Participant
	staff        []uuid.UUID
	starts, ends []time.Time
	worked       []time.Time // possible starts of its sessions
	real         []Span      // possible times of its sessions
	places       []Place     // its possible places
	rebooked     bool        // it may be rebooked again: its time, staff or authorization may change
}

// needsOf returns the needs of the requests, for existing appointments and new ones.
func needsOf(requests []request, existing map[record.Key]Appointment, now time.Time) needs {
	n := needs{
		coverages: map[record.Key]map[calendar.Date]bool{},
		staff:     map[record.Key][]Span{}, patients: map[record.Key][]Span{},
	}
	for _, r := range requests {
		if r.transfer != nil { // both authorizations are needed, even if nothing moves
			n.held = append(n.held, authorization.Held{OrganizationID: r.caller.OrganizationID, AuthorizationID: r.transfer.From},
				authorization.Held{OrganizationID: r.caller.OrganizationID, AuthorizationID: r.transfer.To},
			)
		}
	}
	subjects := map[record.Key]*subject{}
	for _, r := range flat(requests) {
		n.corrects = n.corrects || r.kind == correct || r.kind == void
		if r.kind == book {
			n.add(subjectOf(r))
			continue
		}
		a, ok := existing[r.key()]
		if !ok {
			continue
		}
		s := subjects[r.key()]
		if s == nil {
			s = &subject{
				organization: a.OrganizationID, zone: r.zone, service: a.ServiceCodeID, patients: a.clone().Patients, staff: a.clone().Practitioners,
				starts: []time.Time{a.Start}, ends: []time.Time{a.End}, places: []Place{a.Place},
			}
			subjects[r.key()] = s
		}
		s.places = append(s.places, r.change.Place.named(), r.correction.Place.named())
		s.addChanges(r, a, now)
	}
	for _, s := range subjects {
		n.add(*s)
	}
	return n
}

func subjectOf(r request) subject {
	s := subject{
		organization: r.caller.OrganizationID, zone: r.zone, service: r.booking.ServiceCodeID, staff: r.booking.Practitioners,
		starts: []time.Time{r.booking.Start}, ends: []time.Time{r.booking.End}, rebooked: true,
		places: []Place{r.booking.Place},
	}
	for _, p := range r.booking.Patients {
		s.patients = append(s.patients, Participant{PatientID: p.PatientID, AuthorizationID: p.AuthorizationID})
	}
	return s
}

// addChanges adds the changes that a request may make to the appointment.
func (s *subject) addChanges(r request, a Appointment, now time.Time) {
	switch r.kind {
	case reschedule:
		c := r.change
		s.rebooked = true
		s.staff = append(s.staff, c.Practitioners.Value...)
		if c.Start.Given {
			s.starts = append(s.starts, c.Start.Value)
		}
		if c.End.Given {
			s.ends = append(s.ends, c.End.Value)
		}
		for _, p := range c.Patients.Value {
			s.patients = append(s.patients, Participant{PatientID: p.PatientID, AuthorizationID: p.AuthorizationID})
		}
		if c.AuthorizationID.Given {
			s.patients = append(s.patients, Participant{PatientID: a.Patients[0].PatientID, AuthorizationID: c.AuthorizationID.Value})
		}
	case transfer:
		s.rebooked = true
		for _, p := range a.Patients {
			if p.AuthorizationID == r.transfer.From {
				s.patients = append(s.patients, Participant{PatientID: p.PatientID, AuthorizationID: r.transfer.To})
			}
		}
	case start:
		if r.started != nil { // a completion in the same batch uses it
			s.worked = append(s.worked, *r.started)
			s.real = append(s.real, Span{*r.started, a.End}, Span{*r.started, now})
		}
	case correct:
		s.addCorrection(r.correction, a.Occupied())
	case void:
		s.worked = append(s.worked, a.Occupied().Start)
		s.rebooked = true
	case reopen:
		s.rebooked = a.Status != InProgress
	case noShow:
		s.worked = append(s.worked, a.Start) // the payer's rule of the date decides on the units
	case complete:
		s.worked = append(s.worked, now)
		if a.StartedAt != nil {
			s.worked = append(s.worked, *a.StartedAt)
		}
		if r.completion.Start != nil {
			s.worked = append(s.worked, *r.completion.Start)
		}
		s.real = append(s.real, completedSpans(a, r.completion, now)...)
	}
}

// addCorrection adds the changes that a correction may make to a session of the given time.
func (s *subject) addCorrection(c Correction, corrected Span) {
	s.worked = append(s.worked, corrected.Start)
	if c.Start != nil {
		s.worked = append(s.worked, *c.Start)
		corrected.Start = *c.Start
	}
	if c.End != nil {
		corrected.End = *c.End
	}
	s.real = append(s.real, corrected)
	s.staff = append(s.staff, c.Practitioners...)
	for _, p := range c.Patients {
		if p.AuthorizationID != nil {
			s.patients = append(s.patients, Participant{PatientID: p.PatientID, AuthorizationID: *p.AuthorizationID})
		}
	}
}

// completedSpans returns the possible times of a completion: the given ones, or else the booked ones
// or, after a start, the recorded start and now.
func completedSpans(a Appointment, c Completion, now time.Time) []Span {
	starts, ends := []time.Time{a.Start}, []time.Time{a.End}
	if a.StartedAt != nil {
		starts, ends = append(starts, *a.StartedAt), append(ends, now)
	}
	if a.ClockedOutAt != nil {
		ends = append(ends, *a.ClockedOutAt)
	}
	if c.Start != nil {
		starts = []time.Time{*c.Start}
	}
	if c.End != nil {
		ends = []time.Time{*c.End}
	}
	var spans []Span
	for _, start := range starts {
		for _, end := range ends {
			spans = append(spans, Span{start, end})
		}
	}
	return spans
}

// spans returns every time that the appointment may get.
func (s subject) spans() []Span {
	var all []Span
	for _, start := range s.starts {
		for _, end := range s.ends {
			if span := (Span{start, end}); len(span.fieldErrors()) == 0 {
				all = append(all, span)
			}
		}
	}
	return all
}

func (n *needs) add(s subject) {
	key := func(id uuid.UUID) record.Key { return record.Of(s.organization, id) }
	n.query.ServiceCodes = append(n.query.ServiceCodes, key(s.service))
	n.addPlaces(s)
	days := map[calendar.Date]bool{}
	for _, t := range append(s.starts, s.worked...) {
		for _, day := range s.datesOf(t) {
			days[day] = true
		}
	}
	for _, id := range s.staff {
		n.query.Practitioners = append(n.query.Practitioners, key(id))
		if s.rebooked {
			n.staff[key(id)] = append(n.staff[key(id)], s.spans()...)
		}
	}
	n.addReal(s)
	for _, p := range s.patients {
		n.held = append(n.held, authorization.Held{
			OrganizationID: s.organization, AuthorizationID: p.AuthorizationID, ReservationID: p.ReservationID,
		})
		n.query.Patients = append(n.query.Patients, key(p.PatientID))
		if s.rebooked {
			n.patients[key(p.PatientID)] = append(n.patients[key(p.PatientID)], s.spans()...)
		}
		if !s.rebooked && len(s.worked) == 0 && (p.Rounding.Basis == "" || p.Rounding.Basis == scheduling.EachSession) {
			continue // no units are computed
		}
		for day := range days {
			if n.coverages[key(p.AuthorizationID)] == nil {
				n.coverages[key(p.AuthorizationID)] = map[calendar.Date]bool{}
			}
			n.coverages[key(p.AuthorizationID)][day] = true
			n.days = append(n.days, patientDay{key(p.PatientID), key(p.AuthorizationID), day, s.zone})
		}
	}
}

// addReal adds the possible real times of the subject's sessions. Longer ones are refused anyway.
func (n *needs) addReal(s subject) {
	var practitioners, patients []record.Key
	for _, id := range s.staff {
		practitioners = append(practitioners, record.Of(s.organization, id))
	}
	for _, p := range s.patients {
		patients = append(patients, record.Of(s.organization, p.PatientID))
	}
	if s.rebooked && len(s.real) > 0 { // a session may have a time that an earlier request of the batch gives
		s.real = append(s.real, s.spans()...)
	}
	for _, span := range s.real {
		if !span.Start.Before(span.End) || span.End.Sub(span.Start) > MaxLength {
			continue
		}
		for _, key := range practitioners {
			n.staff[key] = append(n.staff[key], span)
		}
		for _, key := range patients {
			n.patients[key] = append(n.patients[key], span)
		}
		n.real = append(n.real, realNeed{slices.Concat(practitioners, patients), span})
	}
}

// overlapping returns the appointments that overlap possible sessions and are not yet read,
// sorted.
func (n *needs) overlapping(s *records) []record.Key {
	found := map[record.Key]bool{}
	for _, need := range n.real {
		for _, person := range need.people {
			for _, slot := range s.occupied[person] {
				key := record.Of(person.OrganizationID, slot.appointment)
				if _, known := s.appointments[key]; !known && slot.Overlaps(need.span) {
					found[key] = true
				}
			}
		}
	}
	return slices.SortedFunc(maps.Keys(found), record.Key.Compare)
}

// rulesQuery returns the query of scheduling rules. Its coverages depend on the insurances, which the ledger
// has.
func (n needs) rulesQuery(ledger *authorization.Ledger) scheduling.Query {
	for key, days := range n.coverages {
		a, ok := ledger.Authorization(key.OrganizationID, key.ID)
		if !ok {
			continue
		}
		for day := range days {
			n.query.Coverages = append(n.query.Coverages, coverageOf(key.OrganizationID, a.InsuranceID, day))
		}
	}
	return n.query
}

// addVisits adds the whole days of patients whose payers round several sessions together.
func (n *needs) addVisits(ledger *authorization.Ledger, rules scheduling.Rules) {
	for _, d := range n.days {
		a, ok := ledger.Authorization(d.authorization.OrganizationID, d.authorization.ID)
		payer := rules.Payers[coverageOf(d.authorization.OrganizationID, a.InsuranceID, d.day)]
		if ok && payer.PayerID != uuid.Nil && payer.Basis != scheduling.EachSession {
			n.visits = append(n.visits, d)
			n.patients[d.patient] = append(n.patients[d.patient], dayAnywhere(d.day))
		}
	}
}

// others returns the appointments of the visits that are not yet read, sorted.
func (n *needs) others(s *records) []record.Key {
	others := map[record.Key]bool{}
	for _, v := range n.visits {
		for _, slot := range s.occupied[v.patient] {
			key := record.Of(v.patient.OrganizationID, slot.appointment)
			if _, known := s.appointments[key]; !known && calendar.DateIn(slot.Start, slot.zone(v.zone)) == v.day {
				others[key] = true
			}
		}
	}
	return slices.SortedFunc(maps.Keys(others), record.Key.Compare)
}

// heldBy returns the authorizations and reservations of appointments.
func heldBy(appointments map[record.Key]Appointment) []authorization.Held {
	var held []authorization.Held
	for _, a := range appointments {
		for _, p := range a.Patients {
			held = append(held, authorization.Held{
				OrganizationID: a.OrganizationID, AuthorizationID: p.AuthorizationID, ReservationID: p.ReservationID,
			})
		}
	}
	return held
}

// rulesQueryOfOthers returns the query for the payers of the visits' other appointments.
func (n *needs) rulesQueryOfOthers(ledger *authorization.Ledger, others map[record.Key]Appointment) scheduling.Query {
	days := map[calendar.Date]bool{}
	for _, v := range n.visits {
		days[v.day] = true
	}
	var q scheduling.Query
	for _, a := range others {
		for _, p := range a.Patients {
			backing, _ := ledger.Authorization(a.OrganizationID, p.AuthorizationID)
			for day := range days {
				q.Coverages = append(q.Coverages, coverageOf(a.OrganizationID, backing.InsuranceID, day))
			}
		}
	}
	return q
}

// dayIn returns the span of a day in the zone. With a clock change, it is not 24 hours long and may
// not begin at midnight.
func dayIn(day calendar.Date, zone *time.Location) Span {
	return Span{instantOf(day.Time(), zone), instantOf(day.AddDays(1).Time(), zone)}
}

// flat returns the requests, with each request that has parts replaced by its parts.
func flat(requests []request) []request {
	var all []request
	for _, r := range requests {
		if r.parts == nil {
			all = append(all, r)
			continue
		}
		for _, part := range r.parts {
			part.zone = r.zone
			all = append(all, part)
		}
	}
	return all
}
