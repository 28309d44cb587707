package directory

import (
	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/scheduling"
)

// Payer pays for services: an insurer, a Medicaid program, a family.
type Payer struct {
	Record
	Name      string
	PayerCode *string
	// Rounding is the rule of today, in the organization's time zone.
	Rounding scheduling.Rounding `gorm:"-"`
	// RoundingRules are sorted by first day. Each applies until the next one begins.
	RoundingRules []scheduling.RoundingRule `gorm:"-"`
	// ModifierRules apply until the first of ModifierRuleChanges begins.
	ModifierRules []scheduling.ModifierRule `gorm:"serializer:json"`
	// ModifierRuleChanges are sorted by first day.
	ModifierRuleChanges []scheduling.ModifierRuleSet `gorm:"serializer:json"`
	// PresentModifierRules are the rules of today, in the organization's time zone.
	PresentModifierRules []scheduling.ModifierRule `gorm:"-"`
	// NoShowRules are sorted by first day. Before the first, the organization's setting applies.
	NoShowRules []scheduling.NoShowRule `gorm:"serializer:json"`
	// NoShowConsumes is the setting of today; nil: as the organization has set.
	NoShowConsumes *bool  `gorm:"-"`
	WeekStartsOn   string // a weekday, such as SUNDAY
	// ClaimFilingCode is the type of payer in claims, such as CI or MC (X12 element 1032).
	ClaimFilingCode *string
	// SupervisedCredentials are credentials whose holders the payer pays only under supervision; sorted.
	SupervisedCredentials []string `gorm:"serializer:json"`
}

// modifierRuleSets returns all modifier rules, sorted by first day. The first set has always applied.
func (p Payer) modifierRuleSets() []scheduling.ModifierRuleSet {
	return append([]scheduling.ModifierRuleSet{{StartsOn: scheduling.Always, Rules: p.ModifierRules}},
		p.ModifierRuleChanges...)
}

// withPresentRules returns the payer with the rules of the day as the present ones.
func (p Payer) withPresentRules(today calendar.Date) Payer {
	p.Rounding = scheduling.InForce(p.RoundingRules, today).Method
	present, _ := scheduling.RuleOn(p.modifierRuleSets(), today)
	p.PresentModifierRules = present.Rules
	noShow, _ := scheduling.RuleOn(p.NoShowRules, today)
	p.NoShowConsumes = noShow.Consumes
	return p
}
