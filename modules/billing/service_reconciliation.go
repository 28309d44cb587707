package billing

import (
	"context"

	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/db"
)

// Reconcile compares the units that the ledger counts as consumed on the service dates from and to with
// the lines of these days.
func (s *Service) Reconcile(ctx context.Context, from, to calendar.Date) (Reconciliation, error) {
	return db.Snapshot(ctx, s.Database, "billing.reconcile", func(ctx context.Context) (Reconciliation, error) {
		units, err := s.Authorizations.ConsumedUnits(ctx, from, to)
		if err != nil {
			return Reconciliation{}, err
		}
		b, err := s.load(ctx, from, to, units.Queries...)
		if err != nil {
			return Reconciliation{}, err
		}
		consumed, err := units.Value(ctx)
		if err != nil {
			return Reconciliation{}, err
		}
		return b.reconcile(consumed, from, to), nil
	})
}
