package directory

import (
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
	ModifierRules []scheduling.ModifierRule `gorm:"serializer:json"` // in the order of the modifiers
	WeekStartsOn  string                    // a weekday, such as SUNDAY
	// ClaimFilingCode is the type of payer in claims, such as CI or MC (X12 element 1032).
	ClaimFilingCode *string
	// SupervisedCredentials are credentials whose holders the payer pays only under supervision; sorted.
	SupervisedCredentials []string `gorm:"serializer:json"`
}
