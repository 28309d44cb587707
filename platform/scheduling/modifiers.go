package scheduling

import (
	"regexp"
	"slices"
	"strings"

	"omnirapeutic/platform/calendar"
)

// Modifiers are the modifiers of a claim line in their order, separated by spaces, such as "HM 95".
// An 837P claim line has at most [MaxModifiers] (ASC X12 005010X222A1, SV101-3 to SV101-6).
type Modifiers string

// MaxModifiers is the maximum number of modifiers of a claim line.
const MaxModifiers = 4

// ModifiersOf returns modifiers from a list.
func ModifiersOf(list []string) Modifiers { return Modifiers(strings.Join(list, " ")) }

// List returns the modifiers as a list, never nil.
func (m Modifiers) List() []string { return append([]string{}, strings.Fields(string(m))...) }

// modifierForm is the form of the modifiers of CPT and HCPCS.
var modifierForm = regexp.MustCompile(`^[A-Z0-9]{2}$`)

// ValidModifier reports whether the text has the form of a modifier: two capital letters or digits.
func ValidModifier(text string) bool { return modifierForm.MatchString(text) }

// Valid reports whether a claim line can carry the modifiers: at most [MaxModifiers] different ones, each of
// them valid.
func (m Modifiers) Valid() bool {
	list := m.List()
	for i, modifier := range list {
		if !ValidModifier(modifier) || slices.Contains(list[:i], modifier) {
			return false
		}
	}
	return len(list) <= MaxModifiers
}

// And returns the modifiers followed by the others that they do not contain, at most [MaxModifiers].
func (m Modifiers) And(others Modifiers) Modifiers {
	all := m.List()
	for _, modifier := range others.List() {
		if !slices.Contains(all, modifier) {
			all = append(all, modifier)
		}
	}
	return ModifiersOf(all[:min(len(all), MaxModifiers)])
}

// ModifierRule gives services of a payer a modifier. An empty list matches everything.
type ModifierRule struct {
	Modifier        string
	Codes           []string // the service codes
	Credentials     []string // the leading practitioner holds one of them
	PlacesOfService []string // the place-of-service codes, such as 02 and 10 for telehealth
}

// ModifierRuleSet is a payer's modifier rules that apply from a day until the next set begins.
type ModifierRuleSet struct {
	StartsOn calendar.Date
	Rules    []ModifierRule // in the order of the modifiers
}

// FirstDay returns the first day of the rules.
func (s ModifierRuleSet) FirstDay() calendar.Date { return s.StartsOn }

// ModifiersBy returns the modifiers of a service that the rules give it, in the order of the rules
// and at most [MaxModifiers].
func ModifiersBy(
	rules []ModifierRule, code, placeOfService string, practitioner Practitioner, on calendar.Date,
) Modifiers {
	var all []string
	for _, rule := range rules {
		if rule.matches(code, placeOfService, practitioner, on) && !slices.Contains(all, rule.Modifier) {
			all = append(all, rule.Modifier)
		}
	}
	return ModifiersOf(all[:min(len(all), MaxModifiers)])
}

func (r ModifierRule) matches(code, placeOfService string, practitioner Practitioner, on calendar.Date) bool {
	among := func(list []string, value string) bool { return len(list) == 0 || slices.Contains(list, value) }
	return among(r.Codes, code) && among(r.PlacesOfService, placeOfService) &&
		practitioner.Qualified(ServiceCode{RequiredCredentials: r.Credentials}, on)
}
