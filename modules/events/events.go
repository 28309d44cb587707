// Package events delivers events about changes: to frontends as server-sent events, to other
// systems as webhooks.
//
// A module publishes events in the transaction of the change ([Service.Publish]), into the
// outbox, so only committed changes have events. A relay in every instance moves them into the
// organization's stream, where each event gets the next position. Readers and webhooks use only
// the stream.
//
// # The order
//
// The relay moves an organization's rows in the order of outbox.sequence, which is assigned when
// a row is written. That order respects causality: a transaction that depends on another one
// began, and so got its number, after the other had committed, and any snapshot with its row
// includes the other's. So an event never precedes its cause. Concurrent transactions may appear
// in either order. A slow transaction may appear after later ones that do not depend on it. It is
// not lost, because the relay deletes the rows that it moves instead of remembering a number.
package events

import (
	"encoding/json"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/identity"
)

// Event is one event of an organization's stream.
type Event struct {
	OrganizationID uuid.UUID `json:"-"`
	// The position in the organization's stream, from 1 on. A test event has 0.
	Position   int64               `json:"id"`
	Type       string              `json:"type"`      // The type of the event.
	SubjectID  uuid.UUID           `json:"subjectId"` // The changed record.
	Permission identity.Permission `json:"-"`         // what a reader must hold
	OccurredAt time.Time           `json:"occurredAt"`
	Payload    json.RawMessage     `json:"data"` // The data of the event.
}

// WebhookLimit are the details of [ErrTooManyWebhooks].
type WebhookLimit struct {
	Limit int `json:"limit"` // The maximum number of webhooks of an organization.
}

// The errors of this module. Invalid fields are [fault.ErrInvalid].
var (
	ErrTooManyStreams = fault.Define(fault.TooMany, "too-many-streams", "You have too many event streams open.").
				Advising("Close unused streams, and share one stream among the windows of a browser.")
	ErrTooManyWebhooks = fault.Define(fault.Conflict, "too-many-webhooks",
		"The organization has the maximum number of webhooks.").
		Carrying(WebhookLimit{}).Advising("Delete a webhook that is no longer needed, or ask the operator to raise the " +
		"limit.")
	ErrTooManyWebhookTests = fault.Define(fault.TooMany, "too-many-webhook-tests",
		"Too many webhooks are being tested right now.").
		Advising("Wait for the result of the other test, at most 10 seconds, and try again.")
	ErrWebhookNotFound  = fault.Define(fault.NotFound, "webhook-not-found", "Webhook not found.")
	ErrDeliveryNotFound = fault.Define(fault.NotFound, "delivery-not-found",
		"Delivery not found, or its event is no longer kept.").
		Advising("Reload the deliveries.")
)
