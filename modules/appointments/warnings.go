package appointments

import (
	"context"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/record"
)

// The codes of warnings.
const (
	warnOutside = "outside-availability"
	warnBuffer  = "within-buffer"
)

// Warning is a concern about an appointment that breaks no rule.
type Warning struct {
	Code           string    `json:"code"` // outside-availability or within-buffer
	PractitionerID uuid.UUID `json:"practitionerId"`
	StartTime      time.Time `json:"startTime"` // of the appointment
	Message        string    `json:"message"`
}

// warnings returns a warning for each time that is outside the practitioners' hours or closer to
// another of their appointments than their buffers allow. Each time is that of an appointment.
// Practitioners without hours and buffers cause no warnings. One appointment can be excluded: the
// one that would move to the times.
func (s *Service) warnings(
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
	zone, err := s.directory.TimeZone(ctx, organization)
	if err != nil {
		return nil, err
	}
	return db.Snapshot(ctx, s.database, "availability.warn", func(ctx context.Context) ([]Warning, error) {
		tables, err := s.store.availability(ctx, keys)
		if err != nil {
			return nil, err
		}
		requested := needs{staff: map[record.Key][]Span{}}
		for key, t := range tables {
			if t.BufferBefore+t.BufferAfter == 0 {
				continue
			}
			for _, span := range spans {
				requested.staff[key] = append(requested.staff[key], t.reach(span))
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
func (s *Service) practitionersWithAvailability(ctx context.Context, organization uuid.UUID) (map[uuid.UUID]bool, error) {
	return s.withAvailability.Get(organization, s.clock(), func() (map[uuid.UUID]bool, error) {
		ids, err := db.Snapshot(ctx, s.database, "availability.told", func(ctx context.Context) ([]uuid.UUID, error) {
			return s.store.practitionersWithAvailability(ctx, organization)
		})
		known := map[uuid.UUID]bool{}
		for _, id := range ids {
			known[id] = true
		}
		return known, err
	})
}

// warnings returns the warnings for one appointment of the practitioner.
func (a Availability) warnings(practitioner uuid.UUID, span Span, near []slot, zone *time.Location) []Warning {
	var all []Warning
	if a.Known() && !a.covers(span, zone) {
		all = append(all, Warning{warnOutside, practitioner, span.Start.UTC(), "The practitioner is not available at that time."})
	}
	for _, other := range near {
		if !other.Span.Overlaps(span) && a.around(other.Span).Overlaps(a.around(span)) {
			return append(all, Warning{
				warnBuffer, practitioner, span.Start.UTC(), "The practitioner has another appointment within the buffer time.",
			})
		}
	}
	return all
}
