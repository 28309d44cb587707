package appointments

import (
	"context"

	"github.com/google/uuid"

	"omnirapeutic/platform/command"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/permission"
)

// ChangeWeekdays changes the weekdays of a series from an appointment on, in one transaction and once per key: the
// SCHEDULED appointments of a weekday move within their weeks, the appointments of a removed weekday are cancelled, and
// an additional one is booked in each week. It changes all of them or none. Appointments that were moved by hand to another
// weekday or time of day are kept. Errors: [ErrNotFound], [ErrSeries], [fault.ErrInvalid], and
// [identity.ErrForbidden] without the permission to book or to cancel, if that is needed.
func (s *BookingService) ChangeWeekdays(
	ctx context.Context, id uuid.UUID, changes []WeekdayChange, key command.Key,
) (Outcome, error) {
	r, err := s.weekdaysRequest(ctx, id, changes, key)
	if err != nil {
		return Outcome{}, err
	}
	return s.do(ctx, r)
}

// PreviewWeekdays returns the occurrences that [BookingService.ChangeWeekdays] would have now, and writes nothing.
// Broken rules are in the result.
func (s *BookingService) PreviewWeekdays(
	ctx context.Context, id uuid.UUID, changes []WeekdayChange,
) ([]Occurrence, error) {
	r, err := s.weekdaysRequest(ctx, id, changes, "")
	if err != nil {
		return nil, err
	}
	if r.zone, err = s.Directory.TimeZone(ctx, r.caller.OrganizationID); err != nil {
		return nil, err
	}
	if _, err := s.admit(ctx, r); err != nil {
		return nil, err
	}
	v, err := db.Snapshot(ctx, s.Database, "appointments.preview-weekdays", func(ctx context.Context) (verdict, error) {
		d, err := s.load(ctx, nil, []request{r})
		if err != nil {
			return verdict{}, err
		}
		for _, part := range d.expanded[r.CallID].parts {
			showAppointments(ctx, d.appointments[part.key()])
		}
		return d.records.decide(d.expanded[r.CallID])
	})
	if err != nil || v.refusal == nil {
		return withoutNewIDs(v.occurrences), err
	}
	details, ok := v.refusal.Details().(SeriesRefusal)
	if !ok {
		return nil, v.refusal
	}
	return details.Occurrences, nil
}

// withoutNewIDs removes the ids of appointments that are not booked.
func withoutNewIDs(occurrences []Occurrence) []Occurrence {
	for i := range occurrences {
		if occurrences[i].Action == OccurrenceBooked {
			occurrences[i].AppointmentID = nil
		}
	}
	return occurrences
}

func (s *BookingService) weekdaysRequest(
	ctx context.Context, id uuid.UUID, changes []WeekdayChange, key command.Key,
) (request, error) {
	r, err := s.request(ctx, reschedule, id, key)
	if err != nil {
		return r, err
	}
	if err := checkWeekdays(changes); err != nil {
		return r, err
	}
	for _, c := range changes {
		if c.From == 0 {
			err = r.caller.Require(permission.AppointmentBook)
		} else if c.To == 0 {
			err = r.caller.Require(permission.AppointmentCancel)
		}
		if err != nil {
			return r, err
		}
	}
	r.scope, r.weekdays = ScopeFollowing, changes
	return r, nil
}
