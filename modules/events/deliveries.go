package events

import (
	"context"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/trail"
)

// DeliveryState says how far an event has come on its way to a webhook.
type DeliveryState string

// The states of a delivery.
const (
	DeliveryPending   DeliveryState = "PENDING"   // to be tried, or tried again
	DeliveryDelivered DeliveryState = "DELIVERED" // the receiver has answered 2xx
	DeliveryDead      DeliveryState = "DEAD"      // tried as often as we try
	DeliveryWithheld  DeliveryState = "WITHHELD"  // whoever answers for the webhook might not read it when it was due
)

// Delivery is one event on its way to one webhook.
type Delivery struct {
	Position      int64         `json:"id"` // of the event
	Type          string        `json:"type"`
	SubjectID     uuid.UUID     `json:"subjectId"`
	OccurredAt    time.Time     `json:"occurredAt"`
	State         DeliveryState `json:"state"`
	Attempts      int           `json:"attempts"`
	NextAttemptAt *time.Time    `json:"nextAttemptAt"` // nil unless pending
	LastAttemptAt *time.Time    `json:"lastAttemptAt"`
	LastStatus    *int          `json:"lastStatus"` // of the receiver's answer, if there was one
	LastError     *string       `json:"lastError"`
}

// Deliveries lists a webhook's deliveries of events that the caller may read, the oldest
// first, those after a position and in a state (none: any). The error is [ErrWebhookNotFound].
func (s *Service) Deliveries(ctx context.Context, webhook uuid.UUID, state DeliveryState, after int64, limit int) ([]Delivery, error) {
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

// Redeliver has an event sent again, with as many attempts as a new one.
// Errors: [ErrWebhookNotFound], [ErrDeliveryNotFound], also where the caller may not read
// the event.
func (s *Service) Redeliver(ctx context.Context, webhook uuid.UUID, position int64) (Delivery, error) {
	caller, err := identity.From(ctx)
	if err != nil {
		return Delivery{}, err
	}
	// A row of the queue, under a lock of its own, like every other change of it.
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
		return d, s.record(ctx, trail.Event{Action: "webhook.redeliver", SubjectID: webhook, After: redelivered{position}, OccurredAt: now})
	})
}
