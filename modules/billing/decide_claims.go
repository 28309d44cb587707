package billing

import (
	"slices"
	"strconv"

	"github.com/google/uuid"

	"omnirapeutic/platform/calendar"
)

// selection is the lines that an export takes.
type selection struct {
	payer    uuid.UUID
	from, to calendar.Date
}

// includes reports whether a line is of the payer and in the period.
func (s selection) includes(l Line) bool {
	return l.PayerID != nil && *l.PayerID == s.payer && !l.ServiceDate.Before(s.from) && !l.ServiceDate.After(s.to)
}

// of returns the ready lines to export, and the number of blocked ones. A claim is replaced or voided
// as a whole: with one of its lines, all are taken.
func (s selection) of(lines []Line) (ready []Line, blocked int) {
	whole := map[uuid.UUID]bool{}
	for _, l := range lines {
		if l.State == Ready && l.ClaimID != nil && s.includes(l) {
			whole[*l.ClaimID] = true
		}
	}
	for _, l := range lines {
		switch {
		case l.State == Ready && (s.includes(l) || l.ClaimID != nil && whole[*l.ClaimID]):
			ready = append(ready, l)
		case l.State == Blocked && s.includes(l):
			blocked++
		}
	}
	return ready, blocked
}

// group identifies the lines of a new claim.
type group struct {
	patient, insurance uuid.UUID
	authNumber         string
	replaces           uuid.UUID // zero: an original claim
}

// claimsOf groups lines to claims: one for each authorization number of a patient, and one for each
// claim that is replaced or voided. earlier has the claims that may be replaced.
func claimsOf(lines []Line, earlier []Claim) []Claim {
	var claims []Claim
	open := map[group]int{} // the index of the claim that takes the next line
	for _, l := range lines {
		g := group{patient: l.PatientID, insurance: *l.InsuranceID, authNumber: l.AuthNumber}
		if l.ClaimID != nil {
			g.replaces = *l.ClaimID
			g.authNumber = ""
		}
		at, exists := open[g]
		if !exists || len(claims[at].Lines) == maxClaimLines && g.replaces == uuid.Nil {
			at = len(claims)
			open[g] = at
			claims = append(claims, newClaim(l, earlier))
		}
		claims[at].Lines = append(claims[at].Lines, l)
		claims[at].ChargeCents += l.ChargeCents
	}
	return claims
}

// newClaim returns a claim without lines for a line.
func newClaim(l Line, earlier []Claim) Claim {
	c := Claim{
		PatientID: l.PatientID, InsuranceID: *l.InsuranceID, AuthNumber: l.AuthNumber, Frequency: l.Frequency,
		PayerID: *l.PayerID, ReplacesID: l.ClaimID,
	}
	if at := slices.IndexFunc(earlier, func(e Claim) bool { return l.ClaimID != nil && e.ID == *l.ClaimID }); at >= 0 {
		c.Replaces = textOf(earlier[at].ControlNumber)
	}
	return c
}

// claimNumber returns the number of a claim by the number of its export and its position, at most 20
// characters (X12 005010X222A1, CLM01).
func claimNumber(export, position int) string {
	return strconv.Itoa(export) + "-" + strconv.Itoa(position)
}

// diagnosesOf returns the diagnoses of a claim, each once, in the order of its lines. A claim has up
// to twelve (X12 005010X222A1, loop 2300, HI).
func (c Claim) diagnosesOf() []string {
	const most = 12
	var codes []string
	for _, l := range c.Lines {
		for _, code := range l.Diagnoses {
			if !slices.Contains(codes, code) && len(codes) < most {
				codes = append(codes, code)
			}
		}
	}
	return codes
}

// pointersOf returns the positions of a line's diagnoses in the claim, from 1. A line has up to four
// (X12 005010X222A1, SV107).
func (c Claim) pointersOf(l Line) []string {
	const most = 4
	var pointers []string
	codes := c.diagnosesOf()
	for _, code := range l.Diagnoses {
		if at := slices.Index(codes, code); at >= 0 && len(pointers) < most {
			pointers = append(pointers, strconv.Itoa(at+1))
		}
	}
	return pointers
}
