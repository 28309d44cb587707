package authorization

import (
	"context"

	"github.com/google/uuid"

	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/db"
)

// ConsumedUnits are the units that the ledger counts as consumed for an appointment, net of
// reversals.
type ConsumedUnits struct {
	AuthorizationID uuid.UUID
	AppointmentID   *uuid.UUID // nil: consumed without an appointment
	Units           int
}

// ByID returns a reading of authorizations of the caller's organization by their ids, in the transaction of
// the context. It omits unknown ids.
func (s *ReportService) ByID(ctx context.Context, ids []uuid.UUID) (db.Reading[map[uuid.UUID]Authorization], error) {
	var found []Authorization
	q, err := s.store.byID(ctx, ids, &found)
	return db.Reading[map[uuid.UUID]Authorization]{
		Queries: []db.Query{q},
		Value: func(context.Context) (map[uuid.UUID]Authorization, error) {
			all := make(map[uuid.UUID]Authorization, len(found))
			for _, a := range found {
				all[a.ID] = a
			}
			return all, nil
		},
	}, err
}

// ConsumedUnits returns a reading of the consumed units of the caller's organization on the service dates
// from and to, both included, in the transaction of the context.
func (s *ReportService) ConsumedUnits(
	ctx context.Context, from, to calendar.Date,
) (db.Reading[[]ConsumedUnits], error) {
	var found []ConsumedUnits
	q, err := s.store.consumedUnits(ctx, from, to, &found)
	return db.Reading[[]ConsumedUnits]{
		Queries: []db.Query{q},
		Value:   func(context.Context) ([]ConsumedUnits, error) { return found, nil },
	}, err
}
