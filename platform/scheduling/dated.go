package scheduling

import "omnirapeutic/platform/calendar"

// Dated is a rule that applies from its first day until the next rule begins.
type Dated interface{ FirstDay() calendar.Date }

// RuleOn returns the rule that applies on the day, and false if none does. The rules are in order of their
// first days.
func RuleOn[R Dated](rules []R, on calendar.Date) (found R, ok bool) {
	for _, rule := range rules {
		if rule.FirstDay().After(on) {
			break
		}
		found, ok = rule, true
	}
	return found, ok
}
