package appointments

import (
	"context"

	"omnirapeutic/platform/db"
)

// Preview is what a booking would come to at this moment.
type Preview struct {
	Bookable    bool         // nothing stands against any of it
	Occurrences []Occurrence // one, or those of the series; none is booked
	Warnings    []Warning
	// Alternatives are what would work in the place of one booking that something
	// stands against; nil otherwise.
	Alternatives *Alternatives
}

// Preview tells what a booking, or with a rule a series, would come to, by the same
// decision. Nothing is written and nothing is held: somebody else may be faster. What
// stands against it is in the answer; the error is [fault.ErrInvalid] for what does
// not exist, does not fit, or is no rule.
func (s *Service) Preview(ctx context.Context, b Booking, rule *string) (Preview, error) {
	var r request
	var err error
	if rule != nil {
		r, err = s.seriesRequest(ctx, b, *rule, false, "")
	} else {
		r, err = s.bookingRequest(ctx, b, "")
		r.parts = []request{r}
	}
	if err != nil {
		return Preview{}, err
	}
	if r.zone, err = s.directory.TimeZone(ctx, r.caller.OrganizationID); err != nil {
		return Preview{}, err
	}
	for i := range r.parts {
		r.parts[i].zone = r.zone
	}
	if _, err := s.admit(ctx, r); err != nil {
		return Preview{}, err
	}
	v, err := db.Snapshot(ctx, s.database, "appointments.preview", func(ctx context.Context) (verdict, error) {
		d, err := s.open(ctx, []request{r})
		if err != nil {
			return verdict{}, err
		}
		return d.decide(r)
	})
	if err != nil {
		return Preview{}, err
	}
	p := Preview{Bookable: v.refusal == nil, Occurrences: v.occurrences}
	if v.refusal != nil {
		details, ok := v.refusal.Details().(SeriesRefusal)
		if !ok {
			return Preview{}, v.refusal
		}
		p.Occurrences = details.Occurrences
	}
	spans := make([]Span, len(p.Occurrences))
	for i := range p.Occurrences {
		p.Occurrences[i].AppointmentID = nil
		spans[i] = Span{p.Occurrences[i].StartTime, p.Occurrences[i].EndTime}
	}
	if rule == nil && !p.Bookable {
		found, err := s.alternatives(ctx, r.parts[0], p.Occurrences[0].Reasons)
		if err != nil {
			return Preview{}, err
		}
		p.Alternatives = &found
	}
	p.Warnings, err = s.warnings(ctx, r.caller.OrganizationID, b.Practitioners, spans)
	return p, err
}
