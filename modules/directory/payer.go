package directory

import (
	"cmp"
	"context"
	"slices"

	"github.com/google/uuid"

	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/patch"
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

// NewPayer is the request for a payer.
type NewPayer struct {
	// The name of the payer.
	Name      string  `json:"name" validate:"required,max=100,text"`
	PayerCode *string `json:"payerCode" validate:"omitempty,max=50,text"`
	// The rounding rule for all days. The default is `CEIL`.
	Rounding scheduling.Rounding `json:"rounding" validate:"omitempty,oneof=CEIL FLOOR MIDPOINT CMS_TOTAL"`
	// The day on which the payer's weeks start. The default is `SUNDAY`.
	WeekStartsOn string `json:"weekStartsOn" validate:"omitempty,oneof=MONDAY TUESDAY WEDNESDAY THURSDAY FRIDAY SATURDAY SUNDAY"`
}

// PayerChange changes the given fields of a payer. A new way of rounding applies from today or a
// later day on. Rules that have begun stay.
type PayerChange struct {
	ID    uuid.UUID   `param:"id"`
	Match patch.Match `header:"If-Match"`
	// The name of the payer.
	Name      patch.Field[string]     `json:"name" validate:"omitempty,max=100,text"`
	PayerCode patch.Clearable[string] `json:"payerCode" validate:"omitempty,max=50,text"`
	// The new rounding rule.
	Rounding patch.Field[scheduling.Rounding] `json:"rounding" validate:"omitempty,oneof=CEIL FLOOR MIDPOINT CMS_TOTAL"`
	// The first day of the new rounding rule. The default is today, in the organization's time
	// zone.
	RoundingFrom patch.Field[calendar.Date] `json:"roundingFrom"`

	// The day on which the payer's weeks start.
	WeekStartsOn patch.Field[string] `json:"weekStartsOn" validate:"omitempty,oneof=MONDAY TUESDAY WEDNESDAY THURSDAY FRIDAY SATURDAY SUNDAY"`
}

var payers = kind[Payer, *Payer]{
	name: "payer", absent: ErrPayerNotFound, load: loadRoundingRules, save: saveRoundingRules,
	recorded: recordedFields{all: true},
}

// CreatePayer creates a payer. The error is [fault.ErrInvalid].
func (s *Service) CreatePayer(ctx context.Context, n NewPayer) (Payer, error) {
	method := cmp.Or(n.Rounding, scheduling.RoundUp)
	return payers.create(ctx, s, Payer{
		Name: n.Name, PayerCode: n.PayerCode, WeekStartsOn: cmp.Or(n.WeekStartsOn, "SUNDAY"),
		Rounding: method, RoundingRules: []scheduling.RoundingRule{{StartsOn: scheduling.Always, Method: method}},
	})
}

// Payer returns a payer. The error is [ErrPayerNotFound].
func (s *Service) Payer(ctx context.Context, id uuid.UUID) (Payer, error) {
	today, err := s.today(ctx)
	if err != nil {
		return Payer{}, err
	}
	found, err := payers.get(ctx, s, id)
	found.Rounding = scheduling.InForce(found.RoundingRules, today).Method
	return found, err
}

// Payers lists payers.
func (s *Service) Payers(ctx context.Context, p Page) ([]Payer, error) {
	today, err := s.today(ctx)
	if err != nil {
		return nil, err
	}
	found, err := payers.list(ctx, s, p)
	for i := range found {
		found[i].Rounding = scheduling.InForce(found[i].RoundingRules, today).Method
	}
	return found, err
}

// ChangePayer changes a payer. Errors: [patch.ErrStale], [ErrPayerNotFound], and
// [fault.ErrInvalid], which names roundingFrom if it is in the past or another rule has begun on
// that day.
func (s *Service) ChangePayer(ctx context.Context, c PayerChange) (Payer, error) {
	today, err := s.today(ctx)
	if err != nil {
		return Payer{}, err
	}
	from := today
	c.RoundingFrom.Apply(&from)
	switch {
	case c.RoundingFrom.Given && !c.Rounding.Given:
		return Payer{}, fault.InvalidFields(fault.Field{
			Field: "rounding", Code: "required_with",
			Message: "must be given together with roundingFrom",
		})
	case from.Before(today):
		return Payer{}, fault.InvalidFields(fault.Field{
			Field: "roundingFrom", Code: "min",
			Message: "must not be before today, " + today.String() + ", because earlier units have been computed",
		})
	}
	changed, err := payers.change(ctx, s, c.ID, c.Match, func(p *Payer) {
		c.Name.Apply(&p.Name)
		c.PayerCode.Apply(&p.PayerCode)
		c.WeekStartsOn.Apply(&p.WeekStartsOn)
		if c.Rounding.Given {
			p.RoundingRules = roundedFrom(p.RoundingRules, scheduling.RoundingRule{StartsOn: from, Method: c.Rounding.Value},
				today)
		}
	})
	changed.Rounding = scheduling.InForce(changed.RoundingRules, today).Method
	return changed, err
}

// roundedFrom returns a copy of the rules with the added one, unless the rounding is already in
// force. It replaces a rule of the same day that has not begun. If that rule has begun, both
// remain and settle refuses them. Rules of later days stay.
func roundedFrom(
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

func (p *Payer) settle(calendar.Date) []fault.Field {
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
