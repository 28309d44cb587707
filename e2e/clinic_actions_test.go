package e2e

import (
	"net/http"
	"slices"
	"time"

	"github.com/stretchr/testify/require"

	"omnirapeutic/e2e/harness"
)

// Each action of a team changes the model first, which predicts the answer, and then sends the request.

// weekday returns a local time on a day of the month, counted from 0.
func (m *clinicMonth) weekday(day int, minutes int) time.Time {
	d := m.monday.AddDate(0, 0, day)
	return time.Date(d.Year(), d.Month(), d.Day(), 0, minutes, 0, 0, d.Location())
}

func instant(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// newAppointment returns an appointment that is not in the book yet.
func newAppointment(
	code string, start time.Time, minutes int, who clinicPerson, grants ...*modelAuthorization,
) *modelAppointment {
	a := &modelAppointment{
		code: code, status: "SCHEDULED", start: start, end: start.Add(time.Duration(minutes) * time.Minute),
		staff: []string{who.id},
	}
	for _, g := range grants {
		a.parts = append(a.parts, &modelPart{patient: g.patient, authorization: g})
	}
	return a
}

// book books an appointment of the model, or a series of it on consecutive days.
func (team *clinicTeam) book(a *modelAppointment, days int) {
	team.t.Helper()
	all := []*modelAppointment{a}
	for i := 1; i < days; i++ {
		next := newAppointment(a.code, a.start.AddDate(0, 0, i), 0, clinicPerson{id: a.staff[0]}, a.parts[0].authorization)
		next.end = a.end.AddDate(0, 0, i)
		all = append(all, next)
	}
	var reasons []string
	for _, each := range all {
		team.appointments = append(team.appointments, each)
		if reasons = team.bookTime(each, nil); len(reasons) > 0 {
			team.appointments = team.appointments[:len(team.appointments)-1]
			require.Equal(team.t, 1, days, "the series of a week fit: %v", reasons)
		}
	}
	patients := []harness.Body{}
	for _, p := range a.parts {
		patients = append(patients, harness.Body{"patientId": p.patient, "authorizationId": p.authorization.id})
	}
	b := harness.Body{
		"patients": patients, "practitionerIds": a.staff, "placeOfService": "12", "serviceCodeId": team.services[a.code],
		"startTime": instant(a.start), "endTime": instant(a.end),
	}
	if days > 1 {
		b["recurrenceRule"] = "FREQ=DAILY;COUNT=" + string(rune('0'+days))
	}
	booked := team.post(team.Admin(), "/appointments", b, reasons...)
	if len(reasons) > 0 {
		return
	}
	a.id = booked.Text("id")
	if days > 1 {
		for i, each := range booked.Occurrences(team.t) {
			all[i].id = each.Text("appointmentId")
		}
	}
}

// end cancels an appointment, or records a no-show.
func (team *clinicTeam) end(a *modelAppointment, status, path string) {
	before := groupsOf(a)
	a.status, a.started = status, time.Time{}
	team.settle(a, before, func() []string {
		for _, p := range a.parts {
			p.held = 0
		}
		return nil
	})
	team.post(team.Admin(), "/appointments/"+a.id+path, harness.Body{"reason": "The family is ill."})
}

// reopen takes back a cancellation or a no-show.
func (team *clinicTeam) reopen(a *modelAppointment) {
	was := a.status
	a.status = "SCHEDULED"
	reasons := team.bookTime(a, nil)
	if len(reasons) > 0 {
		a.status = was
	}
	team.post(team.Admin(), "/appointments/"+a.id+"/reopen", harness.Body{"reason": "A mistake."}, reasons...)
}

// start starts an appointment at its booked start.
func (team *clinicTeam) start(a *modelAppointment) {
	a.status, a.started = "IN_PROGRESS", a.start
	team.post(team.Admin(), "/appointments/"+a.id+"/start", harness.Body{"startTime": instant(a.start)})
}

// reassign gives an appointment another practitioner, and reports whether that was possible.
func (team *clinicTeam) reassign(a *modelAppointment, to clinicPerson) bool {
	was, before := a.staff, groupsOf(a)
	a.staff = []string{to.id}
	reasons := team.bookTime(a, before)
	if len(reasons) > 0 {
		a.staff = was
	}
	answer := team.send(team.Admin(), http.MethodPatch, "/appointments/"+a.id, harness.Body{"practitionerId": to.id})
	team.check(answer, "reassign", nil, reasons)
	return len(reasons) == 0
}

// isUnconfirmed reports whether a session needs a confirmation: it is longer or shorter than booked by
// more than the factor two.
func isUnconfirmed(a *modelAppointment, start, end time.Time) bool {
	booked, worked := a.end.Sub(a.start), end.Sub(start)
	return worked > 2*booked || 2*worked < booked
}

// attendance is a patient's presence: absent, or with own times.
type attendance struct {
	absent     bool
	start, end time.Time
}

// apply sets the attendance of parts, and returns it as a request. Entries follow the parts.
func apply(parts []*modelPart, all []attendance, start, end time.Time) []harness.Body {
	var given []harness.Body
	for i, p := range parts {
		own := all[i]
		p.absent, p.start, p.end = own.absent, time.Time{}, time.Time{}
		entry := harness.Body{"patientId": p.patient, "attended": !own.absent}
		if !own.absent && (!own.start.Equal(start) || !own.end.Equal(end)) {
			p.start, p.end = own.start, own.end
			entry["startTime"], entry["endTime"] = instant(own.start), instant(own.end)
		}
		given = append(given, entry)
	}
	return given
}

// complete completes an appointment with real times. If that would overlap other work, it reports
// false, unless the overlap is accepted.
func (team *clinicTeam) complete(
	by harness.Caller, a *modelAppointment, start, end time.Time, all []attendance, accept bool,
) bool {
	before, was := groupsOf(a), *a
	path := "/appointments/" + a.id + "/complete"
	b := harness.Body{"startTime": instant(start), "endTime": instant(end)}
	a.status, a.started = "COMPLETED", time.Time{}
	a.session = &modelSession{
		start: start, end: end, version: 1, content: 1, change: "COMPLETED", signed: map[string]int{},
	}
	if all != nil {
		b["patients"] = apply(a.parts, all, start, end)
	}
	if isUnconfirmed(a, start, end) {
		team.post(by, path, b, "session-unconfirmed")
		b["confirm"] = true
	}
	if len(team.overlapping(a, false)) > 0 {
		if !accept {
			team.post(by, path, b, "session-overlap")
			*a = was
			for _, p := range a.parts {
				p.absent, p.start, p.end = false, time.Time{}, time.Time{}
			}
			return false
		}
		a.session.accepted, b["overlapReason"] = true, "Both took place."
		by = team.Admin()
	}
	team.settle(a, before, func() []string {
		for _, p := range a.parts {
			p.units, p.held = 0, 0
			if !p.absent {
				team.consume(p, team.share(a, p))
			}
		}
		return nil
	})
	answer := team.post(by, path, b)
	a.session.id = answer.Body["session"].(map[string]any)["id"].(string)
	return true
}

// writeNote writes the note of a session.
func (team *clinicTeam) writeNote(a *modelAppointment, text string) {
	answer := team.send(team.person(a.staff[0]).caller, http.MethodPut, "/sessions/"+a.session.id+"/note",
		harness.Body{"narrative": text})
	var reasons []string
	rule := modelNotes[a.code]
	switch {
	case text == a.session.note:
	case a.session.exported:
		reasons = []string{"session-exported"}
	case slices.ContainsFunc(rule.signers, a.session.signs):
		reasons = []string{"note-closed"}
	default:
		a.session.note = text
	}
	team.check(answer, "write the note", nil, reasons)
}

// sign signs the note of a session as one role.
func (team *clinicTeam) sign(a *modelAppointment, role string) {
	by := team.person(a.staff[0])
	if role == "SUPERVISOR" {
		by = team.analyst
	}
	path := "/sessions/" + a.session.id
	shown := by.caller.Get(team.t, path+"/note").OK(team.t).Text("textHash")
	var reasons []string
	switch {
	case a.session.signs(role):
		reasons = []string{"already-signed"}
	case len(a.session.note) < max(1, modelNotes[a.code].minLength):
		reasons = []string{"note-incomplete"}
	default:
		a.session.signed[role], a.session.signedText = a.session.version, a.session.note
	}
	team.post(by.caller, path+"/signatures", harness.Body{"role": role, "textHash": shown}, reasons...)
}

// correction has the corrected fields of a session; nil fields stay unchanged.
type correction struct {
	start, end time.Time
	staff      *clinicPerson
	grant      *modelAuthorization // of the only patient
	attended   []attendance
	accept     bool
}

// correct corrects a session, and reports whether it was accepted.
func (team *clinicTeam) correct(by harness.Caller, a *modelAppointment, c correction) bool {
	before, was, session := groupsOf(a), *a, *a.session
	kept := make([]modelPart, len(a.parts))
	for i, p := range a.parts {
		kept[i] = *p
	}
	b := team.change(a, c)
	undo := func() {
		*a, *was.session = was, session
		for i, p := range a.parts {
			*p = kept[i]
		}
	}
	reasons := team.judge(a, c, b, session.accepted)
	if len(reasons) > 0 {
		undo()
		team.post(by, "/sessions/"+a.session.id+"/correct", b, reasons...)
		return false
	}
	same := a.session.start.Equal(session.start) && a.session.end.Equal(session.end) &&
		slices.Equal(a.staff, was.staff) && a.session.accepted == session.accepted
	stays := make([]bool, len(a.parts))
	for i, p := range a.parts {
		q := kept[i]
		units := 0
		if !p.absent {
			units = team.share(a, p)
		}
		stays[i] = p.authorization == q.authorization && units == q.units && p.absent == q.absent &&
			p.start.Equal(q.start) && p.end.Equal(q.end) && a.minutes(p) == minutesThen(q, session)
		same = same && stays[i]
		stays[i] = stays[i] && q.units == q.covered
	}
	missing, saved := a.unauthorized(), team.numbers()
	a.session.version++
	a.session.content, a.session.change = a.session.version, "CORRECTED"
	team.settle(a, before, func() []string {
		team.settleAgain(a, stays)
		return nil
	})
	if same && a.unauthorized() == missing { // nothing has been granted since
		saved.restore()
		undo()
	}
	team.post(by, "/sessions/"+a.session.id+"/correct", b)
	return true
}

// settleAgain takes back the units of the parts that change, and consumes the right ones.
func (team *clinicTeam) settleAgain(a *modelAppointment, stays []bool) {
	for i, p := range a.parts {
		if !stays[i] {
			p.covered = 0
		}
	}
	for i, p := range a.parts {
		if stays[i] {
			continue
		}
		p.units = 0
		if !p.absent {
			team.consume(p, team.share(a, p))
		}
	}
}

// minutesThen returns the minutes of a part of an earlier version.
func minutesThen(p modelPart, s modelSession) int {
	a := modelAppointment{session: &s}
	return a.minutes(&p)
}

// change applies a correction to the model, and returns it as a request.
func (team *clinicTeam) change(a *modelAppointment, c correction) harness.Body {
	b := harness.Body{"reason": "It was recorded wrongly.", "confirm": true}
	if !c.start.IsZero() {
		a.session.start, a.session.end = c.start, c.end
		b["startTime"], b["endTime"] = instant(c.start), instant(c.end)
	}
	if c.staff != nil {
		a.staff = []string{c.staff.id}
		b["practitionerIds"] = a.staff
	}
	if c.grant != nil {
		a.parts[0].authorization = c.grant
		b["patients"] = []harness.Body{{"patientId": c.grant.patient, "authorizationId": c.grant.id}}
	}
	if c.attended != nil {
		b["patients"] = apply(a.parts, c.attended, a.session.start, a.session.end)
	}
	return b
}

// judge returns the reasons against a correction that the model has applied.
func (team *clinicTeam) judge(a *modelAppointment, c correction, b harness.Body, accepted bool) []string {
	if c.staff != nil && a.code == "97155" && c.staff.id != team.analyst.id {
		return []string{"credential-missing"}
	}
	a.session.accepted = false
	if len(team.overlapping(a, false)) > 0 {
		if !accepted && !c.accept {
			return []string{"session-overlap"}
		}
		a.session.accepted = true
		if c.accept {
			b["overlapReason"] = "Both took place."
		}
	}
	return nil
}

// void voids a session, and gives its appointment a status.
func (team *clinicTeam) void(a *modelAppointment, status string) {
	before, was, session := groupsOf(a), *a, a.session
	kept := make([]modelPart, len(a.parts))
	for i, p := range a.parts {
		kept[i] = *p
		p.covered, p.absent, p.start, p.end = 0, false, time.Time{}, time.Time{}
	}
	a.session, a.status = nil, status
	var reasons []string
	if status == "SCHEDULED" {
		reasons = team.bookTime(a, before)
	} else {
		team.settle(a, before, func() []string { return nil })
	}
	path, b := "/sessions/"+session.id+"/void", harness.Body{"reason": "It did not take place.", "appointment": status}
	if len(reasons) > 0 {
		*a = was
		for i, p := range a.parts {
			*p = kept[i]
		}
		team.post(team.Admin(), path, b, reasons...)
		return
	}
	session.version++
	session.change, session.voided = "VOIDED", true
	team.voided = append(team.voided, session)
	team.post(team.Admin(), path, b)
	team.post(team.Admin(), path, b, "session-voided")
}

// adjust sets the total of an authorization.
func (team *clinicTeam) adjust(of *modelAuthorization, total int) {
	of.total = total
	team.send(team.Admin(), http.MethodPatch, "/authorizations/"+of.id,
		harness.Body{"totalUnits": total, "reason": "By the payer."}).OK(team.t)
}
