// Package events tells what has happened: to frontends as a stream of
// server-sent events, to other systems as webhooks.
//
// A module publishes in the transaction of the change ([Service.Publish]), into
// the outbox; what is rolled back was never said. A relay in every instance of
// the program moves it into the organization's stream, where each event gets the
// next position; readers and webhooks know only that stream.
//
// # The order
//
// The relay takes an organization's rows in the order of outbox.sequence, drawn
// when a row was written. That is the order of cause and effect: a transaction
// that depends on another began, and so drew its number, after that one had
// committed, and whoever sees its row sees the other's too. So no event comes
// before one that it follows from. Transactions that ran side by side may come in
// either order, and one that takes its time may come after later ones that do not
// depend on it; it is not lost, as rows leave the outbox when they are moved and
// not when a reader has come past their number.
package events

import (
	"encoding/json"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/identity"
)

// PermissionWebhooks is what a caller needs to manage webhooks. Whoever holds it
// decides where events go, of those that they may read themselves: see [Service.CreateWebhook].
// It makes webhooks inactive and deletes them whatever these get; more takes what their types need.
const PermissionWebhooks identity.Permission = "webhook:manage"

// Event is one thing that has happened, as readers and webhooks see it.
type Event struct {
	OrganizationID uuid.UUID           `json:"-"`
	Position       int64               `json:"id"` // in the organization's stream, from 1 on; 0 of a test event
	Type           string              `json:"type"`
	SubjectID      uuid.UUID           `json:"subjectId"` // what it happened to
	Permission     identity.Permission `json:"-"`         // what a reader must hold
	OccurredAt     time.Time           `json:"occurredAt"`
	Payload        json.RawMessage     `json:"data"`
}

// WebhookLimit are the details of [ErrTooManyWebhooks].
type WebhookLimit struct {
	Limit int `json:"limit"` // of webhooks in one organization
}

// The refusals of this module. Wrong fields are [fault.ErrInvalid].
var (
	ErrTooManyStreams = fault.Define(fault.TooMany, "too-many-streams", "This user listens to too many streams of events at once.").
				Advising("Close streams that nobody looks at; share one among the windows of a browser.")
	ErrTooManyWebhooks = fault.Define(fault.Conflict, "too-many-webhooks", "The organization has the maximum number of webhooks.").
				Carrying(WebhookLimit{}).Advising("Delete a webhook that is no longer needed, or ask the operator to raise the limit.")
	ErrTooManyWebhookTests = fault.Define(fault.TooMany, "too-many-webhook-tests", "Too many webhooks are being tested right now.").
				Advising("Wait for the result of the other test, at most 10 seconds, and try again.")
	ErrWebhookNotFound  = fault.Define(fault.NotFound, "webhook-not-found", "There is no such webhook.")
	ErrDeliveryNotFound = fault.Define(fault.NotFound, "delivery-not-found", "There is no such delivery, or its event is no longer kept.")
)
