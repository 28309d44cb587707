package directory

import (
	"context"

	"github.com/google/uuid"

	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/patch"
)

// Insurance is a patient's coverage by a payer.
type Insurance struct {
	Record
	PatientID    uuid.UUID     `json:"patientId"`
	PayerID      uuid.UUID     `json:"payerId"`
	MemberNumber string        `json:"memberNumber"`
	StartsOn     calendar.Date `json:"startsOn"`           // The first day of coverage.
	EndsOn       calendar.Date `json:"endsOn" null:"true"` // The last day of coverage. Null if no end is known.
}

// NewInsurance is the request for a coverage.
type NewInsurance struct {
	PatientID    uuid.UUID `json:"patientId" validate:"required"`
	PayerID      uuid.UUID `json:"payerId" validate:"required"`
	MemberNumber string    `json:"memberNumber" validate:"required,max=50,text"`
	// The first day of coverage.
	StartsOn calendar.Date `json:"startsOn" validate:"required"`
	// The last day of coverage. Null if no end is known.
	EndsOn calendar.Date `json:"endsOn"`
}

// InsuranceChange changes the given fields of a coverage. Patient and payer cannot change.
type InsuranceChange struct {
	ID           uuid.UUID           `param:"id"`
	Match        patch.Match         `header:"If-Match"`
	MemberNumber patch.Field[string] `json:"memberNumber" validate:"omitempty,max=50,text"`
	// The first day of coverage.
	StartsOn patch.Field[calendar.Date] `json:"startsOn"`
	// The last day of coverage. Null if no end is known.
	EndsOn patch.Clearable[calendar.Date] `json:"endsOn"`
}

// InsuranceFilter narrows a list of coverages. Zero values match every coverage.
type InsuranceFilter struct {
	Page
	PatientID uuid.UUID
	PayerID   uuid.UUID
}

var insurances = kind[Insurance, *Insurance]{
	name: "insurance", absent: ErrInsuranceNotFound, owners: db.Owners{Patient: "insurances.patient_id IN (%s)"},
	refer:    referInsurance,
	recorded: recordedFields{values: []string{"payerId", "startsOn", "endsOn"}},
	whose:    func(i Insurance) uuid.UUID { return i.PatientID },
}

// CreateInsurance creates a coverage. The error is [fault.ErrInvalid].
func (s *Service) CreateInsurance(ctx context.Context, n NewInsurance) (Insurance, error) {
	return insurances.create(ctx, s, Insurance{
		PatientID: n.PatientID, PayerID: n.PayerID, MemberNumber: n.MemberNumber, StartsOn: n.StartsOn, EndsOn: n.EndsOn,
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
		if c.EndsOn.Given {
			i.EndsOn = calendar.Date{}
			if c.EndsOn.Value != nil {
				i.EndsOn = *c.EndsOn.Value
			}
		}
	})
}

func (i *Insurance) settle(calendar.Date) []fault.Field {
	if !i.EndsOn.IsZero() && i.EndsOn.Before(i.StartsOn) {
		return []fault.Field{{Field: "endsOn", Code: "gtefield", Message: "must not be before startsOn"}}
	}
	return nil
}

func referInsurance(ctx context.Context, i Insurance) error {
	var fieldErrors []fault.Field
	found, err := exists[Patient](ctx, i.PatientID)
	if err != nil {
		return err
	}
	if !found {
		fieldErrors = append(fieldErrors, doesNotExist("patientId"))
	}
	if found, err = exists[Payer](ctx, i.PayerID); err != nil {
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

func doesNotExist(field string) fault.Field {
	return fault.Field{Field: field, Code: "reference", Message: "does not exist"}
}
