package events

import (
	"context"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/trail"
)

// DeliveryState is the state of a delivery.
type DeliveryState string

// The states of a delivery.
const (
	DeliveryPending   DeliveryState = "PENDING"   // to be attempted, or retried
	DeliveryDelivered DeliveryState = "DELIVERED" // the receiver has answered 2xx
	DeliveryDead      DeliveryState = "DEAD"      // all attempts failed
	DeliveryWithheld  DeliveryState = "WITHHELD"  // the responsible user of the webhook could not read it when it was due
)

// Delivery is the delivery of one event to one webhook.
type Delivery struct {
	Position   int64         `json:"id"`        // The id of the event.
	Type       string        `json:"type"`      // The type of the event.
	SubjectID  uuid.UUID     `json:"subjectId"` // The changed record.
	OccurredAt time.Time     `json:"occurredAt"`
	State      DeliveryState `json:"state"`    // The state of the delivery.
	Attempts   int           `json:"attempts"` // The number of attempts so far.
	// The time of the next attempt. Null unless the delivery is pending.
	NextAttemptAt *time.Time `json:"nextAttemptAt"`
	LastAttemptAt *time.Time `json:"lastAttemptAt"` // The time of the last attempt.
	// The HTTP status of the receiver's last response. Null if there was none.
	LastStatus *int    `json:"lastStatus"`
	LastError  *string `json:"lastError"` // The reason why the last attempt failed.
}

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
			trail.Event{Action: "webhook.redeliver", SubjectID: webhook, After: redelivered{position}, OccurredAt: now})
	})
}
