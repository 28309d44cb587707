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

// WeekStarts returns the days with which the weeks of insurances' payers begin,
// in the order of the insurances, each of which is in the organization beside it.
// It works in the transaction of the context and fails without one; it needs no
// caller. The error is [ErrInsuranceNotFound] where one of them is not there.
func (s *Service) WeekStarts(ctx context.Context, organizations, insurances []uuid.UUID) ([]time.Weekday, error) {
	names, err := weekStarts(ctx, organizations, insurances)
	if err != nil {
		return nil, err
	}
	days := make([]time.Weekday, len(names))
	for i, name := range names {
		day, ok := weekday(name)
		if !ok {
			return nil, ErrInsuranceNotFound
		}
		days[i] = day
	}
	return days, nil
}

// InsurancesOf returns the ids of a payer's insurances in the caller's
// organization, none where there is no such payer. It works in the transaction of
// the context and fails without one.
func (s *Service) InsurancesOf(ctx context.Context, payer uuid.UUID) ([]uuid.UUID, error) {
	return insurancesOf(ctx, payer)
}

func weekday(name string) (time.Weekday, bool) {
	for day := time.Sunday; day <= time.Saturday; day++ {
		if strings.EqualFold(day.String(), name) {
			return day, true
		}
	}
	return time.Sunday, false
}
