package directory

import (
	"cmp"
	"context"

	"github.com/google/uuid"

	"omnirapeutic/platform/calendar"
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
	noShowRules := []scheduling.NoShowRule{}
	if n.NoShowConsumes != nil {
		noShowRules = append(noShowRules, scheduling.NoShowRule{StartsOn: scheduling.Always, Consumes: n.NoShowConsumes})
	}
	created, err := payers.create(ctx, s, Payer{
		Name: n.Name, PayerCode: n.PayerCode, ClaimFilingCode: n.ClaimFilingCode, WeekStartsOn: cmp.Or(n.WeekStartsOn, "SUNDAY"),
		ModifierRules: modifierRulesOf(n.ModifierRules), NoShowRules: noShowRules,
		SupervisedCredentials: n.SupervisedCredentials,
		Rounding:              method, RoundingRules: []scheduling.RoundingRule{
			{StartsOn: scheduling.Always, Method: method, Basis: basisOf(n.RoundingBasis, method)},
		},
	})
	created.PresentModifierRules, created.NoShowConsumes = created.ModifierRules, n.NoShowConsumes
	return created, err
}

// Payer returns a payer. The error is [ErrPayerNotFound].
func (s *Service) Payer(ctx context.Context, id uuid.UUID) (Payer, error) {
	today, err := s.today(ctx)
	if err != nil {
		return Payer{}, err
	}
	found, err := payers.get(ctx, s, id)
	return found.withPresentRules(today), err
}

// Payers lists payers.
func (s *Service) Payers(ctx context.Context, p Page) ([]Payer, error) {
	today, err := s.today(ctx)
	if err != nil {
		return nil, err
	}
	found, err := payers.list(ctx, s, p)
	for i := range found {
		found[i] = found[i].withPresentRules(today)
	}
	return found, err
}

// ChangePayer changes a payer. Errors: [patch.ErrStale], [ErrPayerNotFound], and
// [fault.ErrInvalid], which names roundingFrom, modifierRulesFrom or noShowConsumesFrom if it is in the
// past or another rule has begun on that day.
func (s *Service) ChangePayer(ctx context.Context, c PayerChange) (Payer, error) {
	today, err := s.today(ctx)
	if err != nil {
		return Payer{}, err
	}
	fieldErrors := checkFirstDay("roundingFrom", "rounding", c.RoundingFrom,
		c.Rounding.Given || c.RoundingBasis.Given, today)
	fieldErrors = append(fieldErrors, checkFirstDay("modifierRulesFrom", "modifierRules", c.ModifierRulesFrom,
		c.ModifierRules.Given, today)...)
	fieldErrors = append(fieldErrors, checkFirstDay("noShowConsumesFrom", "noShowConsumes", c.NoShowConsumesFrom,
		c.NoShowConsumes.Given, today)...)
	if len(fieldErrors) > 0 {
		return Payer{}, fault.InvalidFields(fieldErrors...)
	}
	changed, err := payers.change(ctx, s, c.ID, c.Match, func(p *Payer) { c.apply(p, today) })
	return changed.withPresentRules(today), err
}

// apply changes the payer. New rules begin today unless the change gives a later day.
func (c PayerChange) apply(p *Payer, today calendar.Date) {
	c.Name.Apply(&p.Name)
	c.PayerCode.Apply(&p.PayerCode)
	c.ClaimFilingCode.Apply(&p.ClaimFilingCode)
	c.WeekStartsOn.Apply(&p.WeekStartsOn)
	c.SupervisedCredentials.Apply(&p.SupervisedCredentials)
	if c.ModifierRules.Given {
		added := scheduling.ModifierRuleSet{StartsOn: today, Rules: modifierRulesOf(c.ModifierRules.Value)}
		c.ModifierRulesFrom.Apply(&added.StartsOn)
		p.ModifierRuleChanges = p.withModifierRules(added, today)
	}
	if c.NoShowConsumes.Given {
		added := scheduling.NoShowRule{StartsOn: today, Consumes: c.NoShowConsumes.Value}
		c.NoShowConsumesFrom.Apply(&added.StartsOn)
		p.NoShowRules = withNoShow(p.NoShowRules, added, today)
	}
	if c.Rounding.Given || c.RoundingBasis.Given {
		from := today
		c.RoundingFrom.Apply(&from)
		added := scheduling.InForce(p.RoundingRules, from)
		added.StartsOn = from
		if c.Rounding.Given {
			added.Method, added.Basis = c.Rounding.Value, basisOf("", c.Rounding.Value)
		}
		c.RoundingBasis.Apply(&added.Basis)
		p.RoundingRules = withRounding(p.RoundingRules, added, today)
	}
}
