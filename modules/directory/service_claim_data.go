package directory

import (
	"cmp"
	"context"
	"slices"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
)

// ClaimData returns the master data for claims that concern all patients of the caller's organization: its
// payers, practitioners, services and rates. It works in the transaction of the context and fails without one.
func (s *Service) ClaimData(ctx context.Context) (db.Reading[ClaimData], error) {
	found, queries, err := s.store.practiceClaimRows(ctx)
	return db.Reading[ClaimData]{Queries: queries, Value: func(context.Context) (ClaimData, error) {
		if len(found.organization) == 0 {
			return ClaimData{}, ErrOrganizationNotFound
		}
		addSupervised(found.serviceCodes, found.supervised)
		addCredentials(found.practitioners, found.credentials)
		d := ClaimData{
			Organization: found.organization[0], Identity: presentIdentity(found.organization[0].ID, found.identity),
			Payers: recordsByID[Payer](found.payers), Practitioners: recordsByID[Practitioner](found.practitioners),
			ServiceCodes: recordsByID[ServiceCode](found.serviceCodes), Rates: found.rates,
		}
		slices.SortStableFunc(d.Rates, func(a, b Rate) int { return a.StartsOn.Time().Compare(b.StartsOn.Time()) })
		return d, nil
	}}, err
}

// PatientClaimData returns the master data for claims of patients: these with their diagnoses and insurances. It
// works in the transaction of the context and fails without one.
func (s *Service) PatientClaimData(ctx context.Context, patients []uuid.UUID) (db.Reading[ClaimData], error) {
	found, queries, err := s.store.patientClaimRows(ctx, patients)
	return db.Reading[ClaimData]{Queries: queries, Value: func(context.Context) (ClaimData, error) {
		addAddresses(found.patients, found.addresses)
		d := ClaimData{
			Patients: recordsByID[Patient](found.patients), Insurances: recordsByID[Insurance](found.insurances),
			Diagnoses: map[uuid.UUID][]Diagnosis{},
		}
		slices.SortStableFunc(found.diagnoses, func(a, b Diagnosis) int {
			return cmp.Or(cmp.Compare(a.Rank, b.Rank), a.StartsOn.Time().Compare(b.StartsOn.Time()), cmp.Compare(a.Code, b.Code))
		})
		for _, each := range found.diagnoses {
			d.Diagnoses[each.PatientID] = append(d.Diagnoses[each.PatientID], each)
		}
		return d, nil
	}}, err
}

// recordsByID returns records by their ids.
func recordsByID[T any, P storedRecord[T]](records []T) map[uuid.UUID]T {
	all := make(map[uuid.UUID]T, len(records))
	for i := range records {
		all[P(&records[i]).head().ID] = records[i]
	}
	return all
}
