package directory

import (
	"slices"

	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/patch"
	"omnirapeutic/platform/scheduling"
)

// withRule returns a copy of the rules with the added one. It replaces a rule of the same day that has
// not begun. If that rule has begun, both remain and checkDays refuses them. Rules of later days stay.
func withRule[R scheduling.Dated](rules []R, added R, today calendar.Date) []R {
	changed := slices.Clone(rules)
	at, exists := slices.BinarySearchFunc(changed, added.FirstDay(), func(r R, day calendar.Date) int {
		return r.FirstDay().Time().Compare(day.Time())
	})
	if exists && added.FirstDay().After(today) {
		changed[at] = added
		return changed
	}
	return slices.Insert(changed, at, added)
}

// withNoteRule returns a copy of the rules with the added one, which replaces a rule of the same day. Rules of
// other days stay.
func withNoteRule(rules []scheduling.DatedNoteRule, added scheduling.DatedNoteRule) []scheduling.DatedNoteRule {
	same := func(r scheduling.DatedNoteRule) bool { return r.StartsOn == added.StartsOn }
	return withRule(slices.DeleteFunc(slices.Clone(rules), same), added, added.StartsOn)
}

// checkDays returns an error for the field of the first day if two rules begin on one day.
func checkDays[R scheduling.Dated](rules []R, field string) []fault.Field {
	for i, rule := range rules {
		if i > 0 && rule.FirstDay() == rules[i-1].FirstDay() {
			return []fault.Field{{
				Field: field, Code: "unique",
				Message: "must be after " + rule.FirstDay().String() + ", because the rule of that day has begun and cannot change",
			}}
		}
	}
	return nil
}

// checkFirstDay returns an error if the first day of a new rule is given without the rule, or is before
// today.
func checkFirstDay(
	field, rule string, day patch.Field[calendar.Date], ruleGiven bool, today calendar.Date,
) []fault.Field {
	switch {
	case !day.Given:
		return nil
	case !ruleGiven:
		return []fault.Field{{Field: rule, Code: "required_with", Message: "must be given together with " + field}}
	case day.Value.Before(today):
		return []fault.Field{{
			Field: field, Code: "min",
			Message: "must not be before today, " + today.String() + ", because the present rule has been used since then",
		}}
	}
	return nil
}
