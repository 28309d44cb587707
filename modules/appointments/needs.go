package appointments

import (
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/scheduling"
)

// needs are what requests may meet, in whatever order and combination they come to
// be carried out: so that a batch is read at once, whatever is in it.
type needs struct {
	held      []Held
	question  scheduling.Question
	coverages map[authorizationKey]map[calendar.Date]bool // which days' rounding is asked for
	staff     map[scheduling.Key][]Span                   // times for which slots of practitioners are asked for
	patients  map[scheduling.Key][]Span
	visits    []patientDay // days of patients whose visits may be rounded as a whole
}

type authorizationKey = scheduling.Key

// patientDay is a day of a patient, for an authorization.
type patientDay struct {
	patient, authorization scheduling.Key
	day                    calendar.Date
	zone                   *time.Location
	totals                 bool // as it is, it is rounded by the visit
}

// subject is an appointment with all that the requests on it may make of it.
type subject struct {
	organization uuid.UUID
	zone         *time.Location
	service      uuid.UUID
	patients     []Participant
	staff        []uuid.UUID
	starts, ends []time.Time
	worked       []time.Time // when sessions of it may have begun
	placed       bool        // it may be placed again: its time, staff or authorization may change
}

// needsOf collects what the requests need to know, of appointments that are there
// and of new ones.
func needsOf(requests []request, there map[scheduling.Key]Appointment, now time.Time) needs {
	n := needs{
		coverages: map[authorizationKey]map[calendar.Date]bool{},
		staff:     map[scheduling.Key][]Span{}, patients: map[scheduling.Key][]Span{},
	}
	for _, r := range requests {
		if r.transfer != nil { // what they are is asked for, whatever there is to be moved
			n.held = append(n.held, Held{r.caller.OrganizationID, r.transfer.From, nil}, Held{r.caller.OrganizationID, r.transfer.To, nil})
		}
	}
	subjects := map[scheduling.Key]*subject{}
	for _, r := range flat(requests) {
		if r.kind == book {
			n.add(subjectOf(r))
			continue
		}
		a, ok := there[r.key()]
		if !ok {
			continue
		}
		s := subjects[r.key()]
		if s == nil {
			s = &subject{
				organization: a.OrganizationID, zone: r.zone, service: a.ServiceCodeID, patients: a.clone().Patients, staff: a.clone().Practitioners,
				starts: []time.Time{a.Start}, ends: []time.Time{a.End},
			}
			subjects[r.key()] = s
		}
		s.ask(r, a, now)
	}
	for _, s := range subjects {
		n.add(*s)
	}
	return n
}

func subjectOf(r request) subject {
	s := subject{
		organization: r.caller.OrganizationID, zone: r.zone, service: r.booking.ServiceCodeID, staff: r.booking.Practitioners,
		starts: []time.Time{r.booking.Start}, ends: []time.Time{r.booking.End}, placed: true,
	}
	for _, p := range r.booking.Patients {
		s.patients = append(s.patients, Participant{PatientID: p.PatientID, AuthorizationID: p.AuthorizationID})
	}
	return s
}

// ask adds what a request may make of the appointment.
func (s *subject) ask(r request, a Appointment, now time.Time) {
	switch r.kind {
	case reschedule:
		c := r.change
		s.placed = true
		s.staff = append(s.staff, c.Practitioners.Value...)
		if c.Start.Given {
			s.starts = append(s.starts, c.Start.Value)
		}
		if c.End.Given {
			s.ends = append(s.ends, c.End.Value)
		}
		if c.AuthorizationID.Given {
			s.patients = append(s.patients, Participant{PatientID: a.Patients[0].PatientID, AuthorizationID: c.AuthorizationID.Value})
		}
	case transfer:
		s.placed = true
		for _, p := range a.Patients {
			if p.AuthorizationID == r.transfer.From {
				s.patients = append(s.patients, Participant{PatientID: p.PatientID, AuthorizationID: r.transfer.To})
			}
		}
	case start:
		if r.started != nil { // a completion in the same batch uses it
			s.worked = append(s.worked, *r.started)
		}
	case complete:
		s.worked = append(s.worked, now)
		if a.StartedAt != nil {
			s.worked = append(s.worked, *a.StartedAt)
		}
		if r.completion.Start != nil {
			s.worked = append(s.worked, *r.completion.Start)
		}
	}
}

// spans returns every time that the appointment may come to have.
func (s subject) spans() []Span {
	var all []Span
	for _, start := range s.starts {
		for _, end := range s.ends {
			if span := (Span{start, end}); len(span.wrong()) == 0 {
				all = append(all, span)
			}
		}
	}
	return all
}

func (n *needs) add(s subject) {
	key := func(id uuid.UUID) scheduling.Key { return scheduling.Key{OrganizationID: s.organization, ID: id} }
	n.question.ServiceCodes = append(n.question.ServiceCodes, key(s.service))
	days := map[calendar.Date]bool{}
	for _, t := range append(s.starts, s.worked...) {
		days[calendar.DateIn(t, s.zone)] = true
	}
	for _, id := range s.staff {
		n.question.Practitioners = append(n.question.Practitioners, key(id))
		if s.placed {
			n.staff[key(id)] = append(n.staff[key(id)], s.spans()...)
		}
	}
	for _, p := range s.patients {
		n.held = append(n.held, Held{s.organization, p.AuthorizationID, p.ReservationID})
		n.question.Patients = append(n.question.Patients, key(p.PatientID))
		if s.placed {
			n.patients[key(p.PatientID)] = append(n.patients[key(p.PatientID)], s.spans()...)
		}
		if !s.placed && len(s.worked) == 0 {
			continue // nothing is measured
		}
		for day := range days {
			if n.coverages[key(p.AuthorizationID)] == nil {
				n.coverages[key(p.AuthorizationID)] = map[calendar.Date]bool{}
			}
			n.coverages[key(p.AuthorizationID)][day] = true
			n.visits = append(n.visits, patientDay{
				key(p.PatientID), key(p.AuthorizationID), day, s.zone, p.Rounding.Method == scheduling.RoundCMSTotal,
			})
		}
	}
}

// ask completes the question by the coverages, once the book tells the insurances.
func (n *needs) ask(book Book) scheduling.Question {
	for key, days := range n.coverages {
		terms, ok := book.Terms(key.OrganizationID, key.ID)
		if !ok {
			continue
		}
		for day := range days {
			n.question.Coverages = append(n.question.Coverages, coverageOf(key.OrganizationID, terms, day))
		}
	}
	return n.question
}

// addVisits asks for the whole days of patients whose payers round by the visit.
func (n *needs) addVisits(book Book, rules scheduling.Rules) {
	for _, v := range n.visits {
		terms, ok := book.Terms(v.authorization.OrganizationID, v.authorization.ID)
		totals := v.totals || ok && rules.Rounding[coverageOf(v.authorization.OrganizationID, terms, v.day)].Method == scheduling.RoundCMSTotal
		if totals {
			n.patients[v.patient] = append(n.patients[v.patient], dayIn(v.day, v.zone))
		}
	}
}

// dayIn returns the span of a day in the zone, which is not always 24 hours long, nor
// does it always begin at midnight.
func dayIn(day calendar.Date, zone *time.Location) Span {
	return Span{place(day.Time(), zone), place(day.AddDays(1).Time(), zone)}
}
