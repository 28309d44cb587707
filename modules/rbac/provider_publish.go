package rbac

import (
	"context"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/outbox"
)

// The types of the events that this module publishes. They need the permission user:change, which administrators
// always hold.
const (
	EventProviderChanged = "identity-provider.changed" // with a [ProviderChange]
	EventLinkRequested   = "identity-provider.link-requested"
	EventLinked          = "identity-provider.linked"
	EventUnlinked        = "identity-provider.unlinked"
)

// EventTypes returns the types of all events that this module publishes. All but [EventProviderChanged] come with a
// [ProviderLinkChange].
func EventTypes() []outbox.Type {
	return []outbox.Type{
		{Name: EventProviderChanged, Permission: userChange},
		{Name: EventLinkRequested, Permission: userChange},
		{Name: EventLinked, Permission: userChange},
		{Name: EventUnlinked, Permission: userChange},
	}
}

// ProviderChange says that the organization's identity provider was entered, changed or removed.
type ProviderChange struct {
	Issuer       string    `json:"issuer"`
	ClientID     string    `json:"clientId"`
	ChangedBy    uuid.UUID `json:"changedBy"` // a user
	Removed      bool      `json:"removed"`
	EndedLinks   int       `json:"endedLinks"`   // links of accounts that ended
	EndedSignIns int       `json:"endedSignIns"` // sign-ins that ended
}

// ProviderLinkChange says what became of the link of an account to the identity provider.
type ProviderLinkChange struct {
	UserID    uuid.UUID  `json:"userId"`    // whose account it is
	ChangedBy *uuid.UUID `json:"changedBy"` // the user who confirmed or ended it; null: it waits to be confirmed
}

// Events is told, in the transaction of a change, what has changed.
type Events interface {
	// Publish tells whoever holds the permissions of the messages, once and only if the transaction commits.
	Publish(ctx context.Context, messages []outbox.Message) error
}

func (s *Service) publishProvider(ctx context.Context, p IdentityProvider, change ProviderChange, at time.Time) error {
	return s.events.Publish(ctx, []outbox.Message{{
		OrganizationID: p.OrganizationID, Type: EventProviderChanged, SubjectID: p.OrganizationID,
		Permission: userChange, OccurredAt: at, Payload: change,
	}})
}

func (s *Service) publishLink(ctx context.Context, event string, u User, by *uuid.UUID, at time.Time) error {
	return s.events.Publish(ctx, []outbox.Message{{
		OrganizationID: u.OrganizationID, Type: event, SubjectID: u.ID,
		Permission: userChange, OccurredAt: at, Payload: ProviderLinkChange{u.ID, by},
	}})
}
