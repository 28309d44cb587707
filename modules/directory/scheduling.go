package directory

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/google/uuid"

	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/scheduling"
)

// SchedulingRules returns the rules for any number of bookings and organizations, in one
// statement in the transaction of the context; it fails without one. It needs no caller: every id
// is looked up in its own organization. The result omits ids that do not exist there.
func (s *Service) SchedulingRules(ctx context.Context, q scheduling.Question) (scheduling.Rules, error) {
	rows, err := schedulingRules(ctx, question(q))
	if err != nil {
		return scheduling.Rules{}, err
	}
	rules := scheduling.Rules{
		ServiceCodes:  map[scheduling.Key]scheduling.ServiceCode{},
		Practitioners: map[scheduling.Key]scheduling.Practitioner{},
		Patients:      map[scheduling.Key]scheduling.Patient{},
		Rounding:      map[scheduling.Coverage]scheduling.RoundingRule{},
		Organizations: map[uuid.UUID]scheduling.Organization{},
	}
	for _, c := range q.Coverages {
		if c.InsuranceID == uuid.Nil {
			rules.Rounding[c] = scheduling.Unruled
		}
	}
	for _, row := range rows {
		if err := row.addTo(&rules); err != nil {
			return scheduling.Rules{}, fmt.Errorf("the %s %s of organization %s: %w", row.Kind, row.ID, row.OrganizationID, err)
		}
	}
	return rules, nil
}

// question returns a [scheduling.Question] without duplicates.
func question(q scheduling.Question) scheduling.Question {
	return scheduling.Question{
		ServiceCodes: once(q.ServiceCodes), Practitioners: once(q.Practitioners), Patients: once(q.Patients),
		Coverages: once(q.Coverages),
	}
}

func once[T comparable](all []T) []T {
	seen := make(map[T]bool, len(all))
	return slices.DeleteFunc(slices.Clone(all), func(each T) bool {
		before := seen[each]
		seen[each] = true
		return before
	})
}

// The kinds of rows that [schedulingRules] reads.
const (
	rowServiceCode  = "service code"
	rowPractitioner = "practitioner"
	rowPatient      = "patient"
	rowCoverage     = "coverage"
	rowOrganization = "organization"
)

// ruleRow is one row of the result: the requested key, and a JSON object.
type ruleRow struct {
	Kind           string
	OrganizationID uuid.UUID
	ID             uuid.UUID
	ServiceDate    calendar.Date
	Found          string
}

func (r ruleRow) addTo(rules *scheduling.Rules) error {
	key := scheduling.Key{OrganizationID: r.OrganizationID, ID: r.ID}
	switch r.Kind {
	case rowServiceCode:
		return found(r, rules.ServiceCodes, key)
	case rowPractitioner:
		return found(r, rules.Practitioners, key)
	case rowPatient:
		return found(r, rules.Patients, key)
	case rowCoverage:
		return found(r, rules.Rounding,
			scheduling.Coverage{OrganizationID: r.OrganizationID, InsuranceID: r.ID, ServiceDate: r.ServiceDate})
	case rowOrganization:
		var o struct {
			scheduling.Organization
			Pairs []scheduling.Pair
		}
		if err := json.Unmarshal([]byte(r.Found), &o); err != nil {
			return err
		}
		o.Organization.Pairs = make(map[scheduling.Pair]bool, len(o.Pairs))
		for _, p := range o.Pairs {
			o.Organization.Pairs[p] = true
		}
		rules.Organizations[r.ID] = o.Organization
		return nil
	}
	return fmt.Errorf("directory: there are no rows of kind %q", r.Kind)
}

// found adds the value of a row to the answers of its kind.
func found[K comparable, V any](r ruleRow, answers map[K]V, key K) error {
	var answer V
	err := json.Unmarshal([]byte(r.Found), &answer)
	answers[key] = answer
	return err
}
