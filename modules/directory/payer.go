package directory

import (
	"cmp"
	"context"

	"github.com/google/uuid"

	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/patch"
)

// Rounding says how a payer turns minutes into units.
type Rounding string

// The ways of rounding, in units of 15 minutes.
const (
	RoundUp       Rounding = "CEIL"      // a unit that was begun counts
	RoundDown     Rounding = "FLOOR"     // only whole units count
	RoundMidpoint Rounding = "MIDPOINT"  // a unit counts from 8 minutes, for each service by itself
	RoundCMSTotal Rounding = "CMS_TOTAL" // the same, over all timed services of the visit together
)

// Payer is who pays for services: an insurer, a Medicaid programme, a family.
type Payer struct {
	Record
	Name         string   `json:"name"`
	PayerCode    *string  `json:"payerCode"` // how claims name the payer
	Rounding     Rounding `json:"rounding"`
	WeekStartsOn string   `json:"weekStartsOn"` // MONDAY to SUNDAY
}

// NewPayer is what a person enters of a payer.
type NewPayer struct {
	Name         string   `json:"name" validate:"required,max=100,text"`
	PayerCode    *string  `json:"payerCode" validate:"omitempty,max=50,text"`
	Rounding     Rounding `json:"rounding" validate:"omitempty,oneof=CEIL FLOOR MIDPOINT CMS_TOTAL"`                                // empty: RoundUp
	WeekStartsOn string   `json:"weekStartsOn" validate:"omitempty,oneof=MONDAY TUESDAY WEDNESDAY THURSDAY FRIDAY SATURDAY SUNDAY"` // empty: SUNDAY
}

// PayerChange changes what is given of a payer.
type PayerChange struct {
	ID           uuid.UUID               `param:"id"`
	Match        patch.Match             `header:"If-Match"`
	Name         patch.Field[string]     `json:"name" validate:"omitempty,max=100,text"`
	PayerCode    patch.Clearable[string] `json:"payerCode" validate:"omitempty,max=50,text"`
	Rounding     patch.Field[Rounding]   `json:"rounding" validate:"omitempty,oneof=CEIL FLOOR MIDPOINT CMS_TOTAL"`
	WeekStartsOn patch.Field[string]     `json:"weekStartsOn" validate:"omitempty,oneof=MONDAY TUESDAY WEDNESDAY THURSDAY FRIDAY SATURDAY SUNDAY"`
}

var payers = kind[Payer, *Payer]{name: "payer", absent: ErrPayerNotFound, told: told{all: true}}

// CreatePayer enters a payer. The error is [fault.ErrInvalid] where a field does not fit.
func (s *Service) CreatePayer(ctx context.Context, n NewPayer) (Payer, error) {
	return payers.create(ctx, s, Payer{
		Name: n.Name, PayerCode: n.PayerCode,
		Rounding: cmp.Or(n.Rounding, RoundUp), WeekStartsOn: cmp.Or(n.WeekStartsOn, "SUNDAY"),
	})
}

// Payer returns a payer. The error is [ErrPayerNotFound] where there is none.
func (s *Service) Payer(ctx context.Context, id uuid.UUID) (Payer, error) {
	return payers.get(ctx, s, id)
}

// Payers lists payers.
func (s *Service) Payers(ctx context.Context, p Page) ([]Payer, error) {
	return payers.list(ctx, s, p)
}

// ChangePayer changes a payer. Errors: [patch.ErrStale], [ErrPayerNotFound], [fault.ErrInvalid].
func (s *Service) ChangePayer(ctx context.Context, c PayerChange) (Payer, error) {
	return payers.change(ctx, s, c.ID, c.Match, func(p *Payer) {
		c.Name.Apply(&p.Name)
		c.PayerCode.Apply(&p.PayerCode)
		c.Rounding.Apply(&p.Rounding)
		c.WeekStartsOn.Apply(&p.WeekStartsOn)
	})
}

func (p *Payer) settle(calendar.Date) []fault.Field { return nil }
