package directory

import (
	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/scheduling"
)

// ServiceCode is the code of a service, such as 97153. The set of codes is open: an organization
// enters the codes that its payers use.
type ServiceCode struct {
	Record
	Code                string           // the organization uses each code once
	Description         string           // a short label of the organization
	Track               scheduling.Track // a patient has one appointment at a time on each track
	UnitMinutes         int
	RequiredCredentials []string `gorm:"-"` // the practitioner needs one of them; sorted; empty: none is needed
	// SupervisedCredentials are credentials whose holders render the service only under supervision; sorted.
	SupervisedCredentials []string `gorm:"-"`
	Active                bool     // whether the code is still in use
	// Note is the rule for the notes of its sessions until the first of NoteChanges begins; nil: no note is
	// required.
	Note *scheduling.NoteRule `gorm:"serializer:json"`
	// NoteChanges are sorted by first day.
	NoteChanges []scheduling.DatedNoteRule `gorm:"serializer:json"`
	// PresentNote is the rule of today, in the organization's time zone; nil: no note is required.
	PresentNote *scheduling.NoteRule `gorm:"-"`
}

// noteRules returns all rules for notes, sorted by first day. The first one has always applied.
func (c ServiceCode) noteRules() []scheduling.DatedNoteRule {
	rules := []scheduling.DatedNoteRule{{StartsOn: scheduling.Always, Rule: c.Note}}
	if c.Note != nil && c.Note.StartsOn.After(scheduling.Always) {
		rules = []scheduling.DatedNoteRule{{StartsOn: scheduling.Always}, {StartsOn: c.Note.StartsOn, Rule: c.Note}}
	}
	for _, change := range c.NoteChanges {
		rules = withNoteRule(rules, change)
	}
	return rules
}

// withPresentNote returns the service code with the rule of the day as the present one.
func (c ServiceCode) withPresentNote(today calendar.Date) ServiceCode {
	present, _ := scheduling.RuleOn(c.noteRules(), today)
	c.PresentNote = present.Rule
	return c
}

// ServiceCodeFilter narrows a list of service codes. Zero values match every service code.
type ServiceCodeFilter struct {
	Page
	Code string
}
