package directory

import (
	"context"
	"strings"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/fault"
)

// CheckReferences checks that a patient, a service code and, if given, an insurance of that
// patient exist in the caller's organization. It works in the caller's transaction and fails
// without one. The error is [fault.ErrInvalid] and names every invalid field: patientId,
// serviceCodeId, insuranceId.
func (s *Service) CheckReferences(ctx context.Context, patient, serviceCode uuid.UUID, insurance *uuid.UUID) error {
	insuranceID := uuid.Nil
	if insurance != nil {
		insuranceID = *insurance
	}
	found, err := s.store.findReferences(ctx, patient, serviceCode, insuranceID)
	if err != nil {
		return err
	}
	var fieldErrors []fault.Field
	if !found.Patient {
		fieldErrors = append(fieldErrors, doesNotExist("patientId"))
	}
	if !found.ServiceCode {
		fieldErrors = append(fieldErrors, doesNotExist("serviceCodeId"))
	}
	switch {
	case insurance == nil:
	case found.InsurancePatient == nil:
		fieldErrors = append(fieldErrors, doesNotExist("insuranceId"))
	case *found.InsurancePatient != patient:
		fieldErrors = append(fieldErrors,
			fault.Field{Field: "insuranceId", Code: "reference", Message: "belongs to another patient"})
	}
	if len(fieldErrors) > 0 {
		return fault.InvalidFields(fieldErrors...)
	}
	return nil
}

// WeekStarts returns the first days of the week of insurances' payers, in the order of the
// insurances. Each insurance is in the organization with the same index. It works in the
// transaction of the context and fails without one; it needs no caller. The error is
// [ErrInsuranceNotFound] if one of them does not exist.
func (s *Service) WeekStarts(ctx context.Context, organizations, insurances []uuid.UUID) ([]time.Weekday, error) {
	names, err := s.store.weekStarts(ctx, organizations, insurances)
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

// WeekStartsOf returns a reading of the first days of the week of the payers of insurances in the caller's
// organization, by insurance. It works in the transaction of the context and fails without one.
func (s *Service) WeekStartsOf(ctx context.Context, insurances db.Subquery) (db.Reading[map[uuid.UUID]time.Weekday], error) {
	var rows []weekStartRow
	q, err := s.store.weekStartsOf(ctx, insurances, &rows)
	return db.Reading[map[uuid.UUID]time.Weekday]{
		Queries: []db.Query{q},
		Value: func(context.Context) (map[uuid.UUID]time.Weekday, error) {
			days := make(map[uuid.UUID]time.Weekday, len(rows))
			for _, r := range rows {
				days[r.ID], _ = weekday(r.WeekStartsOn)
			}
			return days, nil
		},
	}, err
}

// PayerNamesOf returns a reading of the names of the payers of insurances in the caller's organization, by insurance. It
// works in the transaction of the context and fails without one.
func (s *Service) PayerNamesOf(ctx context.Context, insurances db.Subquery) (db.Reading[map[uuid.UUID]string], error) {
	var rows []payerNameRow
	q, err := s.store.payerNamesOf(ctx, insurances, &rows)
	return db.Reading[map[uuid.UUID]string]{
		Queries: []db.Query{q},
		Value: func(context.Context) (map[uuid.UUID]string, error) {
			names := make(map[uuid.UUID]string, len(rows))
			for _, r := range rows {
				names[r.ID] = r.Name
			}
			return names, nil
		},
	}, err
}

// InsurancesOf returns the ids of a payer's insurances in the caller's organization, none for an
// unknown payer. It works in the transaction of the context and fails without one.
func (s *Service) InsurancesOf(ctx context.Context, payer uuid.UUID) ([]uuid.UUID, error) {
	return s.store.insurancesOf(ctx, payer)
}

func weekday(name string) (time.Weekday, bool) {
	for day := time.Sunday; day <= time.Saturday; day++ {
		if strings.EqualFold(day.String(), name) {
			return day, true
		}
	}
	return time.Sunday, false
}
