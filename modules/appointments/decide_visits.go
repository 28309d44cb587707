package appointments

import (
	"maps"
	"slices"
	"strconv"

	"github.com/google/uuid"

	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/record"
	"omnirapeutic/platform/scheduling"
)

// A visit is what a payer's rule rounds together: the appointments of one patient on one service
// date. When one of them changes, the units of the others may change too.

// visit identifies a visit.
type visit struct {
	patient, payer uuid.UUID
	day            calendar.Date
	method         scheduling.Rounding
	unitMinutes    int
	code           string    // empty: services of all codes are rounded together
	practitioner   uuid.UUID // zero: the work of all practitioners is rounded together
}

// recount is a change of units of another appointment of a visit.
type recount struct {
	appointment record.Key
	patient     int // the index of the patient
	units       int
}

// visitDraft is a draft whose units are rounded together with the units of other appointments.
type visitDraft struct{ *draft }

// visitOf returns the visit of a participant, and whether its payer rounds by visits.
func (d visitDraft) visitOf(a Appointment, p Participant) (visit, bool) {
	day := d.dayOf(a)
	rules := d.payerOn(p, day)
	v := visit{
		patient: p.PatientID, payer: rules.PayerID, day: day, method: rules.Method, unitMinutes: p.UnitMinutes,
	}
	switch rules.Basis {
	case scheduling.EachSession:
		return visit{}, false
	case scheduling.DayAndPractitioner:
		v.practitioner = a.Practitioners[0]
		v.code = p.Code
	case scheduling.Day:
		v.code = p.Code
	case scheduling.Visit:
	}
	return v, true
}

// dayOf returns the service date: of the session if the appointment has one, otherwise of the
// booking.
func (d visitDraft) dayOf(a Appointment) calendar.Date {
	if a.Worked != nil {
		return calendar.DateIn(a.Worked.Start, a.zone(d.home))
	}
	return a.ServiceDate
}

// shareOf returns the units of a patient of the draft's appointment, and the rule that applies.
// Sessions are rounded with sessions only, so that the units to bill do not depend on plans.
// Appointments to come are rounded with both.
func (d visitDraft) shareOf(p Participant) int {
	v, together := d.visitOf(d.a, p)
	if !together {
		return unitsOf(p.Rounding.Method, p.Minutes, p.UnitMinutes)
	}
	return d.sharesIn(v, d.a.Status == Completed)[d.a.ID]
}

// sharesIn returns the units of each member of a visit, with the draft's appointment as it would be.
func (d visitDraft) sharesIn(v visit, sessionsOnly bool) map[uuid.UUID]int {
	var members []member
	add := func(a Appointment) {
		if !a.Status.counts() || sessionsOnly && a.Status != Completed {
			return
		}
		for _, p := range a.Patients {
			if in, together := d.visitOf(a, p); p.PatientID == v.patient && !p.Absent && together && in == v {
				members = append(members, member{a.ID, a.timeOf(p).Start, p.Minutes})
			}
		}
	}
	for key, a := range d.records.appointments {
		if key.OrganizationID == d.a.OrganizationID && a.ID != d.a.ID {
			add(a)
		}
	}
	add(d.a)
	return shares(v.method, v.unitMinutes, members)
}

// recounts returns the appointments of the draft's visits, before and after the change, whose units
// change, sorted by key.
func (d visitDraft) recounts(before Appointment) []recount {
	visits := map[visit]bool{}
	for _, a := range []Appointment{before, d.a} {
		if !a.Status.counts() {
			continue
		}
		for _, p := range a.Patients {
			if v, together := d.visitOf(a, p); together {
				visits[v] = true
			}
		}
	}
	if len(visits) == 0 {
		return nil
	}
	var all []recount
	for _, key := range slices.SortedFunc(maps.Keys(d.records.appointments), record.Key.Compare) {
		a := d.records.appointments[key]
		if key.OrganizationID != d.a.OrganizationID || a.ID == d.a.ID || !a.Status.counts() {
			continue
		}
		for i, p := range a.Patients {
			v, together := d.visitOf(a, p)
			if !together || !visits[v] || p.Absent {
				continue
			}
			if units := d.sharesIn(v, a.Status == Completed)[a.ID]; units != p.Units {
				all = append(all, recount{key, i, units})
			}
		}
	}
	return all
}

func (d visitDraft) grows(r recount) bool {
	return r.units > d.records.appointments[r.appointment].Patients[r.patient].Units
}

// recountVisits changes the units of the other appointments of the draft's visits that lose units or,
// if grow is set, gain units. It returns the rules that prevent more units. An appointment that cannot
// get its share keeps its units, and its session consumes the available ones.
func (d visitDraft) recountVisits(all []recount, grow bool) ([]*fault.Error, error) {
	var reasons []*fault.Error
	for _, r := range all {
		if d.grows(r) != grow {
			continue
		}
		other := d.sibling(r.appointment)
		against, err := other.takeShare(r)
		if err != nil {
			return nil, err
		}
		reasons = append(reasons, against...)
		if len(against) == 0 {
			d.siblings[r.appointment] = other.draft
		}
	}
	return reasons, nil
}

// withVisits makes the draft's own claims, and changes the units of the other appointments of its
// visits. It returns the rules that prevent the latter.
func (d visitDraft) withVisits(own func() error) ([]*fault.Error, error) {
	all := d.recounts(d.before)
	if _, err := d.recountVisits(all, false); err != nil {
		return nil, err
	}
	if err := own(); err != nil {
		return nil, err
	}
	return d.recountVisits(all, true)
}

// ownClaims is withVisits for a change that no rule can prevent.
func (d visitDraft) ownClaims(own func() error) error {
	_, err := d.withVisits(own)
	return err
}

// sibling returns a draft of another appointment of the visit, on the same sheet.
func (d visitDraft) sibling(key record.Key) visitDraft {
	if existing, ok := d.siblings[key]; ok {
		return visitDraft{existing}
	}
	other := &draft{records: d.records, request: d.request, sheet: d.sheet, a: d.records.appointments[key].clone()}
	other.before, other.home = d.records.appointments[key], d.home
	other.zone = other.a.zone(d.home)
	other.request.reservations = make([]uuid.UUID, len(other.a.Patients))
	for i := range other.request.reservations {
		other.request.reservations[i] = uuid.NewSHA1(d.ID, []byte(other.a.ID.String()+strconv.Itoa(i)))
	}
	other.touch()
	return visitDraft{other}
}

// takeShare gives the patient the units: it resizes the reservation of an open appointment, and
// makes a new version of a session.
func (d visitDraft) takeShare(r recount) ([]*fault.Error, error) {
	p := &d.a.Patients[r.patient]
	unchanged := *p
	p.Units = r.units
	p.Rounding = d.ruleOn(*p, d.dayOf(d.a))
	if d.a.Status != Completed {
		against, err := d.hold(r.patient)
		if len(against) > 0 {
			*p = unchanged
		}
		return against, err
	}
	if d.session == nil {
		if err := d.startVersion(recounted); err != nil {
			return nil, err
		}
	}
	if err := d.takeBack(p, d.session.ServiceDate); err != nil {
		return nil, err
	}
	return nil, d.consume(r.patient)
}
