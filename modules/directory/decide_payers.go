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
	if len(rules) > 0 && scheduling.InForce(rules, added.StartsOn).Method == added.Method {
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

func (p *Payer) normalize(calendar.Date) []fault.Field {
	for i, rule := range p.RoundingRules {
		if i > 0 && rule.StartsOn == p.RoundingRules[i-1].StartsOn {
			return []fault.Field{{
				Field: "roundingFrom", Code: "unique",
				Message: "must be after " + rule.StartsOn.String() + ", because the rule of that day has begun and cannot change",
			}}
		}
	}
	return nil
}
