package directory

import (
	"omnirapeutic/platform/scheduling"
)

// Payer pays for services: an insurer, a Medicaid program, a family.
type Payer struct {
	Record
	Name      string  `json:"name"` // The name of the payer.
	PayerCode *string `json:"payerCode"`
	// The rounding rule of today, in the organization's time zone.
	Rounding scheduling.Rounding `json:"rounding" gorm:"-"`
	// The rounding rules, sorted by first day. Each applies until the next one begins.
	RoundingRules []scheduling.RoundingRule `json:"roundingRules" gorm:"-"`
	// The day on which the payer's weeks start.
	WeekStartsOn string `json:"weekStartsOn"`
}
