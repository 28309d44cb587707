package authorization

import (
	"context"
	"slices"

	"github.com/google/uuid"

	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/db"
)

// ExceededCap is a cap that consumed units exceed. Caps limit bookings, but worked time is always
// consumed.
type ExceededCap struct {
	AuthorizationID uuid.UUID
	Period          Period
	First, Last     calendar.Date // the days of the period, both included
	Units           int           // the cap
	Consumed        int           // units consumed for these days, more than the cap
}

// ExceededCaps returns the exceeded caps of authorizations of the caller's organization, in the
// transaction of the context: of those given, or, with nil, of all that include one of the days from
// and to. They are sorted by authorization, period and first day.
func (s *ReportService) ExceededCaps(
	ctx context.Context, authorizations []uuid.UUID, from, to calendar.Date,
) (db.Reading[[]ExceededCap], error) {
	r, err := s.store.capped(ctx, authorizations, from, to)
	if err != nil {
		return db.Reading[[]ExceededCap]{}, err
	}
	weekStarts, err := s.Directory.WeekStartsOf(ctx, r.insurances)
	return db.Reading[[]ExceededCap]{
		Queries: append(r.queries, weekStarts.Queries...),
		Value: func(ctx context.Context) ([]ExceededCap, error) {
			days, err := weekStarts.Value(ctx)
			var all []ExceededCap
			for _, a := range r.accounts() {
				a.weekStart = a.firstWeekday(days)
				all = append(all, a.exceeded()...)
			}
			return slices.Clip(all), err
		},
	}, err
}
