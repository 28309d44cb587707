package authorization

import (
	"context"
	"slices"

	"github.com/google/uuid"

	"omnirapeutic/platform/calendar"
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
) ([]ExceededCap, error) {
	capped, err := s.store.capped(ctx, authorizations, from, to)
	if err != nil || len(capped) == 0 {
		return nil, err
	}
	weekStarts, err := s.weekStarts(ctx, capped)
	if err != nil {
		return nil, err
	}
	consumed, err := s.store.consumedByDate(ctx, capped)
	if err != nil {
		return nil, err
	}
	var all []ExceededCap
	for i, a := range capped {
		a.UnitsByDate = consumed[a.ID]
		all = append(all, account{Authorization: a, weekStart: weekStarts[i]}.exceeded()...)
	}
	return slices.Clip(all), nil
}
