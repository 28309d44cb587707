package directory

import (
	"fmt"
	"reflect"

	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/scheduling"
)

// withModifierRules returns the changes of modifier rules with the added one, unless its rules are already in
// force on its first day.
func (p Payer) withModifierRules(
	added scheduling.ModifierRuleSet, today calendar.Date,
) []scheduling.ModifierRuleSet {
	current, _ := scheduling.RuleOn(p.modifierRuleSets(), added.StartsOn)
	normal, _ := normalizeModifierRules(added.Rules, added.StartsOn)
	if reflect.DeepEqual(current.Rules, normal) {
		return p.ModifierRuleChanges
	}
	return withRule(p.ModifierRuleChanges, added, today)
}

// normalizeModifierRules returns the rules with sorted lists, and an error for each invalid code.
func normalizeModifierRules(
	rules []scheduling.ModifierRule, today calendar.Date,
) ([]scheduling.ModifierRule, []fault.Field) {
	normal := []scheduling.ModifierRule{}
	var fieldErrors []fault.Field
	for i, r := range rules {
		field := func(name string) string { return fmt.Sprintf("modifierRules[%d].%s", i, name) }
		if !scheduling.ValidModifier(r.Modifier) {
			fieldErrors = append(fieldErrors, fault.Field{
				Field: field("modifier"), Code: "modifier", Message: "must be two capital letters or digits, such as 95",
			})
		}
		for j, code := range r.Codes {
			if !codeForm.MatchString(code) {
				fieldErrors = append(fieldErrors, fault.Field{
					Field: field(fmt.Sprintf("codes[%d]", j)), Code: "code", Message: codeFormMessage,
				})
			}
		}
		for j, code := range r.PlacesOfService {
			if !PlaceOfServiceInForce(code, today) {
				fieldErrors = append(fieldErrors, fault.Field{
					Field: field(fmt.Sprintf("placesOfService[%d]", j)), Code: "place-of-service",
					Message: "must be a place-of-service code of CMS that is in force, such as 10",
				})
			}
		}
		fieldErrors = append(fieldErrors, checkCodes(r.Credentials, field("credentials")+"[%d]")...)
		normal = append(normal, scheduling.ModifierRule{
			Modifier: r.Modifier, Codes: sortedCopy(r.Codes), Credentials: sortedCopy(r.Credentials),
			PlacesOfService: sortedCopy(r.PlacesOfService),
		})
	}
	return normal, fieldErrors
}
