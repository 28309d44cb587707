package directory

import (
	"cmp"
	"context"

	"github.com/google/uuid"

	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/scheduling"
)

var payers = crud[Payer, *Payer]{
	name: "payer", notFound: ErrPayerNotFound, loadParts: store{}.loadRoundingRules, saveParts: store{}.saveRoundingRules,
	recorded: recordedPayer,
}

// CreatePayer creates a payer. The error is [fault.ErrInvalid].
func (s *Service) CreatePayer(ctx context.Context, n NewPayer) (Payer, error) {
	method := cmp.Or(n.Rounding, scheduling.RoundUp)
	return payers.create(ctx, s, Payer{
		Name: n.Name, PayerCode: n.PayerCode, ClaimFilingCode: n.ClaimFilingCode, WeekStartsOn: cmp.Or(n.WeekStartsOn, "SUNDAY"),
		ModifierRules: modifierRulesOf(n.ModifierRules), SupervisedCredentials: n.SupervisedCredentials,
		Rounding: method, RoundingRules: []scheduling.RoundingRule{
			{StartsOn: scheduling.Always, Method: method, Basis: basisOf(n.RoundingBasis, method)},
		},
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
	case c.RoundingFrom.Given && !c.Rounding.Given && !c.RoundingBasis.Given:
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
		c.ClaimFilingCode.Apply(&p.ClaimFilingCode)
		c.WeekStartsOn.Apply(&p.WeekStartsOn)
		c.SupervisedCredentials.Apply(&p.SupervisedCredentials)
		if c.ModifierRules.Given {
			p.ModifierRules = modifierRulesOf(c.ModifierRules.Value)
		}
		if c.Rounding.Given || c.RoundingBasis.Given {
			added := scheduling.InForce(p.RoundingRules, from)
			added.StartsOn = from
			if c.Rounding.Given {
				added.Method, added.Basis = c.Rounding.Value, basisOf("", c.Rounding.Value)
			}
			c.RoundingBasis.Apply(&added.Basis)
			p.RoundingRules = withRule(p.RoundingRules, added, today)
		}
	})
	changed.Rounding = scheduling.InForce(changed.RoundingRules, today).Method
	return changed, err
}
