package e2e

import (
	"cmp"
	"slices"
	"time"
)

// This file computes what a clinic's requests must lead to. It follows docs/sessions.md, the decisions
// 56, 57 and 60, and the published rules of rounding. It is slow and simple on purpose: it shares no
// code with the program, and counts every balance again from the list of appointments.

// modelRule is a payer's rounding rule from a day on.
type modelRule struct {
	from          string // a date
	method, basis string
}

// modelPayer is a payer with its rules, oldest first.
type modelPayer struct {
	id    string
	rules []modelRule
	cents int // for each unit
}

// ruleOn returns the rule that is in force on a day.
func (p *modelPayer) ruleOn(day string) modelRule {
	found := p.rules[0]
	for _, r := range p.rules {
		if r.from <= day {
			found = r
		}
	}
	return found
}

// modelAuthorization is an authorization of a patient for a service.
type modelAuthorization struct {
	id, patient, code, number, insurance string
	payer                                *modelPayer
	total                                int
	start, end                           string // dates
}

// modelPart is a patient's part in an appointment.
type modelPart struct {
	patient       string
	authorization *modelAuthorization
	absent        bool
	start, end    time.Time // of the patient, if they differ from the session

	units   int // of the appointment or the session
	held    int // that are scheduled
	covered int // that are consumed
}

// modelSession is the present version of a session.
type modelSession struct {
	id, change       string
	start, end       time.Time
	version, content int // content is the version of the last change that was no recount
	voided, accepted bool
	note             string
	signed           map[string]int // the signed version by role
	signedText       string
	exported         bool
}

// modelAppointment is an appointment with its session.
type modelAppointment struct {
	id, code, status string
	start, end       time.Time
	started          time.Time // while it is in progress
	staff            []string
	parts            []*modelPart
	session          *modelSession // while the appointment is completed
}

func (a *modelAppointment) open() bool { return a.status == "SCHEDULED" || a.status == "IN_PROGRESS" }

func (a *modelAppointment) counts() bool { return a.open() || a.status == "COMPLETED" }

// begin returns the start of the session or, before it, of the appointment.
func (a *modelAppointment) begin() time.Time {
	if a.session != nil {
		return a.session.start
	}
	return a.start
}

// until returns the end of the session or, before it, of the appointment.
func (a *modelAppointment) until() time.Time {
	if a.session != nil {
		return a.session.end
	}
	return a.end
}

func (a *modelAppointment) day() string { return a.begin().Format(time.DateOnly) }

// span returns the time of a part.
func (a *modelAppointment) span(p *modelPart) (start, end time.Time) {
	start, end = a.begin(), a.until()
	if !p.start.IsZero() {
		start = p.start
	}
	if !p.end.IsZero() {
		end = p.end
	}
	return start, end
}

func (a *modelAppointment) minutes(p *modelPart) int {
	start, end := a.span(p)
	return int(end.Sub(start) / time.Minute)
}

// unauthorized returns the units of a session that no authorization covers.
func (a *modelAppointment) unauthorized() int {
	sum := 0
	for _, p := range a.parts {
		sum += p.units - p.covered
	}
	return sum
}

// modelBook has the appointments of patients and practitioners who meet no others.
type modelBook struct {
	appointments   []*modelAppointment // in the order of their creation
	voided         []*modelSession
	authorizations []*modelAuthorization
}

// available returns the units that are neither consumed nor scheduled.
func (b *modelBook) available(of *modelAuthorization) int {
	used, scheduled := b.balance(of)
	return of.total - used - scheduled
}

func (b *modelBook) balance(of *modelAuthorization) (used, scheduled int) {
	for _, a := range b.appointments {
		for _, p := range a.parts {
			if p.authorization == of {
				scheduled += p.held
				used += p.covered
			}
		}
	}
	return used, scheduled
}

// roundedUnits returns the units of minutes.
func roundedUnits(method string, minutes int) int {
	units := 0
	switch method {
	case "MIDPOINT", "CMS_TOTAL": // 8 to 22 minutes are one unit, 23 to 37 two
		for minutes >= 8+15*units {
			units++
		}
	case "CEIL":
		for minutes > 15*units {
			units++
		}
	case "FLOOR":
		for minutes >= 15*(units+1) {
			units++
		}
	default:
		panic("unknown rounding " + method)
	}
	return units
}

// modelGroup names the minutes that a rule rounds together.
type modelGroup struct{ patient, payer, day, code, practitioner string }

// groupOf returns the group of a part. Without a group, the session is rounded alone.
func groupOf(a *modelAppointment, p *modelPart) (g modelGroup, together bool) {
	payer := p.authorization.payer
	g = modelGroup{patient: p.patient, payer: payer.id, day: a.day()}
	switch payer.ruleOn(a.day()).basis {
	case "VISIT":
		return g, true
	case "DAY":
		g.code = a.code
		return g, true
	case "DAY_AND_PRACTITIONER":
		g.code, g.practitioner = a.code, a.staff[0]
		return g, true
	}
	return modelGroup{}, false
}

// share returns the units of a part by the rule of its payer. Sessions are rounded with sessions only.
func (b *modelBook) share(of *modelAppointment, part *modelPart) int {
	method := part.authorization.payer.ruleOn(of.day()).method
	group, together := groupOf(of, part)
	if !together {
		return roundedUnits(method, of.minutes(part))
	}
	type member struct {
		part          *modelPart
		start         time.Time
		minutes, rest int
	}
	var members []member
	total, whole, own := 0, 0, 0
	for _, a := range b.appointments {
		if !a.counts() || of.status == "COMPLETED" && a.status != "COMPLETED" {
			continue
		}
		for _, p := range a.parts {
			if p.absent || p.patient != part.patient {
				continue
			}
			if g, ok := groupOf(a, p); !ok || g != group {
				continue
			}
			start, _ := a.span(p)
			m := member{p, start, a.minutes(p), a.minutes(p) % 15}
			members = append(members, m)
			total += m.minutes
			whole += m.minutes / 15
			if p == part {
				own = m.minutes / 15
			}
		}
	}
	// The most minutes left come first; of equal remainders, the earlier start.
	slices.SortStableFunc(members, func(x, y member) int {
		return cmp.Or(cmp.Compare(y.rest, x.rest), x.start.Compare(y.start))
	})
	for i := range roundedUnits(method, total) - whole {
		if members[i].part == part {
			own++
		}
	}
	return own
}

// modelNumbers are the numbers of a book that a refused request leaves unchanged.
type modelNumbers struct {
	parts    map[*modelPart]modelPart
	sessions map[*modelSession]modelSession
}

func (b *modelBook) numbers() modelNumbers {
	n := modelNumbers{map[*modelPart]modelPart{}, map[*modelSession]modelSession{}}
	for _, a := range b.appointments {
		for _, p := range a.parts {
			n.parts[p] = *p
		}
		if a.session != nil {
			n.sessions[a.session] = *a.session
		}
	}
	return n
}

func (n modelNumbers) restore() {
	for p, was := range n.parts {
		*p = was
	}
	for s, was := range n.sessions {
		*s = was
	}
}

// groupsOf returns the groups in which an appointment counts.
func groupsOf(a *modelAppointment) map[modelGroup]bool {
	found := map[modelGroup]bool{}
	for _, p := range a.parts {
		if g, together := groupOf(a, p); together && a.counts() {
			found[g] = true
		}
	}
	return found
}

// settle changes the units of one appointment and of the others in its groups: first where units
// are lost. It returns the reasons against more scheduled units. own settles the appointment itself.
func (b *modelBook) settle(of *modelAppointment, before map[modelGroup]bool, own func() []string) []string {
	touched := groupsOf(of)
	for g := range before {
		touched[g] = true
	}
	recounted := map[*modelSession]bool{}
	var reasons []string
	recount := func(grow bool) {
		for _, a := range b.appointments {
			for _, p := range a.parts {
				if a == of || !a.counts() || p.absent {
					continue
				}
				g, together := groupOf(a, p)
				if !together || !touched[g] {
					continue
				}
				units := b.share(a, p)
				if units == p.units || grow != (units > p.units) {
					continue
				}
				if a.open() {
					reasons = append(reasons, b.hold(a, p, units)...)
					continue
				}
				b.consume(p, units)
				if s := a.session; !recounted[s] {
					recounted[s] = true
					s.version++
					s.change = "RECOUNTED"
				}
			}
		}
	}
	recount(false)
	reasons = append(own(), reasons...)
	recount(true)
	return reasons
}

// hold schedules units for a part, and returns the reasons against it.
func (b *modelBook) hold(a *modelAppointment, p *modelPart, units int) []string {
	var reasons []string
	if a.day() < p.authorization.start || a.day() > p.authorization.end {
		reasons = append(reasons, "outside-authorization-dates")
	}
	if units > p.held+b.available(p.authorization) {
		reasons = append(reasons, "insufficient-units")
	}
	if len(reasons) == 0 {
		p.units, p.held = units, units
	}
	return reasons
}

// consume takes back the units of a session's part, and consumes the available ones of the new units.
func (b *modelBook) consume(p *modelPart, units int) {
	p.units, p.held, p.covered = units, 0, 0
	p.covered = min(units, b.available(p.authorization))
}

// bookTime schedules all units of an appointment, and returns the reasons against it. A refusal
// changes nothing.
func (b *modelBook) bookTime(a *modelAppointment, before map[modelGroup]bool) []string {
	saved := b.numbers()
	reasons := b.bookingOverlaps(a)
	reasons = append(reasons, b.settle(a, before, func() (against []string) {
		for _, p := range a.parts {
			against = append(against, b.hold(a, p, b.share(a, p))...)
		}
		return against
	})...)
	if len(reasons) > 0 {
		saved.restore()
	}
	return reasons
}

// mayRunTogether reports whether a patient can have both services at once.
func mayRunTogether(code, other string) bool {
	return code == "97153" && other == "97155" || code == "97155" && other == "97153"
}

// bookingOverlaps returns a reason for each participant who is busy at the time of an appointment.
func (b *modelBook) bookingOverlaps(of *modelAppointment) []string {
	var reasons []string
	busy := func(at func(a *modelAppointment) bool) bool {
		return slices.ContainsFunc(b.appointments, func(a *modelAppointment) bool { return a != of && a.counts() && at(a) })
	}
	for _, who := range of.staff {
		if busy(func(a *modelAppointment) bool {
			return slices.Contains(a.staff, who) && a.begin().Before(of.end) && of.start.Before(a.until())
		}) {
			reasons = append(reasons, "practitioner-overlap")
		}
	}
	for _, p := range of.parts {
		if busy(func(a *modelAppointment) bool {
			return !mayRunTogether(a.code, of.code) && slices.ContainsFunc(a.parts, func(q *modelPart) bool {
				start, end := a.span(q)
				return q.patient == p.patient && !q.absent && start.Before(of.end) && of.start.Before(end)
			})
		}) {
			reasons = append(reasons, "patient-overlap")
		}
	}
	return reasons
}

// overlapping returns the appointments whose real time overlaps that of a session: of a practitioner,
// or of a patient whose services cannot run together.
func (b *modelBook) overlapping(of *modelAppointment, sessionsOnly bool) (found []*modelAppointment) {
	for _, a := range b.appointments {
		begin, until := a.begin(), a.until()
		if a.status == "IN_PROGRESS" && !sessionsOnly {
			begin = a.started
		} else if a.session == nil {
			continue
		}
		if a == of {
			continue
		}
		overlaps := false
		for _, who := range of.staff {
			overlaps = overlaps || slices.Contains(a.staff, who) && begin.Before(of.until()) && of.begin().Before(until)
		}
		for _, p := range of.parts {
			for _, q := range a.parts {
				if p.patient != q.patient || p.absent || q.absent || mayRunTogether(of.code, a.code) {
					continue
				}
				start, end := of.span(p)
				otherStart, otherEnd := a.span(q)
				if a.session == nil {
					otherStart = begin
				}
				overlaps = overlaps || start.Before(otherEnd) && otherStart.Before(end)
			}
		}
		if overlaps {
			found = append(found, a)
		}
	}
	return found
}

// modelNotes are the requirements of each service: the signers, the shortest note and the hours until
// it is due.
var modelNotes = map[string]struct {
	signers   []string
	minLength int
	due       time.Duration
}{
	"97153": {[]string{"TECHNICIAN"}, 10, 48 * time.Hour},
	"97154": {[]string{"SUPERVISOR", "TECHNICIAN"}, 10, 48 * time.Hour},
	"97155": {[]string{"TECHNICIAN"}, 1, 0},
}

// signs reports whether a role's signature counts for the present version and text.
func (s *modelSession) signs(role string) bool {
	version, exists := s.signed[role]
	return exists && version >= s.content && s.signedText == s.note
}

// conflicts returns the kinds of conflicts of a session, sorted.
func (b *modelBook) conflicts(a *modelAppointment, now time.Time) []string {
	rule := modelNotes[a.code]
	kinds := []string{}
	missing := len(a.session.note) < rule.minLength
	unsigned := slices.ContainsFunc(rule.signers, func(role string) bool { return !a.session.signs(role) })
	if rule.due > 0 && (missing || unsigned) && now.After(a.session.end.Add(rule.due)) {
		kinds = append(kinds, "late")
	}
	if missing {
		kinds = append(kinds, "missing-note")
	}
	if len(b.overlapping(a, true)) > 0 {
		kinds = append(kinds, "overlap")
	}
	if a.unauthorized() > 0 {
		kinds = append(kinds, "unauthorized")
	}
	if unsigned {
		kinds = append(kinds, "unsigned")
	}
	return kinds
}
