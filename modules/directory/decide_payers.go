package directory

import (
	"slices"

	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/scheduling"
)

// withRule returns a copy of the rules with the added one, unless the rounding is already in
// force. It replaces a rule of the same day that has not begun. If that rule has begun, both
// remain and settle refuses them. Rules of later days stay.
func withRule(
	rules []scheduling.RoundingRule, added scheduling.RoundingRule, today calendar.Date,
) []scheduling.RoundingRule {
	current := scheduling.InForce(rules, added.StartsOn)
	if len(rules) > 0 && current.Method == added.Method && current.Basis == added.Basis {
		return rules
	}
	changed := slices.Clone(rules)
	at, exists := slices.BinarySearchFunc(changed, added.StartsOn, func(r scheduling.RoundingRule, day calendar.Date) int {
		return r.StartsOn.Time().Compare(day.Time())
	})
	if exists && added.StartsOn.After(today) {
		changed[at] = added
		return changed
	}
	return slices.Insert(changed, at, added)
}

// supervisedPath is the path of a supervised credential in requests.
const supervisedPath = "supervisedCredentials[%d]"

func (p *Payer) normalize(today calendar.Date) []fault.Field {
	var fieldErrors []fault.Field
	p.ModifierRules, fieldErrors = normalizeModifierRules(p.ModifierRules, today)
	fieldErrors = append(fieldErrors, checkCodes(p.SupervisedCredentials, supervisedPath)...)
	p.SupervisedCredentials = sortedCopy(p.SupervisedCredentials)
	return append(fieldErrors, p.checkRoundingRules()...)
}

// checkRoundingRules returns an error if two rules begin on one day, or a basis does not match its
// method.
func (p *Payer) checkRoundingRules() []fault.Field {
	for i, rule := range p.RoundingRules {
		if i > 0 && rule.StartsOn == p.RoundingRules[i-1].StartsOn {
			return []fault.Field{{
				Field: "roundingFrom", Code: "unique",
				Message: "must be after " + rule.StartsOn.String() + ", because the rule of that day has begun and cannot change",
			}}
		}
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
