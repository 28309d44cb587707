package directory

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"omnirapeutic/platform/record"
	"omnirapeutic/platform/scheduling"
)

// SchedulingRules returns the rules for any number of bookings and organizations, in one
// statement in the transaction of the context; it fails without one. It needs no caller: every id
// is looked up in its own organization. The result omits ids that do not exist there.
func (s *Service) SchedulingRules(ctx context.Context, q scheduling.Query) (scheduling.Rules, error) {
	rows, err := s.store.schedulingRules(ctx, withoutDuplicates(q))
	if err != nil {
		return scheduling.Rules{}, err
	}
	rules := scheduling.Rules{
		ServiceCodes:  map[record.Key]scheduling.ServiceCode{},
		Practitioners: map[record.Key]scheduling.Practitioner{},
		Patients:      map[record.Key]scheduling.Patient{},
		Locations:     map[record.Key]scheduling.Location{},
		Payers:        map[scheduling.Coverage]scheduling.PayerRules{},
		Organizations: map[uuid.UUID]scheduling.Organization{},
	}
	for _, c := range q.Coverages {
		if c.InsuranceID == uuid.Nil {
			rules.Payers[c] = scheduling.PayerRules{RoundingRule: scheduling.DefaultRounding}
		}
	}
	for _, row := range rows {
		if err := row.addTo(&rules); err != nil {
			return scheduling.Rules{}, fmt.Errorf("the %s %s of organization %s: %w", row.Kind, row.ID, row.OrganizationID, err)
		}
	}
	return rules, nil
}

// withoutDuplicates returns a [scheduling.Query] without duplicates.
func withoutDuplicates(q scheduling.Query) scheduling.Query {
	return scheduling.Query{
		ServiceCodes: unique(q.ServiceCodes), Practitioners: unique(q.Practitioners), Patients: unique(q.Patients),
		Locations: unique(q.Locations), Coverages: unique(q.Coverages),
	}
}
