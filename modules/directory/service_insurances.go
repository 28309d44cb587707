package directory

import (
	"context"

	"github.com/google/uuid"

	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/fault"
)

var insurances = crud[Insurance, *Insurance]{
	name: "insurance", notFound: ErrInsuranceNotFound,
	store:           recordStore[Insurance]{db.Owners{Patient: "insurances.patient_id IN (%s)"}},
	checkReferences: checkInsuranceReferences,
	recorded:        recordedInsurance,
	patientOf:       func(i Insurance) uuid.UUID { return i.PatientID },
}

// CreateInsurance creates a coverage. The error is [fault.ErrInvalid].
func (s *Service) CreateInsurance(ctx context.Context, n NewInsurance) (Insurance, error) {
	return insurances.create(ctx, s, Insurance{
		PatientID: n.PatientID, PayerID: n.PayerID, MemberNumber: n.MemberNumber, StartsOn: n.StartsOn, EndsOn: n.EndsOn,
		Relationship: n.Relationship, SubscriberFirstName: n.SubscriberFirstName, SubscriberLastName: n.SubscriberLastName,
	})
}

// Insurance returns a coverage. The error is [ErrInsuranceNotFound].
func (s *Service) Insurance(ctx context.Context, id uuid.UUID) (Insurance, error) {
	return insurances.get(ctx, s, id)
}

// Insurances lists coverages.
func (s *Service) Insurances(ctx context.Context, f InsuranceFilter) ([]Insurance, error) {
	return insurances.list(ctx, s, f.Page, equals("patient_id", f.PatientID), equals("payer_id", f.PayerID))
}

// ChangeInsurance changes a coverage. Errors: [patch.ErrStale], [ErrInsuranceNotFound], [fault.ErrInvalid].
func (s *Service) ChangeInsurance(ctx context.Context, c InsuranceChange) (Insurance, error) {
	return insurances.change(ctx, s, c.ID, c.Match, func(i *Insurance) {
		c.MemberNumber.Apply(&i.MemberNumber)
		c.StartsOn.Apply(&i.StartsOn)
		c.Relationship.Apply(&i.Relationship)
		c.SubscriberFirstName.Apply(&i.SubscriberFirstName)
		c.SubscriberLastName.Apply(&i.SubscriberLastName)
		if c.EndsOn.Given {
			i.EndsOn = calendar.Date{}
			if c.EndsOn.Value != nil {
				i.EndsOn = *c.EndsOn.Value
			}
		}
	})
}

func checkInsuranceReferences(ctx context.Context, i Insurance) error {
	var fieldErrors []fault.Field
	found, err := patients.store.exists(ctx, i.PatientID)
	if err != nil {
		return err
	}
	if !found {
		fieldErrors = append(fieldErrors, doesNotExist("patientId"))
	}
	if found, err = payers.store.exists(ctx, i.PayerID); err != nil {
		return err
	}
	if !found {
		fieldErrors = append(fieldErrors, doesNotExist("payerId"))
	}
	if len(fieldErrors) > 0 {
		return fault.InvalidFields(fieldErrors...)
	}
	return nil
}
