package billing

import (
	"cmp"
	"encoding/binary"
	"maps"
	"slices"

	"github.com/google/uuid"

	"omnirapeutic/modules/appointments"
	"omnirapeutic/modules/authorization"
	"omnirapeutic/modules/directory"
)

// book has everything from which lines follow.
type book struct {
	sessions       map[uuid.UUID]appointments.Delivered
	authorizations map[uuid.UUID]authorization.Authorization
	data           directory.ClaimData
	claims         []Claim // all that have a line of the sessions, oldest first
}

// lines returns all lines: the exported ones, and the ones to export.
func (b book) lines() []Line {
	current := b.currentClaims()
	var all []Line
	billed := map[key]bool{}
	for _, c := range b.claims {
		stale := current[c.ID] && c.Frequency != Void && b.isStale(c)
		for _, l := range c.Lines {
			l.State = Exported
			switch {
			case c.Retracted:
				l.State = Retracted
			case stale || !current[c.ID]:
				l.State = Superseded
			}
			all = append(all, l)
			billed[l.key()] = billed[l.key()] || current[c.ID] && c.Frequency != Void && !stale
		}
		if stale {
			all = append(all, b.replacements(c, billed)...)
		}
	}
	for _, id := range slices.SortedFunc(maps.Keys(b.sessions), compareIDs) {
		for _, l := range b.present(b.sessions[id]) {
			if !billed[l.key()] {
				l.Frequency = Original
				all = append(all, judged(l))
			}
		}
	}
	slices.SortStableFunc(all, compareLines)
	return all
}

// compareLines sorts lines by service date, and the versions of a line by age.
func compareLines(a, b Line) int {
	return cmp.Or(a.ServiceDate.Time().Compare(b.ServiceDate.Time()), compareIDs(a.SessionID, b.SessionID),
		compareIDs(a.PatientID, b.PatientID), cmp.Compare(a.SessionVersion, b.SessionVersion), compareIDs(a.ID, b.ID))
}

func compareIDs(a, b uuid.UUID) int { return slices.Compare(a[:], b[:]) }

// currentClaims returns the claims that the payer has: not retracted, and neither replaced nor voided.
// The last claim of a voided chain counts as current.
func (b book) currentClaims() map[uuid.UUID]bool {
	current := map[uuid.UUID]bool{}
	for _, c := range b.claims {
		if !c.Retracted {
			current[c.ID] = true
		}
	}
	for _, c := range b.claims {
		if !c.Retracted && c.ReplacesID != nil {
			delete(current, *c.ReplacesID)
		}
	}
	return current
}

// isStale reports whether a session of the claim has a newer version than the exported one.
func (b book) isStale(c Claim) bool {
	return slices.ContainsFunc(c.Lines, func(l Line) bool {
		s, exists := b.sessions[l.SessionID]
		return exists && s.Version != l.SessionVersion
	})
}

// replacements returns the lines of the claim that replaces c. If none of its services is left, they
// are the lines of the claim that voids it. It adds the present lines to billed.
func (b book) replacements(c Claim, billed map[key]bool) []Line {
	var lines []Line
	for _, old := range c.Lines {
		for _, l := range b.present(b.sessions[old.SessionID]) {
			same := l.AuthorizationID == old.AuthorizationID || l.InsuranceID != nil && *l.InsuranceID == c.InsuranceID &&
				l.AuthNumber == c.AuthNumber
			if l.PatientID == old.PatientID && same {
				l.Frequency = Replacement
				lines = append(lines, l)
				billed[l.key()] = true
			}
		}
	}
	if len(lines) == 0 {
		for _, l := range c.Lines {
			l.Frequency, l.ExportID = Void, nil
			l.ID = lineID(c.ID, l.ID, l.SessionVersion)
			l.Reasons = b.missingOf(nil)
			lines = append(lines, l)
		}
	}
	blocked := false
	for i := range lines {
		lines[i].ClaimID = &c.ID
		if c.ControlNumber == nil {
			lines[i].Reasons = append(lines[i].Reasons, Reason{Code: reasonControlNumber})
		}
		lines[i] = judged(lines[i])
		blocked = blocked || lines[i].State == Blocked
	}
	for i := range lines {
		if blocked && lines[i].State == Ready {
			lines[i].Reasons = []Reason{{Code: reasonClaim}}
			lines[i].State = Blocked
		}
	}
	return lines
}

// judged returns the line as ready or blocked.
func judged(l Line) Line {
	l.State = Ready
	if len(l.Reasons) > 0 {
		l.State = Blocked
	}
	return l
}

// lineID returns the id of a line that is not exported. It stays the same until its session changes.
func lineID(a, b uuid.UUID, version int) uuid.UUID {
	return uuid.NewSHA1(a, binary.BigEndian.AppendUint64(b[:], uint64(version))) //nolint:gosec // it is positive
}

// present returns the lines of the present version of a session: one for each patient with units.
func (b book) present(s appointments.Delivered) []Line {
	if s.VoidedAt != nil {
		return nil
	}
	var lines []Line
	for _, p := range s.Patients {
		if p.Units > 0 {
			lines = append(lines, b.lineOf(s, p))
		}
	}
	return lines
}

// lineOf returns the line of a patient's part in a session, with the reasons that block it.
func (b book) lineOf(s appointments.Delivered, p appointments.SessionPatient) Line {
	granted := b.authorizations[p.AuthorizationID]
	l := Line{
		ID: lineID(s.ID, p.PatientID, s.Version), SessionID: s.ID, SessionVersion: s.Version, PatientID: p.PatientID,
		AuthorizationID: p.AuthorizationID, InsuranceID: granted.InsuranceID, ServiceDate: s.ServiceDate,
		AuthNumber: textOf(granted.AuthNumber), Code: b.data.ServiceCodes[s.ServiceCodeID].Code, Modifiers: p.Modifiers.List(),
		PlaceOfService: textOf(s.PlaceOfService), Units: p.Units, ServiceCodeID: s.ServiceCodeID,
		CoveredUnits: p.Units - p.UnauthorizedUnits, Minutes: p.Minutes, SupervisingID: s.SupervisingPractitionerID,
		Diagnoses: b.data.DiagnosesOn(p.PatientID, s.ServiceDate),
	}
	if len(s.Practitioners) > 0 {
		l.RenderingID = s.Practitioners[0]
	}
	if granted.InsuranceID != nil {
		insurance := b.data.Insurances[*granted.InsuranceID]
		l.MemberNumber, l.PayerID = insurance.MemberNumber, &insurance.PayerID
		cents, _ := b.data.RateOn(insurance.PayerID, s.ServiceCodeID, s.ServiceDate)
		l.ChargeCents = cents * p.Units
	}
	for _, conflict := range s.Conflicts {
		if conflict != appointments.Unauthorized || p.UnauthorizedUnits > 0 {
			l.Reasons = append(l.Reasons, Reason{Code: string(conflict)})
		}
	}
	l.Reasons = append(l.Reasons, b.missingOf(&l)...)
	return l
}

func textOf(value *string) string {
	if value == nil {
		return ""
	}
	return *value
}
