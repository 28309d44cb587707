package directory

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"

	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/scheduling"
)

// defaultUnitMinutes is the unit length of every ABA code since 2019.
const defaultUnitMinutes = 15

// defaultTracks are the tracks of the CPT codes that are not [scheduling.Direct].
var defaultTracks = map[string]scheduling.Track{
	"97151": scheduling.Assessment, "97155": scheduling.Supervision, "97156": scheduling.Caregiver,
	"97157": scheduling.Caregiver,
}

// codeForm excludes lower-case letters, so that 0362T and 0362t are not two codes.
var codeForm = regexp.MustCompile(`^[A-Z0-9][A-Z0-9.-]{0,19}$`)

const codeFormMessage = "must be 1 to 20 capital letters, digits, dots or dashes"

func (c *ServiceCode) normalize(calendar.Date) []fault.Field {
	var fieldErrors []fault.Field
	if !codeForm.MatchString(c.Code) {
		fieldErrors = append(fieldErrors, fault.Field{Field: "code", Code: "code", Message: codeFormMessage})
	}
	fieldErrors = append(fieldErrors, checkCodes(c.RequiredCredentials, "requiredCredentials[%d]")...)
	c.RequiredCredentials = sortedCopy(c.RequiredCredentials)
	fieldErrors = append(fieldErrors, checkCodes(c.SupervisedCredentials, supervisedPath)...)
	c.SupervisedCredentials = sortedCopy(c.SupervisedCredentials)
	changes := []scheduling.DatedNoteRule{}
	for _, change := range c.NoteChanges {
		normal, noteErrors := normalNoteRule(change.Rule)
		fieldErrors = append(fieldErrors, noteErrors...)
		changes = append(changes, scheduling.DatedNoteRule{StartsOn: change.StartsOn, Rule: normal})
	}
	c.NoteChanges = changes
	var noteErrors []fault.Field
	c.Note, noteErrors = normalNoteRule(c.Note)
	return append(fieldErrors, noteErrors...)
}

// changeNote adds the rule to the changes of rules for notes, unless it equals the one in force. It begins
// today unless it names another day.
func (c *ServiceCode) changeNote(rule *scheduling.NoteRule, today calendar.Date) {
	added := scheduling.DatedNoteRule{StartsOn: today, Rule: rule}
	if rule != nil {
		if rule.StartsOn.IsZero() {
			rule.StartsOn = today
		}
		added.StartsOn = rule.StartsOn
	}
	current, _ := scheduling.RuleOn(c.noteRules(), added.StartsOn)
	if normal, _ := normalNoteRule(rule); !sameRequirements(current.Rule, normal) {
		c.NoteChanges = withNoteRule(c.NoteChanges, added)
	}
}

// sameRequirements reports whether two rules differ in their first days at most.
func sameRequirements(a, b *scheduling.NoteRule) bool {
	if a == nil || b == nil {
		return a == b
	}
	x, y := *a, *b
	x.StartsOn, y.StartsOn = calendar.Date{}, calendar.Date{}
	return reflect.DeepEqual(x, y)
}

// The limits of requirements for notes.
const (
	maxNoteLength = 20_000
	maxDueHours   = 365 * 24
)

var (
	noteSections = []scheduling.NoteSection{
		scheduling.Goals, scheduling.Interventions, scheduling.Response, scheduling.Plan,
	}
	signers = []scheduling.Signer{scheduling.TechnicianSigns, scheduling.SupervisorSigns, scheduling.CaregiverSigns}
)

// normalNoteRule returns a copy of the rule with sorted lists, and an error for each invalid field.
func normalNoteRule(given *scheduling.NoteRule) (*scheduling.NoteRule, []fault.Field) {
	if given == nil {
		return nil, nil
	}
	r := *given
	var fieldErrors []fault.Field
	if r.MinLength < 0 || r.MinLength > maxNoteLength {
		fieldErrors = append(fieldErrors, fault.Field{
			Field: "note.minLength", Code: "range", Message: "must be between 0 and 20000",
		})
	}
	if r.DueHours != nil && (*r.DueHours < 1 || *r.DueHours > maxDueHours) {
		fieldErrors = append(fieldErrors, fault.Field{
			Field: "note.dueHours", Code: "range", Message: "must be between 1 and 8760",
		})
	}
	r.Sections = append([]scheduling.NoteSection{}, r.Sections...)
	r.Signers = append([]scheduling.Signer{}, r.Signers...)
	fieldErrors = append(fieldErrors, checkChoices(r.Sections, noteSections, "note.sections[%d]")...)
	fieldErrors = append(fieldErrors, checkChoices(r.Signers, signers, "note.signers[%d]")...)
	slices.Sort(r.Sections)
	slices.Sort(r.Signers)
	return &r, fieldErrors
}

// checkChoices returns an error for each element that is not a choice, or occurs twice.
func checkChoices[T ~string](list, choices []T, field string) []fault.Field {
	var fieldErrors []fault.Field
	for i, each := range list {
		switch {
		case !slices.Contains(choices, each):
			fieldErrors = append(fieldErrors, fault.Field{
				Field: fmt.Sprintf(field, i), Code: "oneof", Message: fmt.Sprintf("must be one of %v", choices),
			})
		case slices.Contains(list[:i], each):
			fieldErrors = append(fieldErrors, fault.Field{
				Field: fmt.Sprintf(field, i), Code: "duplicate", Message: "is given twice",
			})
		}
	}
	return fieldErrors
}

// sortedCopy returns a sorted copy, never nil, so that equal lists compare as equal.
func sortedCopy(list []string) []string {
	list = append([]string{}, list...)
	slices.Sort(list)
	return list
}
