package events

import (
	"context"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/trail"
)

// Deliveries lists a webhook's deliveries of events that the caller may read, the oldest first,
// after a position and in the given state (empty: any). The error is [ErrWebhookNotFound].
func (s *Service) Deliveries(
	ctx context.Context, webhook uuid.UUID, state DeliveryState, after int64, limit int,
) ([]Delivery, error) {
	caller, err := identity.From(ctx)
	if err != nil {
		return nil, err
	}
	return db.Snapshot(ctx, s.database, "webhook.deliveries", func(ctx context.Context) ([]Delivery, error) {
		if _, err := s.store.webhook(ctx, webhook); err != nil {
			return nil, err
		}
		return s.store.deliveries(ctx, webhook, readable(caller), state, after, limit)
	})
}

// Redeliver sends an event again, with all attempts of a new one. Errors: [ErrWebhookNotFound],
// [ErrDeliveryNotFound], also if the caller may not read the event.
func (s *Service) Redeliver(ctx context.Context, webhook uuid.UUID, position int64) (Delivery, error) {
	caller, err := identity.From(ctx)
	if err != nil {
		return Delivery{}, err
	}
	// It changes one queue row under its own lock, like every other change of the queue.
	return db.ReadCommitted(ctx, s.database, "webhook.redeliver", func(ctx context.Context) (Delivery, error) {
		if err := db.AfterCommit(ctx, func(context.Context) { signal(s.due) }); err != nil {
			return Delivery{}, err
		}
		if _, err := s.store.webhook(ctx, webhook); err != nil {
			return Delivery{}, err
		}
		now := s.now()
		d, err := s.store.redeliver(ctx, webhook, position, readable(caller), now)
		if err != nil {
			return Delivery{}, err
		}
		return d, s.record(ctx,
			trail.Event{Action: "webhook.redeliver", SubjectID: webhook, After: auditedDelivery{position}, OccurredAt: now})
	})
}
