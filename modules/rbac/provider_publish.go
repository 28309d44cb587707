package rbac

import (
	"context"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/outbox"
	"omnirapeutic/platform/permission"
)

// The event types of this module. They need the permission user:change, which administrators always
// hold.
const (
	EventProviderChanged = "identity-provider.changed" // with a [ProviderChange]
	EventLinkRequested   = "identity-provider.link-requested"
	EventLinked          = "identity-provider.linked"
	EventUnlinked        = "identity-provider.unlinked"
)

// EventTypes returns all event types of this module. All but [EventProviderChanged] carry a
// [ProviderLinkChange].
func EventTypes() []outbox.Type {
	return []outbox.Type{
		{Name: EventProviderChanged, Permission: permission.UserChange},
		{Name: EventLinkRequested, Permission: permission.UserChange},
		{Name: EventLinked, Permission: permission.UserChange},
		{Name: EventUnlinked, Permission: permission.UserChange},
	}
}

// ProviderChange reports that the organization's identity provider was entered, changed or removed.
type ProviderChange struct {
	Issuer       string    `json:"issuer"`
	ClientID     string    `json:"clientId"`
	ChangedBy    uuid.UUID `json:"changedBy"` // a user
	Removed      bool      `json:"removed"`
	EndedLinks   int       `json:"endedLinks"`   // links of accounts that ended
	EndedSignIns int       `json:"endedSignIns"` // sign-ins that ended
}

// ProviderLinkChange reports a change of the link of an account to the identity provider.
type ProviderLinkChange struct {
	UserID    uuid.UUID  `json:"userId"`    // the owner of the account
	ChangedBy *uuid.UUID `json:"changedBy"` // the user who confirmed or ended it; null: it is not yet confirmed
}

// Events publishes changes, in the transaction of the change.
type Events interface {
	// Publish sends the messages to the users who hold their permissions, once and only if the
	// transaction commits.
	Publish(ctx context.Context, messages []outbox.Message) error
}

func (s *Service) publishProvider(ctx context.Context, p IdentityProvider, change ProviderChange, at time.Time) error {
	return s.events.Publish(ctx, []outbox.Message{{
		OrganizationID: p.OrganizationID, Type: EventProviderChanged, SubjectID: p.OrganizationID,
		Permission: permission.UserChange, OccurredAt: at, Payload: change,
	}})
}

func (s *Service) publishLink(ctx context.Context, event string, u User, by *uuid.UUID, at time.Time) error {
	return s.events.Publish(ctx, []outbox.Message{{
		OrganizationID: u.OrganizationID, Type: event, SubjectID: u.ID,
		Permission: permission.UserChange, OccurredAt: at, Payload: ProviderLinkChange{u.ID, by},
	}})
}
