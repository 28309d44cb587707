// Package outbox defines the messages by which modules publish events. A module hands
// messages over in the transaction of the change. Each subscriber receives a message
// once, and only if that transaction commits.
package outbox

import (
	"context"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/identity"
)

// Type is a type of messages. The permission to read them is fixed per type, so that
// subscriptions can be checked before the first message.
type Type struct {
	Name       string              // as "appointment.booked"
	Permission identity.Permission // permission that a reader must hold for the whole organization
}

// Message is one event.
type Message struct {
	OrganizationID uuid.UUID
	Type           string
	SubjectID      uuid.UUID           // record that the event concerns
	Permission     identity.Permission // permission that a reader must hold, as in its [Type]
	OccurredAt     time.Time
	Payload        any // encoded as JSON that leaves the system: ids and numbers, no names and no health data
}

// Publisher publishes events. Every module that has events gets one.
type Publisher interface {
	// Publish sends the messages, in order, if, and only if, the transaction of the context commits.
	// Each reader who holds a message's permission receives it once.
	Publish(ctx context.Context, messages []Message) error
}
