package authorization

import (
	"context"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
)

// ReportService computes reports on authorizations.
type ReportService struct {
	base
	terms *TermsService
}

// Utilization returns the reports of the authorizations that match the filter, as of today, in the
// order of the filter's page.
func (s *ReportService) Utilization(ctx context.Context, f Filter) ([]Utilization, error) {
	return read(ctx, s.base, "report.utilization", func(ctx context.Context, at Moment) ([]Utilization, error) {
		found, err := s.terms.list(ctx, f, at)
		if err != nil {
			return nil, err
		}
		return s.utilizations(ctx, found, at)
	})
}

// utilizations computes the reports of the authorizations, in their order, in one round trip.
func (s *ReportService) utilizations(ctx context.Context, of []Authorization, at Moment) ([]Utilization, error) {
	if len(of) == 0 {
		return []Utilization{}, nil
	}
	activities := s.store.activities(of, at)
	var insurances []uuid.UUID
	for _, a := range of {
		if a.Caps.Week != nil && a.InsuranceID != nil {
			insurances = append(insurances, *a.InsuranceID)
		}
	}
	weekStarts, err := s.Directory.WeekStartsOf(ctx, db.Subquery{
		Statement: "SELECT unnest($1::uuid[])", Arguments: []any{db.UUIDs(insurances)},
	})
	if err != nil {
		return nil, err
	}
	queries := activities.Queries
	if len(insurances) > 0 {
		queries = append(queries, weekStarts.Queries...)
	}
	if err := db.ReadAll(ctx, queries...); err != nil {
		return nil, err
	}
	seen, err := activities.Value(ctx)
	if err != nil {
		return nil, err
	}
	days, err := weekStarts.Value(ctx)
	all := make([]Utilization, len(of))
	for i, a := range of {
		all[i] = a.utilizationOn(at.Today, seen[i], a.firstWeekday(days))
	}
	return all, err
}

// firstWeekday returns the first day of the week of the authorization's payer: Sunday without an insurance.
func (a Authorization) firstWeekday(ofInsurances map[uuid.UUID]time.Weekday) time.Weekday {
	if a.InsuranceID == nil {
		return time.Sunday
	}
	return ofInsurances[*a.InsuranceID]
}

// Totals has sums over authorizations, in units.
type Totals struct {
	Authorizations int
	Balance        `gorm:"embedded"`
}

// UtilizationTotals returns the sums over the authorizations that match the filter. It ignores the
// filter's page.
func (s *ReportService) UtilizationTotals(ctx context.Context, f Filter) (Totals, error) {
	return read(ctx, s.base, "report.totals", func(ctx context.Context, at Moment) (Totals, error) {
		if err := s.terms.ofPayer(ctx, &f); err != nil {
			return Totals{}, err
		}
		return s.store.totals(ctx, f, at)
	})
}

// Expiring is an authorization in force that ends soon.
type Expiring struct {
	Utilization
	DaysLeft  int        // until the last day; 0 on it
	RenewalID *uuid.UUID // the authorization that replaces it; nil: none
}

// Expiring returns the authorizations in force that end today or within the given number of days,
// sorted by end date. If renewed is not nil, it returns only those with or without a renewal.
func (s *ReportService) Expiring(
	ctx context.Context, withinDays int, renewed *bool, after *EndPosition, limit int,
) ([]Expiring, error) {
	return read(ctx, s.base, "report.expiring", func(ctx context.Context, at Moment) ([]Expiring, error) {
		found, err := s.store.expiring(ctx, reportQuery{
			from: at.Today, until: at.Today.AddDays(withinDays), renewed: renewed, after: after, limit: limit,
		}, at)
		if err != nil {
			return nil, err
		}
		reports, err := s.utilizations(ctx, authorizationsOf(found, func(r renewing) Authorization {
			return r.Authorization
		}), at)
		all := make([]Expiring, len(reports))
		for i, u := range reports {
			all[i] = Expiring{u, u.EndDate.DaysSince(at.Today), found[i].RenewalID}
		}
		return all, err
	})
}

func authorizationsOf[T any](found []T, of func(T) Authorization) []Authorization {
	all := make([]Authorization, len(found))
	for i, f := range found {
		all[i] = of(f)
	}
	return all
}

// AtRisk is an authorization in force that runs out of units early or is under-used.
type AtRisk struct {
	Utilization
	UsageBand int  // 100, 90 or 80: at least that percentage is used or scheduled; 0: less than 80
	UnderUsed bool // see [AlertUnderUsed]
}

// AtRisk returns the authorizations in force with one of the given kinds of risk, sorted by end
// date. The kinds are [AlertUsed80], [AlertUsed90], [AlertUsed100] and [AlertUnderUsed].
func (s *ReportService) AtRisk(
	ctx context.Context, kinds []AlertKind, after *EndPosition, limit int,
) ([]AtRisk, error) {
	return read(ctx, s.base, "report.at-risk", func(ctx context.Context, at Moment) ([]AtRisk, error) {
		found, err := s.store.atRisk(ctx, reportQuery{kinds: kinds, after: after, limit: limit}, at)
		if err != nil {
			return nil, err
		}
		reports, err := s.utilizations(ctx, found, at)
		all := make([]AtRisk, len(reports))
		for i, u := range reports {
			all[i] = AtRisk{u, u.usageBand(), u.underUsedOn(at.Today)}
		}
		return all, err
	})
}
