package appointments

import (
	"context"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/record"
)

// Delivered returns the sessions of the caller's organization on the service dates from and to, both
// included, and the sessions with the ids. They include voided ones, and are sorted by start. It works
// in the transaction of the context and fails without one.
func (s *SessionService) Delivered(
	ctx context.Context, from, to calendar.Date, ids []uuid.UUID,
) ([]Delivered, error) {
	found, err := s.delivered.delivered(ctx, from, to, ids)
	if err != nil || len(found) == 0 {
		return nil, err
	}
	all, authorizations := make([]uuid.UUID, len(found)), []uuid.UUID{}
	for i, d := range found {
		all[i] = d.ID
		for _, p := range d.Patients {
			authorizations = append(authorizations, p.AuthorizationID)
		}
	}
	a, err := s.conflictArguments(ctx, authorizations, Days{})
	if err != nil {
		return nil, err
	}
	conflicts, err := s.store.conflictsOf(ctx, all, a)
	for i, d := range found {
		found[i].Conflicts = conflicts[d.ID]
	}
	return found, err
}

// SetExported marks sessions as exported to a payer at the given time, or with nil as not exported. An
// exported session refuses notes, and corrections by callers who may not correct every session. It
// works in the transaction of the context and fails without one.
func (s *SessionService) SetExported(ctx context.Context, sessions []uuid.UUID, at *time.Time) error {
	return s.delivered.setExported(ctx, sessions, at)
}

// CoveredUnits returns the units of all versions of sessions on authorizations, for verifications. It
// works in the transaction of the context and needs no caller.
func (s *SessionService) CoveredUnits(ctx context.Context, authorizations []record.Key) ([]CoveredUnits, error) {
	return s.delivered.coveredUnits(ctx, authorizations)
}
