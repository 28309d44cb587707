package scheduling

import (
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

// ModifierRule gives services of a payer a modifier. An empty list matches everything.
type ModifierRule struct {
	Modifier        string
	Codes           []string // the service codes
	Credentials     []string // the leading practitioner holds one of them
	PlacesOfService []string // the place-of-service codes, such as 02 and 10 for telehealth
}

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
