package oidc

import (
	"context"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/modules/rbac"
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

// ProviderChange is a change of the organization's identity provider.
type ProviderChange struct {
	Issuer       string    `json:"issuer"`       // The issuer of the provider.
	ClientID     string    `json:"clientId"`     // The id of this program at the provider.
	ChangedBy    uuid.UUID `json:"changedBy"`    // The user who changed the provider.
	Removed      bool      `json:"removed"`      // Whether the provider was removed.
	EndedLinks   int       `json:"endedLinks"`   // The number of links of accounts that ended.
	EndedSignIns int       `json:"endedSignIns"` // The number of sessions that ended.
}

// ProviderLinkChange is a change of the link of an account to the identity provider.
type ProviderLinkChange struct {
	UserID uuid.UUID `json:"userId"`
	// The user who confirmed or ended the link. It is null if the link is not yet confirmed.
	ChangedBy *uuid.UUID `json:"changedBy"`
}

func (s *Providers) publish(ctx context.Context, p IdentityProvider, change ProviderChange, at time.Time) error {
	return s.Events.Publish(ctx, []outbox.Message{{
		OrganizationID: p.OrganizationID, Type: EventProviderChanged, SubjectID: p.OrganizationID,
		Permission: permission.UserChange, OccurredAt: at, Payload: change,
	}})
}

func (s *Links) publish(ctx context.Context, event string, u rbac.User, by *uuid.UUID, at time.Time) error {
	return s.Events.Publish(ctx, []outbox.Message{{
		OrganizationID: u.OrganizationID, Type: event, SubjectID: u.ID,
		Permission: permission.UserChange, OccurredAt: at, Payload: ProviderLinkChange{u.ID, by},
	}})
}
