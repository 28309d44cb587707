package e2e

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// modelLine is a claim line.
type modelLine struct {
	session          *modelSession
	patient          string
	authorization    *modelAuthorization
	version, units   int
	covered, minutes int
	state, frequency string
	reasons          []string
	claim            *modelClaim // that it replaces or voids
	serviceDate      string
	rendering        string
}

// String returns the line as the comparison shows it.
func (l modelLine) String() string {
	slices.Sort(l.reasons)
	return fmt.Sprintf("%s session %s v%d patient %s authorization %s by %s: "+
		"%d units, %d minutes, %d cents, frequency %s, %s [%s]",
		l.serviceDate, l.session.id, l.version, l.patient, l.authorization.number, l.rendering, l.units, l.minutes,
		l.units*l.authorization.payer.cents, l.frequency, l.state, strings.Join(l.reasons, " "))
}

// modelClaim is an exported claim.
type modelClaim struct {
	id, frequency string
	replaces      *modelClaim
	replaced      bool
	numbered      bool // the payer's control number is known
	lines         []modelLine
}

// isStale reports whether a session of the claim has a newer version.
func (c *modelClaim) isStale() bool {
	return c.frequency != "8" &&
		slices.ContainsFunc(c.lines, func(l modelLine) bool { return l.session.version != l.version })
}

// presentLines returns the line of each part of a session with units.
func (b *modelBook) presentLines(a *modelAppointment, now time.Time) (lines []modelLine) {
	for _, p := range a.parts {
		if a.session == nil || p.units == 0 {
			continue
		}
		l := modelLine{
			session: a.session, patient: p.patient, authorization: p.authorization,
			version: a.session.version, units: p.units, covered: p.covered, minutes: a.minutes(p), frequency: "1",
			serviceDate: a.day(), rendering: a.staff[0],
		}
		for _, kind := range b.conflicts(a, now) {
			if kind != "unauthorized" || p.units > p.covered {
				l.reasons = append(l.reasons, kind)
			}
		}
		lines = append(lines, l.judged())
	}
	return lines
}

func (l modelLine) judged() modelLine {
	l.state = "READY"
	if len(l.reasons) > 0 {
		l.state = "BLOCKED"
	}
	return l
}

// lines returns all claim lines: of claims, of their replacements, and of sessions without a claim.
func (m *clinicMonth) lines(now time.Time) []modelLine {
	type service struct {
		session       *modelSession
		patient       string
		authorization *modelAuthorization
	}
	present, sessions := map[*modelSession][]modelLine{}, []*modelSession{}
	for _, team := range m.teams {
		for _, a := range team.appointments {
			if a.session != nil {
				present[a.session] = team.presentLines(a, now)
				sessions = append(sessions, a.session)
			}
		}
	}
	var all []modelLine
	billed := map[service]bool{}
	for _, c := range m.claims {
		superseded := c.replaced || c.isStale()
		for _, l := range c.lines {
			l.state, l.reasons = "EXPORTED", nil
			if superseded {
				l.state = "SUPERSEDED"
			} else if c.frequency != "8" {
				billed[service{l.session, l.patient, l.authorization}] = true
			}
			all = append(all, l)
		}
		if c.replaced || !c.isStale() {
			continue
		}
		for _, l := range c.replacement(present) {
			if l.frequency != "8" {
				billed[service{l.session, l.patient, l.authorization}] = true
			}
			all = append(all, l)
		}
	}
	for _, s := range sessions {
		for _, l := range present[s] {
			if !billed[service{l.session, l.patient, l.authorization}] {
				all = append(all, l)
			}
		}
	}
	return all
}

// replacement returns the lines of the claim that replaces c as a whole, or voids it if no service is
// left. It needs the payer's control number, and none of its lines may be blocked.
func (c *modelClaim) replacement(present map[*modelSession][]modelLine) (lines []modelLine) {
	for _, old := range c.lines {
		for _, l := range present[old.session] {
			if l.patient == old.patient && l.authorization == old.authorization {
				l.frequency = "7"
				lines = append(lines, l)
			}
		}
	}
	if len(lines) == 0 {
		for _, l := range c.lines {
			l.frequency, l.reasons = "8", nil
			lines = append(lines, l)
		}
	}
	blocked := false
	for i := range lines {
		l := &lines[i]
		l.claim = c
		if !c.numbered {
			l.reasons = append(slices.Clone(l.reasons), "control-number")
		}
		*l = l.judged()
		blocked = blocked || l.state == "BLOCKED"
	}
	for i := range lines {
		if blocked && lines[i].state == "READY" {
			lines[i].state, lines[i].reasons = "BLOCKED", []string{"claim-blocked"}
		}
	}
	return lines
}

// exported returns the claims of the ready lines of a payer, one for each authorization number and one
// for each claim that is replaced, and adds them to the month.
func (m *clinicMonth) exported(payer *modelPayer, now time.Time) []*modelClaim {
	type group struct {
		authorization *modelAuthorization
		replaces      *modelClaim
	}
	open := map[group]*modelClaim{}
	var claims []*modelClaim
	for _, l := range m.lines(now) {
		if l.state != "READY" || l.authorization.payer != payer {
			continue
		}
		g := group{l.authorization, l.claim}
		c := open[g]
		if c == nil {
			c = &modelClaim{frequency: l.frequency, replaces: l.claim}
			open[g] = c
			claims = append(claims, c)
		}
		c.lines = append(c.lines, l)
		l.session.exported = true
	}
	for _, c := range claims {
		if c.replaces != nil {
			c.replaces.replaced = true
		}
	}
	m.claims = append(m.claims, claims...)
	return claims
}
