// Package outbox has the words in which modules say what has happened. A module
// hands messages on in the transaction of the change; whoever listens is told
// once, and only if that transaction commits.
package outbox

import (
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/identity"
)

// Type is a type of messages. What is needed to read them is said once for all of
// them, so that whoever sends them on can tell before the first one comes.
type Type struct {
	Name       string              // as "appointment.booked"
	Permission identity.Permission // what a reader must hold, for the whole organization
}

// Message is one thing that has happened.
type Message struct {
	OrganizationID uuid.UUID
	Type           string
	SubjectID      uuid.UUID           // what it happened to
	Permission     identity.Permission // what a reader must hold: that of its [Type]
	OccurredAt     time.Time
	Payload        any // becomes JSON that leaves the system: ids and numbers, neither names nor health data
}
