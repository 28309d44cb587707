package events

import (
	"slices"
	"time"

	"github.com/google/uuid"
)

// Webhook is an address of another system that receives an organization's events.
type Webhook struct {
	OrganizationID uuid.UUID `json:"organizationId" gorm:"primaryKey"`
	ID             uuid.UUID `json:"id" gorm:"primaryKey"`
	URL            string    `json:"url"` // The address that receives the events.
	// The types of the events, sorted. If it is empty, all types are sent.
	Types textArray `json:"types"`
	// Whether events are sent. An inactive webhook does not store events for later.
	Active    bool      `json:"active"`
	Version   int       `json:"version"`
	CreatedAt time.Time `json:"createdAt"`
	UpdatedAt time.Time `json:"updatedAt"`
	// The user who created the webhook, last set its URL or types, or last confirmed it. The
	// webhook receives the events that this user may currently read, as long as the user could
	// create it. Null if there is no such user; then nothing is sent.
	AnsweredBy *uuid.UUID `json:"answeredBy"`
	Secret     secret     `json:"-"` // encrypted: see openSecret
}

// Revision returns the version, which the API returns as ETag.
func (w Webhook) Revision() int { return w.Version }

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
