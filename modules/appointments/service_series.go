package appointments

import (
	"context"

	"omnirapeutic/platform/command"
)

// seriesRequest is the booking of a series as a request.
func (s *BookingService) seriesRequest(
	ctx context.Context, b Booking, rule string, partial bool, key command.Key,
) (request, error) {
	r, err := s.bookingRequest(ctx, b, key)
	if err != nil {
		return r, err
	}
	parsed, err := ParseRule(rule)
	if err != nil {
		return r, err
	}
	zone, err := s.Directory.TimeZone(ctx, r.caller.OrganizationID)
	if err != nil {
		return r, err
	}
	r.rule, r.partial, r.series = parsed.String(), partial, s.NewID()
	return s.inZone(r, zone)
}

// BookSeries books the appointments of a recurrence rule in one transaction; the booking is the
// first of them. It books all or none or, if partial is set, the ones that break no rule, at least
// one. The outcome lists each of them. Errors: as for [BookingService.Book], [ErrSeries], and
// [fault.ErrInvalid] for an invalid rule (see [ParseRule] and [Rule.Occurrences]).
func (s *BookingService) BookSeries(
	ctx context.Context, b Booking, rule string, partial bool, key command.Key,
) (Outcome, error) {
	r, err := s.seriesRequest(ctx, b, rule, partial, key)
	if err != nil {
		return Outcome{}, err
	}
	return s.do(ctx, r)
}
