package directory

import (
	"cmp"
	"context"
	"slices"

	"github.com/google/uuid"
)

// ClaimData returns the master data for claims of patients under insurances, in the transaction of
// the context; it fails without one. Payers, practitioners, services and rates are all of the caller's
// organization.
func (s *Service) ClaimData(ctx context.Context, patients, insurances []uuid.UUID) (ClaimData, error) {
	found, err := s.store.claimRows(ctx, patients, insurances)
	if err != nil {
		return ClaimData{}, err
	}
	d := ClaimData{
		Organization: found.organization, Identity: found.identity,
		Patients: recordsByID[Patient](found.patients), Insurances: recordsByID[Insurance](found.insurances),
		Payers: recordsByID[Payer](found.payers), Practitioners: recordsByID[Practitioner](found.practitioners),
		ServiceCodes: recordsByID[ServiceCode](found.serviceCodes), Diagnoses: map[uuid.UUID][]Diagnosis{}, Rates: found.rates,
	}
	slices.SortStableFunc(d.Rates, func(a, b Rate) int { return a.StartsOn.Time().Compare(b.StartsOn.Time()) })
	slices.SortStableFunc(found.diagnoses, func(a, b Diagnosis) int {
		return cmp.Or(cmp.Compare(a.Rank, b.Rank), a.StartsOn.Time().Compare(b.StartsOn.Time()), cmp.Compare(a.Code, b.Code))
	})
	for _, each := range found.diagnoses {
		d.Diagnoses[each.PatientID] = append(d.Diagnoses[each.PatientID], each)
	}
	return d, nil
}

// recordsByID returns records by their ids.
func recordsByID[T any, P storedRecord[T]](records []T) map[uuid.UUID]T {
	all := make(map[uuid.UUID]T, len(records))
	for i := range records {
		all[P(&records[i]).head().ID] = records[i]
	}
	return all
}
