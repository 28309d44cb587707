package appointments

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/scheduling"
)

// Series is what appointments have in common that were booked by one recurrence
// rule. Each of them is an appointment like any other, and can be changed alone.
type Series struct {
	OrganizationID uuid.UUID
	ID             uuid.UUID
	RecurrenceRule string
	CreatedBy      uuid.UUID
	CreatedAt      time.Time
}

// Scope says which appointments of a series a change is for.
type Scope string

// The scopes. Of an appointment that belongs to no series, all mean that one.
const (
	ScopeOne       Scope = "one"       // this appointment alone; the default
	ScopeFollowing Scope = "following" // this one and those that start later
	ScopeAll       Scope = "all"       // every one of the series
)

func (s Scope) several() bool { return s == ScopeFollowing || s == ScopeAll }

// Occurrence is what a request came to for one appointment of a series.
type Occurrence struct {
	StartTime     time.Time  `json:"startTime"`
	EndTime       time.Time  `json:"endTime"`
	AppointmentID *uuid.UUID `json:"appointmentId"` // null: not booked
	Units         int        `json:"units"`         // of all its patients; where bookings move, of the one whose authorization it is
	// Reasons are the rules that it breaks; empty: it is accepted.
	Reasons []fault.Reason `json:"reasons"`
}

// SeriesRefusal are the details of [ErrSeries].
type SeriesRefusal struct {
	Occurrences []Occurrence `json:"occurrences"` // every one, also those that nothing stands against
}

// ErrSeries comes with [SeriesRefusal].
var ErrSeries = fault.Define(fault.Conflict, "series-refused", "Not every appointment of the series can be as asked, so none is.").Carrying(SeriesRefusal{}).
	Advising("Show `occurrences`: each has the `reasons` that stand against it. A booking with `allowPartial` takes those that have none.")

// BookSeries books the appointments of a recurrence rule, of which the booking is
// the first, in one transaction: all of them or none, or, where partial, those that
// nothing stands against, at least one. The outcome tells of each. Refusals are
// those of [Service.Book], [ErrSeries], and [fault.ErrInvalid] for a rule that is
// none (see [ParseRule] and [Rule.Occurrences]).
func (s *Service) BookSeries(ctx context.Context, b Booking, rule string, partial bool, key Key) (Outcome, error) {
	r, err := s.seriesRequest(ctx, b, rule, partial, key)
	if err != nil {
		return Outcome{}, err
	}
	return s.do(ctx, r)
}

// seriesRequest is the booking of a series as a request.
func (s *Service) seriesRequest(ctx context.Context, b Booking, rule string, partial bool, key Key) (request, error) {
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

// flat returns the requests with those that are made of parts replaced by them.
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

// spread returns the requests with those that are for several appointments of a
// series made into parts, one for each of them that is still to take place.
func spread(requests []request, members map[scheduling.Key][]uuid.UUID, there map[scheduling.Key]Appointment) []request {
	all := slices.Clone(requests)
	for i, r := range all {
		if !r.scope.several() {
			continue
		}
		named, ok := there[r.key()]
		if !ok || named.SeriesID == nil {
			continue
		}
		var parts []request
		for _, id := range members[r.key()] {
			member := there[scheduling.Key{OrganizationID: named.OrganizationID, ID: id}]
			if member.affected(named, r.scope) {
				parts = append(parts, r.partFor(named, member))
			}
		}
		slices.SortFunc(parts, func(x, y request) int {
			xa, ya := there[x.key()], there[y.key()]
			return xa.Start.Compare(ya.Start)
		})
		if target := r.change.span(named.Span); target.Start.After(named.Start) {
			slices.Reverse(parts) // the last first, so that nobody moves to where the next one still is
		}
		all[i].parts = parts
	}
	return all
}

// affected reports whether a change of the named appointment is also one of this:
// those that have begun or ended stay as they are.
func (a Appointment) affected(named Appointment, scope Scope) bool {
	switch {
	case a.ID == named.ID:
		return true
	case a.Status != Scheduled:
		return false
	}
	return scope == ScopeAll || !a.Start.Before(named.Start)
}

// partFor returns what the request means for another appointment of the series.
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
