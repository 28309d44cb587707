package events

import (
	"slices"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/httpx"
)

// Webhook is an address of another system that receives an organization's events.
type Webhook struct {
	OrganizationID uuid.UUID `gorm:"primaryKey"`
	ID             uuid.UUID `gorm:"primaryKey"`
	URL            string
	Types          textArray // of the events, sorted; empty: all types
	Active         bool      // an inactive webhook does not store events for later
	Version        int
	CreatedAt      time.Time
	UpdatedAt      time.Time
	// AnsweredBy is the user who created the webhook, last set its URL or types, or last confirmed
	// it. The webhook receives the events that this user may currently read, as long as the user
	// could create it. Without such a user, nothing is sent.
	AnsweredBy *uuid.UUID
	Secret     secret // encrypted: see openSecret
}

// WebhookWithSecret is a webhook with its new secret, which is shown only once.
type WebhookWithSecret struct {
	Webhook
	Revealed httpx.Secret
}

// Delivery is the delivery of one event to one webhook.
type Delivery struct {
	Position      int64 // of the event in its stream
	Type          string
	SubjectID     uuid.UUID // the changed record
	OccurredAt    time.Time
	State         DeliveryState
	Attempts      int        // so far
	NextAttemptAt *time.Time // nil unless the delivery is pending
	LastAttemptAt *time.Time
	LastStatus    *int    // the HTTP status of the receiver's last response; nil: there was none
	LastError     *string // the reason why the last attempt failed
}

// DeliveryState is the state of a delivery.
type DeliveryState string

// The states of a delivery.
const (
	DeliveryPending   DeliveryState = "PENDING"   // to be attempted, or retried
	DeliveryDelivered DeliveryState = "DELIVERED" // the receiver has answered 2xx
	DeliveryDead      DeliveryState = "DEAD"      // all attempts failed
	DeliveryWithheld  DeliveryState = "WITHHELD"  // the responsible user of the webhook could not read it when it was due
)

// sortedTypes returns a sorted copy without repetitions, never nil, so that equal lists
// compare as equal.
func sortedTypes(list []string) []string {
	list = append([]string{}, list...)
	slices.Sort(list)
	return slices.Compact(list)
}
