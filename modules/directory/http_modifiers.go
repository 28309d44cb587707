package directory

import (
	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/httpx"
	"omnirapeutic/platform/scheduling"
)

// ModifierRuleBody gives services of a payer a modifier. An empty list matches everything.
type ModifierRuleBody struct {
	// The modifier of CPT or HCPCS, such as 95 or HM.
	Modifier string `json:"modifier" validate:"required,len=2"`
	// The service codes.
	Codes []string `json:"codes" validate:"omitempty,max=50"`
	// The credentials, of which the leading practitioner holds one.
	Credentials []string `json:"credentials" validate:"omitempty,max=20"`
	// The place-of-service codes, such as 02 and 10 for telehealth.
	PlacesOfService []string `json:"placesOfService" validate:"omitempty,max=60"`
}

func modifierRuleBodiesOf(rules []scheduling.ModifierRule) []ModifierRuleBody {
	return httpx.Bodies(rules, func(r scheduling.ModifierRule) ModifierRuleBody { return ModifierRuleBody(r) })
}

// modifierRuleSetBody is a set of modifier rules that apply from a day until the next set begins.
type modifierRuleSetBody struct {
	// The first service date of the rules. 0001-01-01 means that they have always applied.
	StartsOn calendar.Date      `json:"startsOn"`
	Rules    []ModifierRuleBody `json:"rules"` // The rules, in the order of the modifiers.
}

func modifierRuleSetBodiesOf(sets []scheduling.ModifierRuleSet) []modifierRuleSetBody {
	return httpx.Bodies(sets, func(s scheduling.ModifierRuleSet) modifierRuleSetBody {
		return modifierRuleSetBody{s.StartsOn, modifierRuleBodiesOf(s.Rules)}
	})
}

func modifierRulesOf(bodies []ModifierRuleBody) []scheduling.ModifierRule {
	rules := make([]scheduling.ModifierRule, len(bodies))
	for i, b := range bodies {
		rules[i] = scheduling.ModifierRule(b)
	}
	return rules
}
