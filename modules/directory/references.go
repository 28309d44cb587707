package directory

import (
	"context"
	"strings"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/fault"
)

// CheckReferences says whether a patient, a service code and, where one is given,
// an insurance of that patient are there, in the caller's organization. It works
// in the caller's transaction and fails without one. The error is
// [fault.ErrInvalid] and names every wrong field: patientId, serviceCodeId,
// insuranceId.
func (s *Service) CheckReferences(ctx context.Context, patient, serviceCode uuid.UUID, insurance *uuid.UUID) error {
	insuranceID := uuid.Nil
	if insurance != nil {
		insuranceID = *insurance
	}
	there, err := lookUp(ctx, patient, serviceCode, insuranceID)
	if err != nil {
		return err
	}
	var wrong []fault.Field
	if !there.Patient {
		wrong = append(wrong, doesNotExist("patientId"))
	}
	if !there.ServiceCode {
		wrong = append(wrong, doesNotExist("serviceCodeId"))
	}
	switch {
	case insurance == nil:
	case there.InsurancePatient == nil:
		wrong = append(wrong, doesNotExist("insuranceId"))
	case *there.InsurancePatient != patient:
		wrong = append(wrong, fault.Field{Field: "insuranceId", Code: "reference", Message: "is an insurance of another patient"})
	}
	if len(wrong) > 0 {
		return fault.InvalidFields(wrong...)
	}
	return nil
}

// WeekStartsOn returns the day with which the weeks of an insurance's payer
// begin. It works in the caller's transaction and fails without one. The error is
// [ErrInsuranceNotFound] where there is no such insurance.
func (s *Service) WeekStartsOn(ctx context.Context, insurance uuid.UUID) (time.Weekday, error) {
	name, err := weekStart(ctx, insurance)
	if err != nil {
		return time.Sunday, err
	}
	for day := time.Sunday; day <= time.Saturday; day++ {
		if strings.EqualFold(day.String(), name) {
			return day, nil
		}
	}
	return time.Sunday, ErrInsuranceNotFound
}
