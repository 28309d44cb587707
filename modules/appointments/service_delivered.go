package appointments

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/modules/authorization"
	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/record"
)

// DeliveredReading reads delivered sessions in two round trips.
type DeliveredReading struct {
	Queries []db.Query // of the first round trip

	base    base
	reading *deliveredReading
	notes   noteReading
}

// Delivered returns a reading of the sessions of the caller's organization on the service dates from and to,
// both included, and of the sessions with the ids. They include voided ones, and are sorted by start. It
// works in the transaction of the context and fails without one.
func (s *SessionService) Delivered(
	ctx context.Context, from, to calendar.Date, ids []uuid.UUID,
) (*DeliveredReading, error) {
	reading, err := s.delivered.read(ctx, from, to, ids)
	if err != nil {
		return nil, err
	}
	notes, err := s.readNotes(ctx)
	return &DeliveredReading{slices.Concat(reading.queries, notes.queries()), s.base, reading, notes}, err
}

// WithConflicts returns the sessions that the first round trip has read, without their conflicts, and a
// reading that adds these, for the second one. It needs one more if a session could exceed a cap.
func (r *DeliveredReading) WithConflicts(ctx context.Context) ([]Delivered, db.Reading[[]Delivered], error) {
	found := r.reading.delivered()
	none := db.Reading[[]Delivered]{Value: func(context.Context) ([]Delivered, error) { return found, nil }}
	if len(found) == 0 {
		return nil, none, nil
	}
	a, err := r.notes.arguments(ctx, r.base.now())
	if err != nil {
		return nil, none, err
	}
	all, authorizations := make([]uuid.UUID, len(found)), []uuid.UUID{}
	for i, d := range found {
		all[i] = d.ID
		for _, p := range d.Patients {
			authorizations = append(authorizations, p.AuthorizationID)
		}
	}
	caps, err := r.base.Authorizations.ExceededCaps(ctx, authorizations, calendar.Date{}, calendar.Last)
	if err != nil {
		return nil, none, err
	}
	conflicts, err := r.base.store.conflictsOf(r.reading.organization, all, a) // without caps
	return found, db.Reading[[]Delivered]{
		Queries: slices.Concat(caps.Queries, conflicts.Queries),
		Value: func(ctx context.Context) ([]Delivered, error) {
			return found, r.addConflicts(ctx, found, caps, conflicts)
		},
	}, err
}

// addConflicts adds the conflicts that were read.
func (r *DeliveredReading) addConflicts(
	ctx context.Context, found []Delivered, caps db.Reading[[]authorization.ExceededCap],
	others db.Reading[map[uuid.UUID][]ConflictKind],
) error {
	exceeded, err := caps.Value(ctx)
	if err != nil {
		return err
	}
	var possible []uuid.UUID
	for _, d := range found {
		if d.VoidedAt == nil && mayExceed(d.ServiceDate, d.Patients, exceeded) {
			possible = append(possible, d.ID)
		}
	}
	exceeding, err := r.base.exceeding(ctx, r.reading.organization, possible, exceeded)
	if err != nil {
		return err
	}
	conflicts, err := others.Value(ctx)
	for i, d := range found {
		found[i].Conflicts = conflicts[d.ID]
		if exceeding[d.ID] {
			found[i].Conflicts = append([]ConflictKind{CapExceeded}, conflicts[d.ID]...)
		}
	}
	return err
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
