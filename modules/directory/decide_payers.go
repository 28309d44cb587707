package directory

import (
	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/scheduling"
)

// withRounding returns the rules with the added one, unless the rounding is already in force on its first day.
func withRounding(
	rules []scheduling.RoundingRule, added scheduling.RoundingRule, today calendar.Date,
) []scheduling.RoundingRule {
	current := scheduling.InForce(rules, added.StartsOn)
	if len(rules) > 0 && current.Method == added.Method && current.Basis == added.Basis {
		return rules
	}
	return withRule(rules, added, today)
}

// supervisedPath is the path of a supervised credential in requests.
const supervisedPath = "supervisedCredentials[%d]"

// withNoShow returns the rules with the added one, unless it is already in force on its first day.
func withNoShow(rules []scheduling.NoShowRule, added scheduling.NoShowRule, today calendar.Date) []scheduling.NoShowRule {
	current, _ := scheduling.RuleOn(rules, added.StartsOn)
	a, b := current.Consumes, added.Consumes
	if a == b || a != nil && b != nil && *a == *b {
		return rules
	}
	return withRule(rules, added, today)
}

func (p *Payer) normalize(today calendar.Date) []fault.Field {
	var fieldErrors []fault.Field
	p.ModifierRules, fieldErrors = normalizeModifierRules(p.ModifierRules, today)
	fieldErrors = append(fieldErrors, checkCodes(p.SupervisedCredentials, supervisedPath)...)
	p.SupervisedCredentials = sortedCopy(p.SupervisedCredentials)
	changes := []scheduling.ModifierRuleSet{}
	for _, set := range p.ModifierRuleChanges {
		rules, setErrors := normalizeModifierRules(set.Rules, set.StartsOn)
		fieldErrors = append(fieldErrors, setErrors...)
		changes = append(changes, scheduling.ModifierRuleSet{StartsOn: set.StartsOn, Rules: rules})
	}
	p.ModifierRuleChanges = changes
	fieldErrors = append(fieldErrors, checkDays(p.ModifierRuleChanges, "modifierRulesFrom")...)
	fieldErrors = append(fieldErrors, checkDays(p.NoShowRules, "noShowConsumesFrom")...)
	return append(fieldErrors, p.checkRoundingRules()...)
}

// checkRoundingRules returns an error if two rules begin on one day, or a basis does not match its
// method.
func (p *Payer) checkRoundingRules() []fault.Field {
	if wrong := checkDays(p.RoundingRules, "roundingFrom"); wrong != nil {
		return wrong
	}
	if wrong := checkForm(p.ClaimFilingCode, filingForm, "claimFilingCode",
		"must be two characters, such as CI for a commercial insurer or MC for Medicaid"); wrong != nil {
		return wrong
	}
	for _, rule := range p.RoundingRules {
		if (rule.Basis == scheduling.Visit) != (rule.Method == scheduling.RoundCMSTotal) {
			return []fault.Field{{
				Field: "roundingBasis", Code: "match", Message: "must be VISIT with CMS_TOTAL, and only then",
			}}
		}
	}
	return nil
}

// basisOf returns the given basis, or the default of the method.
func basisOf(given scheduling.Basis, method scheduling.Rounding) scheduling.Basis {
	switch {
	case given != "":
		return given
	case method == scheduling.RoundCMSTotal:
		return scheduling.Visit
	default:
		return scheduling.EachSession
	}
}
