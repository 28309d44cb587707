package authorization

import (
	"context"

	"github.com/google/uuid"

	"omnirapeutic/platform/calendar"
)

// ConsumedUnits are the units that the ledger counts as consumed for an appointment, net of
// reversals.
type ConsumedUnits struct {
	AuthorizationID uuid.UUID
	AppointmentID   *uuid.UUID // nil: consumed without an appointment
	Units           int
}

// ByID returns authorizations of the caller's organization by their ids, in the transaction of the
// context. It omits unknown ids.
func (s *ReportService) ByID(ctx context.Context, ids []uuid.UUID) (map[uuid.UUID]Authorization, error) {
	found, err := s.store.byID(ctx, ids)
	all := make(map[uuid.UUID]Authorization, len(found))
	for _, a := range found {
		all[a.ID] = a
	}
	return all, err
}

// ConsumedUnits returns the consumed units of the caller's organization on the service dates from and
// to, both included, in the transaction of the context.
func (s *ReportService) ConsumedUnits(ctx context.Context, from, to calendar.Date) ([]ConsumedUnits, error) {
	return s.store.consumedUnits(ctx, from, to)
}
