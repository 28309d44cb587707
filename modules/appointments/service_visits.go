package appointments

import (
	"context"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/command"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/identity"
)

// ClockIn starts an appointment like [BookingService.Start], and records the coordinates. The error is
// also [fault.ErrInvalid] for coordinates that are given together with a time.
func (s *BookingService) ClockIn(
	ctx context.Context, id uuid.UUID, at *time.Time, where *Coordinates, key command.Key,
) (Outcome, error) {
	if at != nil && where != nil {
		return Outcome{}, refuseCoordinatesWith("startTime")
	}
	r, err := s.request(ctx, start, id, key)
	if err != nil {
		return Outcome{}, err
	}
	r.started, r.coordinates = at, where
	return s.do(ctx, r)
}

// refuseCoordinatesWith returns the error for coordinates that are given together with another time than
// the program's.
func refuseCoordinatesWith(field string) error {
	return fault.InvalidFields(fault.Field{
		Field: "coordinates", Code: "excluded_with", Message: "must not be given together with " + field,
	})
}

// ClockOut records that the practitioner left, with optional coordinates. The completion ends at that
// time unless it gives another one. Errors: [ErrNotFound], [ErrTransition].
func (s *BookingService) ClockOut(
	ctx context.Context, id uuid.UUID, where *Coordinates, key command.Key,
) (Outcome, error) {
	r, err := s.request(ctx, clockOut, id, key)
	if err != nil {
		return Outcome{}, err
	}
	r.coordinates = where
	return s.do(ctx, r)
}

// Visits returns the visits of the sessions that match the filter, and the sessions. Absent patients
// have none.
func (s *SessionService) Visits(ctx context.Context, f SessionFilter) ([]Session, map[uuid.UUID][]Visit, error) {
	caller, err := identity.From(ctx)
	if err != nil {
		return nil, nil, err
	}
	zone, err := s.Directory.TimeZone(ctx, caller.OrganizationID)
	if err != nil {
		return nil, nil, err
	}
	visits := map[uuid.UUID][]Visit{}
	sessions, err := db.Snapshot(ctx, s.Database, "sessions.visits", func(ctx context.Context) ([]Session, error) {
		r, err := s.store.readSessions(ctx, f, f.Days.in(zone), narrowing{})
		if err != nil {
			return nil, err
		}
		if err := db.ReadAll(ctx, r.queries...); err != nil || len(r.rows) == 0 {
			return nil, err
		}
		clockings := r.clockings()
		if err := db.ReadAll(ctx, append(r.parts(), clockings.Queries...)...); err != nil {
			return nil, err
		}
		clocked, err := clockings.Value(ctx)
		if err != nil {
			return nil, err
		}
		found, err := visibleSessions(ctx, r.sessions())
		showSessions(ctx, found...)
		for _, session := range found {
			for _, p := range session.Patients {
				if !p.Attended {
					continue
				}
				v := Visit{Session: session, Patient: p, Code: clocked[session.AppointmentID].Code}
				v.Clocking = clocked[session.AppointmentID].Clocking
				visits[session.ID] = append(visits[session.ID], v)
			}
		}
		return found, err
	})
	return sessions, visits, err
}
