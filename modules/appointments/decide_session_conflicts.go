package appointments

import (
	"slices"

	"github.com/google/uuid"

	"omnirapeutic/modules/authorization"
	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/scheduling"
)

// conflicts returns the conflicts of a session with the state of its note, sorted. It decides the same as
// [conflictConditions], which are for lists and counts.
func (s Session) conflicts(overlaps, exceedsCap bool) []ConflictKind {
	found := []ConflictKind{}
	if s.VoidedAt != nil {
		return found
	}
	required := s.Note.Rule != nil
	for _, c := range []struct {
		kind ConflictKind
		is   bool
	}{
		{CapExceeded, exceedsCap},
		{TooShort, slices.ContainsFunc(s.Patients, SessionPatient.isTooShort)},
		{LateNote, s.Note.State == NoteLate},
		{MissingNote, required && s.Note.incomplete()},
		{Overlapping, overlaps},
		{Unauthorized, s.UnauthorizedUnits > 0},
		{Unsigned, required && len(s.Note.MissingSigners) > 0},
	} {
		if c.is {
			found = append(found, c.kind)
		}
	}
	return found
}

// isTooShort reports whether the time of a patient who attended gives no unit although it is rounded alone.
func (p SessionPatient) isTooShort() bool {
	return p.Attended && p.Units == 0 && p.Rounding.Basis == scheduling.EachSession
}

// mayExceed reports whether a part of a session on the date is in the period of an exceeded cap.
func mayExceed(date calendar.Date, parts []SessionPatient, exceeded []authorization.ExceededCap) bool {
	return slices.ContainsFunc(exceeded, func(c authorization.ExceededCap) bool {
		return !date.Before(c.First) && !date.After(c.Last) && slices.ContainsFunc(parts, func(p SessionPatient) bool {
			return p.AuthorizationID == c.AuthorizationID && p.Units > p.UnauthorizedUnits
		})
	})
}

// ConflictCount is the number of sessions that one kind of conflict keeps from being billed, of one
// leading practitioner.
type ConflictCount struct {
	Kind           ConflictKind
	PractitionerID uuid.UUID
	Sessions       int
	Oldest         calendar.Date
}
