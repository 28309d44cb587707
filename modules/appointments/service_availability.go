package appointments

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/cache"
	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/patch"
	"omnirapeutic/platform/record"
	"omnirapeutic/platform/scheduling"
	"omnirapeutic/platform/trail"
)

// AvailabilityService manages the hours of practitioners, and finds openings.
type AvailabilityService struct {
	base

	// withAvailability caches the practitioners with availability, so that a booking without
	// possible warnings needs no query.
	withAvailability cache.PerOrganization[map[uuid.UUID]bool]
}

// Availability returns the practitioner's availability, with version 0 if it has never been set.
// The error is [ErrNoPractitioner].
func (s *AvailabilityService) Availability(ctx context.Context, practitioner uuid.UUID) (Timetable, error) {
	caller, err := identity.From(ctx)
	if err != nil {
		return Timetable{}, err
	}
	return db.Snapshot(ctx, s.Database, "availability.get", func(ctx context.Context) (Timetable, error) {
		return s.timetable(ctx, record.Of(caller.OrganizationID, practitioner))
	})
}

// timetable returns the timetable, read in the transaction of the context.
func (s *AvailabilityService) timetable(ctx context.Context, key record.Key) (Timetable, error) {
	rules, err := s.Directory.SchedulingRules(ctx, scheduling.Query{Practitioners: []record.Key{key}})
	if err != nil {
		return Timetable{}, err
	}
	if _, ok := rules.Practitioners[key]; !ok {
		return Timetable{}, ErrNoPractitioner
	}
	if visible, err := seesPractitioner(ctx, key.ID); err != nil || !visible {
		return Timetable{}, cmp.Or[error](err, ErrNoPractitioner)
	}
	found, err := s.hours.availability(ctx, []record.Key{key})
	if t, ok := found[key]; ok {
		return t, err
	}
	return Timetable{PractitionerID: key.ID}, err
}

// SetAvailability replaces the practitioner's availability. Appointments stay unchanged. Errors:
// [ErrNoPractitioner], [patch.ErrStale], [fault.ErrInvalid].
func (s *AvailabilityService) SetAvailability(
	ctx context.Context, practitioner uuid.UUID, match patch.Match, a Availability,
) (Timetable, error) {
	caller, err := identity.From(ctx)
	if err != nil {
		return Timetable{}, err
	}
	if err := errorOf(a.fieldErrors()); err != nil {
		return Timetable{}, err
	}
	key := record.Of(caller.OrganizationID, practitioner)
	return db.Serializable(ctx, s.Database, "availability.set", func(ctx context.Context) (Timetable, error) {
		before, err := s.timetable(ctx, key)
		if err != nil {
			return Timetable{}, err
		}
		if err := match.Check(before.Version); err != nil {
			return Timetable{}, err
		}
		after := Timetable{PractitionerID: practitioner, Availability: a, Version: before.Version + 1}
		now := s.now()
		if err := s.hours.saveAvailability(ctx, key.OrganizationID, after, now); err != nil {
			return Timetable{}, err
		}
		e := trail.By(caller)
		e.Action, e.SubjectType, e.SubjectID, e.OccurredAt = "availability.change", "practitioner", practitioner, now
		e.Before, e.After = before.Availability, after.Availability
		if err := db.AfterCommit(ctx, func(context.Context) {
			s.withAvailability.Invalidate(key.OrganizationID)
		}); err != nil {
			return Timetable{}, err
		}
		return after, s.Audit.Record(ctx, []trail.Event{e})
	})
}

// maxOpeningDays is the maximum number of days of one query for openings.
const maxOpeningDays = 31

// OpeningsQuery has the parameters of a query for openings.
type OpeningsQuery struct {
	PractitionerID uuid.UUID
	First, Last    calendar.Date // dates of their starts; at most 31 days; the past has no openings
	Length, Step   time.Duration // whole minutes
	// AppointmentID is an appointment that would move, so that its own time is treated as free;
	// zero: none.
	AppointmentID uuid.UUID
}

// Openings are free times of a practitioner.
type Openings struct {
	Known bool // whether availability has been set; if not, there are no openings
	Spans []Span
}

// Openings returns the times at which the practitioner could be booked: within their hours and
// clear of their appointments, sorted by start. An opening that starts late on the last day may end
// on the next. Errors: [ErrNoPractitioner], [ErrNotFound] for the appointment, [fault.ErrInvalid]
// for invalid days.
func (s *AvailabilityService) Openings(ctx context.Context, q OpeningsQuery) (Openings, error) {
	caller, err := identity.From(ctx)
	if err != nil {
		return Openings{}, err
	}
	if days := daysBetween(q.First, q.Last) + 1; days < 1 || days > maxOpeningDays {
		return Openings{}, fault.InvalidFields(fault.Field{
			Field: "to", Code: "range", Message: fmt.Sprintf("must be from 0 to %d days after from", maxOpeningDays-1),
		})
	}
	zone, err := s.Directory.TimeZone(ctx, caller.OrganizationID)
	if err != nil {
		return Openings{}, err
	}
	window := Span{instantOf(q.First.Time(), zone), instantOf(q.Last.AddDays(1).Time(), zone)}
	if now := s.now(); now.After(window.Start) {
		window.Start = now.Truncate(time.Minute).Add(time.Minute)
	}
	key := record.Of(caller.OrganizationID, q.PractitionerID)
	return db.Snapshot(ctx, s.Database, "openings.find", func(ctx context.Context) (Openings, error) {
		t, err := s.timetable(ctx, key)
		if err == nil && q.AppointmentID != uuid.Nil {
			err = s.store.requireAppointment(ctx, q.AppointmentID)
		}
		if err != nil || !t.Known() || window.empty() {
			return Openings{Known: t.Known()}, err
		}
		busy, err := s.busy(ctx, key, t.withBuffers(window.extended(q.Length)), q.AppointmentID)
		return Openings{true, t.openings(zone, window, busy, q.Length, q.Step)}, err
	})
}

// warnings returns a warning for each time that is outside the practitioners' hours or closer to
// another of their appointments than their buffers allow. Each time is that of an appointment.
// Practitioners without hours and buffers cause no warnings. One appointment can be excluded: the
// one that would move to the times.
func (s *AvailabilityService) warnings(
	ctx context.Context, organization uuid.UUID, practitioners []uuid.UUID, spans []Span, but uuid.UUID,
) ([]Warning, error) {
	known, err := s.practitionersWithAvailability(ctx, organization)
	if err != nil {
		return nil, err
	}
	var keys []record.Key
	for _, id := range practitioners {
		if known[id] {
			keys = append(keys, record.Of(organization, id))
		}
	}
	if len(keys) == 0 {
		return nil, nil
	}
	zone, err := s.Directory.TimeZone(ctx, organization)
	if err != nil {
		return nil, err
	}
	return db.Snapshot(ctx, s.Database, "availability.warn", func(ctx context.Context) ([]Warning, error) {
		tables, err := s.hours.availability(ctx, keys)
		if err != nil {
			return nil, err
		}
		requested := needs{staff: map[record.Key][]Span{}}
		for key, t := range tables {
			if t.BufferBefore+t.BufferAfter == 0 {
				continue
			}
			for _, span := range spans {
				requested.staff[key] = append(requested.staff[key], t.withBuffers(span))
			}
		}
		near, err := s.store.slots(ctx, requested)
		near.without(but)
		var all []Warning
		for _, key := range keys {
			for _, span := range spans {
				all = append(all, tables[key].warnings(key.ID, span, near[key], zone)...)
			}
		}
		return all, err
	})
}

// practitionersWithAvailability returns the practitioners for whom availability has been set. It is
// cached: other processes may omit warnings for up to 30 seconds after it is first set.
func (s *AvailabilityService) practitionersWithAvailability(
	ctx context.Context, organization uuid.UUID,
) (map[uuid.UUID]bool, error) {
	ctx = db.FromPrimary(ctx)
	return s.withAvailability.Get(organization, s.Clock(), func() (map[uuid.UUID]bool, error) {
		ids, err := db.Snapshot(ctx, s.Database, "availability.practitioners",
			func(ctx context.Context) ([]uuid.UUID, error) {
				return s.hours.practitionersWithAvailability(ctx, organization)
			})
		known := map[uuid.UUID]bool{}
		for _, id := range ids {
			known[id] = true
		}
		return known, err
	})
}

// busy returns the practitioner's appointments that overlap the span, except the given one.
func (s *AvailabilityService) busy(
	ctx context.Context, practitioner record.Key, within Span, but uuid.UUID,
) ([]Span, error) {
	found, err := s.store.slots(ctx, needs{staff: map[record.Key][]Span{practitioner: {within}}})
	found.without(but)
	var spans []Span
	for _, slot := range found[practitioner] {
		spans = append(spans, slot.Span)
	}
	return spans, err
}
