package appointments

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/command"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/record"
)

// Series is the record of appointments that were booked with one recurrence rule. Each of them can
// also be changed individually.
type Series struct {
	OrganizationID uuid.UUID
	ID             uuid.UUID
	RecurrenceRule string
	CreatedBy      uuid.UUID
	CreatedAt      time.Time
}

// Scope selects the appointments of a series to which a change applies.
type Scope string

// The scopes. For an appointment without a series, all scopes mean that appointment.
const (
	ScopeOne       Scope = "one"       // this appointment alone; the default
	ScopeFollowing Scope = "following" // this one and those that start later
	ScopeAll       Scope = "all"       // all appointments of the series
)

func (s Scope) several() bool { return s == ScopeFollowing || s == ScopeAll }

// Occurrence is the result of a request for one appointment of a series.
type Occurrence struct {
	StartTime     time.Time  `json:"startTime"`
	EndTime       time.Time  `json:"endTime"`
	AppointmentID *uuid.UUID `json:"appointmentId"` // null: not booked
	Units         int        `json:"units"`         // of all patients; in a transfer, of the patient whose authorization changes
	// Reasons are the rules that it breaks; empty: it is accepted.
	Reasons []fault.Reason `json:"reasons"`
}

// SeriesRefusal has the details of [ErrSeries].
type SeriesRefusal struct {
	Occurrences []Occurrence `json:"occurrences"` // all of them, including those that break no rule
}

// ErrSeries carries [SeriesRefusal].
var ErrSeries = fault.Define(
	fault.Conflict, "series-refused", "Some appointments of the series break a rule, so none was booked or changed.",
).Carrying(SeriesRefusal{}).
	Advising("Show `occurrences` with their `reasons`. With `allowPartial`, a booking skips the occurrences that have reasons.")

// BookSeries books the appointments of a recurrence rule in one transaction; the booking is the
// first of them. It books all or none or, if partial is set, those that break no rule, at least
// one. The outcome lists each of them. Errors: those of [Service.Book], [ErrSeries], and
// [fault.ErrInvalid] for an invalid rule (see [ParseRule] and [Rule.Occurrences]).
func (s *Service) BookSeries(ctx context.Context, b Booking, rule string, partial bool, key command.Key) (Outcome, error) {
	r, err := s.seriesRequest(ctx, b, rule, partial, key)
	if err != nil {
		return Outcome{}, err
	}
	return s.do(ctx, r)
}

// seriesRequest is the booking of a series as a request.
func (s *Service) seriesRequest(ctx context.Context, b Booking, rule string, partial bool, key command.Key) (request, error) {
	r, err := s.bookingRequest(ctx, b, key)
	if err != nil {
		return r, err
	}
	parsed, err := ParseRule(rule)
	if err != nil {
		return r, err
	}
	zone, err := s.directory.TimeZone(ctx, r.caller.OrganizationID)
	if err != nil {
		return r, err
	}
	r.rule, r.partial, r.series = parsed.String(), partial, s.newID()
	return s.inZone(r, zone)
}

// inZone returns the request in the organization's time zone: the appointments of a series have the
// same time of day there.
func (s *Service) inZone(r request, zone *time.Location) (request, error) {
	known := r.zone != nil && r.zone.String() == zone.String()
	r.zone = zone
	if r.rule == "" || known {
		return r, nil
	}
	rule, err := ParseRule(r.rule)
	if err != nil {
		return r, err
	}
	spans, err := rule.Occurrences(r.booking.Span, zone)
	if err != nil {
		return r, err
	}
	r.parts = nil
	var parts []request
	for i, span := range spans {
		part := r
		part.booking.Span = span
		if i > 0 {
			part.appointment = s.newID()
			part.reservations = s.newIDs(len(r.booking.Patients))
		}
		parts = append(parts, part)
	}
	r.parts = parts
	return r, nil
}

func (s *Service) newIDs(n int) []uuid.UUID {
	ids := make([]uuid.UUID, n)
	for i := range ids {
		ids[i] = s.newID()
	}
	return ids
}

// flat returns the requests, with each request that has parts replaced by its parts.
func flat(requests []request) []request {
	var all []request
	for _, r := range requests {
		if r.parts == nil {
			all = append(all, r)
			continue
		}
		for _, part := range r.parts {
			part.zone = r.zone
			all = append(all, part)
		}
	}
	return all
}

// spread splits each request for several appointments of a series into parts, one for each
// appointment that it affects.
func spread(requests []request, members map[record.Key][]uuid.UUID, existing map[record.Key]Appointment) []request {
	all := slices.Clone(requests)
	for i, r := range all {
		if !r.scope.several() {
			continue
		}
		named, ok := existing[r.key()]
		if !ok || named.SeriesID == nil {
			continue
		}
		var parts []request
		for _, id := range members[r.key()] {
			member := existing[record.Of(named.OrganizationID, id)]
			if member.affected(named, r.scope) {
				parts = append(parts, r.partFor(named, member))
			}
		}
		slices.SortFunc(parts, func(x, y request) int {
			xa, ya := existing[x.key()], existing[y.key()]
			return xa.Start.Compare(ya.Start)
		})
		if target := r.change.span(named.Span); target.Start.After(named.Start) {
			slices.Reverse(parts) // last first, so that none moves to the old time of the next
		}
		all[i].parts = parts
	}
	return all
}

// affected reports whether a change of the named appointment also applies to this one. Appointments
// that have begun or ended are not affected.
func (a Appointment) affected(named Appointment, scope Scope) bool {
	switch {
	case a.ID == named.ID:
		return true
	case a.Status != Scheduled:
		return false
	}
	return scope == ScopeAll || !a.Start.Before(named.Start)
}

// partFor returns the request for another appointment of the series.
func (r request) partFor(named, member Appointment) request {
	part := r
	part.scope, part.appointment = ScopeOne, member.ID
	if member.ID == named.ID {
		return part
	}
	part.change, part.unplaceable = r.change.differences(named).forMember(named, member, r.zone)
	part.reservations = make([]uuid.UUID, len(r.reservations))
	for i, id := range r.reservations {
		part.reservations[i] = uuid.NewSHA1(id, member.ID[:]) // the same in every attempt
	}
	return part
}
