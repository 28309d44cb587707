package appointments

import (
	"context"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/command"
)

// Start records that an appointment began at the time; nil: now. Errors: [ErrNotFound],
// [ErrTransition], [ErrStartTooEarly], [ErrStartTooLate], and [fault.ErrInvalid] for a time in the
// future or more than 24 hours ago.
func (s *BookingService) Start(ctx context.Context, id uuid.UUID, at *time.Time, key command.Key) (Outcome, error) {
	return s.ClockIn(ctx, id, at, nil, key)
}

// Reopen undoes the start, the cancellation or the no-show of an appointment: it is [Scheduled]
// again. After a cancellation or a no-show it is checked like a booking. Errors: [ErrNotFound],
// [ErrTransition], [identity.ErrForbidden] without the permission to cancel or to record a no-show, and as for
// [BookingService.Book].
func (s *BookingService) Reopen(ctx context.Context, id uuid.UUID, reason string, key command.Key) (Outcome, error) {
	return s.end(ctx, reopen, id, &reason, ScopeOne, key)
}

// Cancel releases the units that the appointment holds, and records the user, the time, the reason
// and whether it was late. For a series, it cancels all SCHEDULED appointments of the scope.
// Errors: [ErrNotFound], [ErrTransition].
func (s *BookingService) Cancel(
	ctx context.Context, id uuid.UUID, reason *string, scope Scope, key command.Key,
) (Outcome, error) {
	return s.CancelBy(ctx, id, nil, reason, scope, key)
}

// CancelBy is [BookingService.Cancel] with the party and the reason of the organization's list. The error
// is also [fault.ErrInvalid] for a reason that does not exist or is no longer in use.
func (s *BookingService) CancelBy(
	ctx context.Context, id uuid.UUID, by *Cancellation, reason *string, scope Scope, key command.Key,
) (Outcome, error) {
	r, err := s.request(ctx, cancel, id, key)
	if err != nil {
		return Outcome{}, err
	}
	r.cancellation, r.reason, r.scope = by, reason, scope
	return s.do(ctx, r)
}

// NoShow records that the patient did not come. It releases the appointment's units, or consumes
// them if the organization has configured that. Errors: [ErrNotFound], [ErrTransition], and
// [ErrNotBegun] before the start.
func (s *BookingService) NoShow(ctx context.Context, id uuid.UUID, reason *string, key command.Key) (Outcome, error) {
	return s.end(ctx, noShow, id, reason, ScopeOne, key)
}

func (s *BookingService) end(
	ctx context.Context, k kind, id uuid.UUID, reason *string, scope Scope, key command.Key,
) (Outcome, error) {
	r, err := s.request(ctx, k, id, key)
	if err != nil {
		return Outcome{}, err
	}
	r.reason, r.scope = reason, scope
	return s.do(ctx, r)
}

// Complete writes the appointment's session and consumes the units of its actual time, exactly
// once, even if it is called repeatedly or concurrently. Units that the authorization does not
// cover are reported as unauthorized, never booked. Errors: [ErrNotFound], [ErrTransition],
// [ErrUnconfirmed] for times that differ considerably from the booked ones, [fault.ErrInvalid] for
// impossible times and for coordinates that are given together with an end.
func (s *BookingService) Complete(ctx context.Context, id uuid.UUID, c Completion, key command.Key) (Outcome, error) {
	if c.End != nil && c.ClockOut != nil {
		return Outcome{}, refuseCoordinatesWith("endTime")
	}
	r, err := s.request(ctx, complete, id, key)
	if err != nil {
		return Outcome{}, err
	}
	r.completion = c
	return s.do(ctx, r)
}
