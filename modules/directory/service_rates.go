package directory

import (
	"context"

	"github.com/google/uuid"

	"omnirapeutic/platform/fault"
)

var rates = crud[Rate, *Rate]{
	name: "rate", notFound: ErrRateNotFound, checkReferences: checkRateReferences, recorded: recordedRate,
}

// CreateRate creates a rate. Errors: [fault.ErrInvalid], [ErrRateTaken].
func (s *Service) CreateRate(ctx context.Context, n NewRate) (Rate, error) {
	return rates.create(ctx, s, Rate{
		PayerID: n.PayerID, ServiceCodeID: n.ServiceCodeID, StartsOn: n.StartsOn, CentsPerUnit: n.CentsPerUnit,
	})
}

// Rate returns a rate. The error is [ErrRateNotFound].
func (s *Service) Rate(ctx context.Context, id uuid.UUID) (Rate, error) {
	return rates.get(ctx, s, id)
}

// Rates lists rates.
func (s *Service) Rates(ctx context.Context, f RateFilter) ([]Rate, error) {
	return rates.list(ctx, s, f.Page, equals("payer_id", f.PayerID))
}

// ChangeRate changes the amount of a rate. Exported lines keep their charges. Errors:
// [patch.ErrStale], [ErrRateNotFound], [fault.ErrInvalid].
func (s *Service) ChangeRate(ctx context.Context, c RateChange) (Rate, error) {
	return rates.change(ctx, s, c.ID, c.Match, func(r *Rate) { c.CentsPerUnit.Apply(&r.CentsPerUnit) })
}

func checkRateReferences(ctx context.Context, r Rate) error {
	var fieldErrors []fault.Field
	found, err := payers.store.exists(ctx, r.PayerID)
	if err != nil {
		return err
	}
	if !found {
		fieldErrors = append(fieldErrors, doesNotExist("payerId"))
	}
	if found, err = serviceCodes.store.exists(ctx, r.ServiceCodeID); err != nil {
		return err
	}
	if !found {
		fieldErrors = append(fieldErrors, doesNotExist("serviceCodeId"))
	}
	if len(fieldErrors) > 0 {
		return fault.InvalidFields(fieldErrors...)
	}
	return nil
}
