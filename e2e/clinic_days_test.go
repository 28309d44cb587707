package e2e

import (
	"slices"
	"time"

	"omnirapeutic/e2e/harness"
)

// The days of the generated clinic: what each team does, in an order that the seed decides.

// slots are the minutes of the day at which the sessions of technicians start.
var slots = []int{9 * 60, 10*60 + 45, 13 * 60, 14*60 + 45}

// lengths are booked lengths in minutes. Many are next to a limit of rounding.
var lengths = []int{7, 8, 13, 18, 20, 23, 24, 33, 38, 45, 53, 60, 60, 75, 90, 90, 100}

// planWeek books the appointments of five days from a day on.
func (team *clinicTeam) planWeek(day int) {
	for _, p := range team.patients {
		team.adjust(p.grants["97153"], p.grants["97153"].total+500)
	}
	turn := team.random.IntN(len(team.patients))
	for s, at := range slots {
		for k, who := range team.technicians {
			p := team.patients[(k+2*s+turn)%len(team.patients)]
			start := team.weekday(day, at)
			team.book(newAppointment("97153", start, choose(team, lengths...), who, p.grants["97153"]), 5)
			if k == s { // the analyst joins one technician
				team.book(newAppointment("97155", start.Add(11*time.Minute), 15+team.random.IntN(30), team.analyst,
					p.grants["97155"]), 5)
			}
		}
	}
	for _, i := range []int{1, 3} {
		var grants []*modelAuthorization
		for _, at := range team.random.Perm(len(team.patients))[:3+team.random.IntN(2)] {
			grants = append(grants, team.patients[at].grants["97154"])
		}
		team.book(newAppointment("97154", team.weekday(day+i, 16*60+42), 60, choose(team, team.technicians...), grants...), 1)
	}
	for _, p := range team.patients {
		if grant := p.grants["97153"]; p.scarce {
			used, scheduled := team.balance(grant)
			team.adjust(grant, used+scheduled+team.random.IntN(4))
		}
	}
}

// today returns the scheduled appointments of a day, in a random order.
func (team *clinicTeam) today(day int, statuses ...string) (found []*modelAppointment) {
	date := team.weekday(day, 0).Format(time.DateOnly)
	for _, a := range team.appointments {
		if a.day() == date && slices.Contains(statuses, a.status) {
			found = append(found, a)
		}
	}
	team.random.Shuffle(len(found), func(i, j int) { found[i], found[j] = found[j], found[i] })
	return found
}

// workDay ends the appointments of a day, corrects earlier ones, and prepares the next day.
func (team *clinicTeam) workDay(day int) {
	for _, a := range team.today(day, "SCHEDULED") {
		switch {
		case team.chance(4):
			team.end(a, "NO_SHOW", "/no-show")
		case team.chance(4):
			team.end(a, "CANCELLED", "/cancel")
		case team.chance(4):
			team.start(a) // and complete it the next day
		default:
			team.deliver(a)
		}
	}
	for _, a := range team.today(day-1, "IN_PROGRESS") {
		team.deliver(a)
	}
	team.correctToday(day)
	for range 5 {
		if past := team.today(day-1-team.random.IntN(3), "COMPLETED", "CANCELLED", "NO_SHOW"); len(past) > 0 {
			team.followUp(past[0])
		}
	}
	team.catchUp(day)
	team.prepare(day + 1)
}

// real returns real times for booked ones: often a few minutes late, shorter or longer.
func (team *clinicTeam) real(a *modelAppointment) (start, end time.Time) {
	late := time.Duration(choose(team, 0, 0, 5, 10, 15)) * time.Minute
	more := time.Duration(choose(team, 0, 0, -10, -5, 5, 10, 20, 30)) * time.Minute
	start, end = a.start.Add(late), a.end.Add(late+more)
	if !start.Before(end) || end.Sub(start) < 3*time.Minute {
		return a.start, a.end
	}
	return start, end
}

// attend returns the attendance of a group: some are absent, some come late or leave early.
func (team *clinicTeam) attend(a *modelAppointment, start, end time.Time) []attendance {
	if len(a.parts) == 1 {
		return nil
	}
	all := make([]attendance, len(a.parts))
	for i := range all {
		all[i] = attendance{start: start, end: end}
		switch {
		case team.chance(20) && i > 0:
			all[i] = attendance{absent: true}
		case team.chance(25):
			all[i].start = start.Add(time.Duration(choose(team, 5, 10)) * time.Minute)
		case team.chance(25):
			all[i].end = end.Add(-time.Duration(choose(team, 5, 10)) * time.Minute)
		}
	}
	return all
}

// deliver completes an appointment. If its real time overlaps other work, the times are corrected, or
// an administrator accepts the overlap.
func (team *clinicTeam) deliver(a *modelAppointment) {
	start, end := team.real(a)
	by := team.person(a.staff[0]).caller
	if team.chance(15) {
		by = team.Admin()
	}
	done := team.complete(by, a, start, end, team.attend(a, start, end), false)
	if !done && team.chance(40) {
		done = team.complete(by, a, a.start, a.end, team.attend(a, a.start, a.end), false)
	}
	if !done {
		team.complete(by, a, start, end, team.attend(a, start, end), true)
	}
	switch {
	case team.chance(75):
		team.writeNote(a, "Two new mands in play.")
		for _, role := range modelNotes[a.code].signers {
			team.sign(a, role)
		}
	case team.chance(50):
		team.writeNote(a, "Two new mands in play.")
	case team.chance(50):
		team.writeNote(a, "Short")
	}
}

// correctToday lets technicians correct own sessions of the day, which they may until these are signed.
func (team *clinicTeam) correctToday(day int) {
	completed := team.today(day, "COMPLETED")
	for _, a := range completed[:min(3, len(completed))] {
		if len(a.parts) > 1 || a.code == "97155" {
			continue
		}
		by := team.person(a.staff[0]).caller
		if !a.session.signs("TECHNICIAN") {
			team.correct(by, a, correction{start: a.session.start, end: a.session.end.Add(5 * time.Minute)})
			continue
		}
		team.post(by, "/sessions/"+a.session.id+"/correct", harness.Body{"reason": "Late."}, "session-signed")
	}
}

// followUp changes an appointment of an earlier day.
func (team *clinicTeam) followUp(a *modelAppointment) {
	if a.session == nil {
		team.reopen(a)
		if a.status == "SCHEDULED" {
			team.deliver(a)
		}
		return
	}
	s := a.session
	shift := func() time.Duration { return time.Duration(choose(team, -10, -5, 0, 5)) * time.Minute }
	switch choice := team.random.IntN(10); {
	case choice < 1:
		team.void(a, choose(team, "CANCELLED", "NO_SHOW", "SCHEDULED"))
		if a.status == "SCHEDULED" {
			team.deliver(a)
		}
	case choice < 2:
		by := team.person(a.staff[0])
		if by.id != team.analyst.id {
			team.post(by.caller, "/sessions/"+s.id+"/correct", harness.Body{"reason": "Late."}, tooLate(a))
		}
	case choice < 4:
		to := choose(team, append(slices.Clone(team.technicians), team.analyst)...)
		team.correct(team.Admin(), a, correction{staff: &to, accept: team.chance(20)})
	case len(a.parts) > 1:
		team.correct(team.Admin(), a, correction{attended: team.attend(a, s.start, s.end)})
	case choice < 6 && team.otherGrant(a) != nil:
		team.correct(team.Admin(), a, correction{grant: team.otherGrant(a)})
	case choice < 7:
		team.correct(team.Admin(), a, correction{}) // changes nothing, unless units are unauthorized
	default:
		c := correction{start: s.start.Add(shift()), end: s.end.Add(shift()), accept: team.chance(20)}
		if c.end.Sub(c.start) >= 3*time.Minute {
			team.correct(team.Admin(), a, c)
		}
	}
}

// tooLate returns the reason against a technician's correction of an earlier day.
func tooLate(a *modelAppointment) string {
	switch {
	case a.session.signs("TECHNICIAN") || a.session.signs("SUPERVISOR"):
		return "session-signed"
	default:
		return "correction-too-late"
	}
}

// otherGrant returns the patient's authorization of the other payer for the direct treatment, or nil.
func (team *clinicTeam) otherGrant(a *modelAppointment) *modelAuthorization {
	for _, p := range team.patients {
		if a.code != "97153" || p.id != a.parts[0].patient || p.other == nil {
			continue
		}
		if a.parts[0].authorization == p.other {
			return p.grants["97153"]
		}
		return p.other
	}
	return nil
}

// catchUp completes notes and signatures of earlier days, and grants units that were missing.
func (team *clinicTeam) catchUp(day int) {
	for back := 1; back <= 3; back++ {
		for _, a := range team.today(day-back, "COMPLETED") {
			if team.chance(50) {
				team.finish(a)
			}
		}
	}
	for _, p := range team.patients {
		if p.scarce && team.chance(30) {
			team.grantMissing(p.grants["97153"])
		}
	}
}

// finish completes the note of a session and adds the missing signatures.
func (team *clinicTeam) finish(a *modelAppointment) {
	if len(a.session.note) < modelNotes[a.code].minLength {
		team.writeNote(a, "Two new mands, written later.")
	}
	for _, role := range modelNotes[a.code].signers {
		if !a.session.signs(role) {
			team.sign(a, role)
		}
	}
}

// grantMissing grants the units of all sessions that an authorization does not cover, and corrects these.
func (team *clinicTeam) grantMissing(grant *modelAuthorization) {
	var sessions []*modelAppointment
	missing := 0
	for _, a := range team.appointments {
		if a.session != nil && len(a.parts) == 1 && a.parts[0].authorization == grant && a.unauthorized() > 0 {
			sessions = append(sessions, a)
			missing += a.unauthorized()
		}
	}
	if missing == 0 {
		return
	}
	team.adjust(grant, grant.total+missing)
	for _, a := range sessions {
		if a.session != nil && a.unauthorized() > 0 {
			team.correct(team.Admin(), a, correction{})
		}
	}
}

// prepare changes the plan of the next day: a technician is ill, and more appointments are requested.
func (team *clinicTeam) prepare(day int) {
	planned := team.today(day, "SCHEDULED")
	if len(planned) == 0 {
		return
	}
	if team.chance(50) {
		ill := choose(team, team.technicians...)
		for _, a := range planned {
			if a.staff[0] == ill.id && !team.reassign(a, choose(team, team.technicians...)) {
				team.end(a, "CANCELLED", "/cancel")
			}
		}
	}
	for range 3 {
		p := choose(team, slices.Concat(team.patients, team.patients[2:4])...)
		start := team.weekday(day, 8*60+5*team.random.IntN(120))
		if team.chance(10) {
			start = start.AddDate(0, 6, 0) // after the end of the authorization
		}
		team.book(newAppointment("97153", start, choose(team, lengths...), choose(team, team.technicians...),
			p.grants["97153"]), 1)
	}
}
