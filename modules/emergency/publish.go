package emergency

import (
	"context"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/outbox"
	"omnirapeutic/platform/trail"
)

// The types of the events that this module publishes, which are what the audit trail
// calls them too. They need [PermissionRead] for the organization, which
// administrators hold, and come with a [GrantChange].
const (
	EventTaken    = "emergency.taken"
	EventRevoked  = "emergency.revoked"
	EventReviewed = "emergency.reviewed"
)

// EventTypes returns the types of all events that this module publishes.
func EventTypes() []outbox.Type {
	return []outbox.Type{{Name: EventTaken, Permission: PermissionRead}, {Name: EventRevoked, Permission: PermissionRead}, {Name: EventReviewed, Permission: PermissionRead}}
}

// GrantChange is an emergency grant once something has changed it. It leaves the
// system, so it names no patient, and has no reason: GET /emergency-grants/{id} has both.
type GrantChange struct {
	GrantID   uuid.UUID `json:"grantId"`
	UserID    uuid.UUID `json:"userId"` // who took it
	ExpiresAt time.Time `json:"expiresAt"`
	Revoked   bool      `json:"revoked"`
	Reviewed  bool      `json:"reviewed"`
}

// subject is what events of the audit trail are about.
const subject = "emergency-grant"

// recorded is what the trail keeps of a grant: no texts.
type recorded struct {
	UserID    uuid.UUID `json:"userId"`
	ExpiresAt time.Time `json:"expiresAt"`
	Revoked   bool      `json:"revoked"`
	Justified *bool     `json:"justified,omitempty"`
}

// tell records what the caller did with a grant, and tells those who look after them.
func (s *Service) tell(ctx context.Context, caller identity.Caller, event string, g Grant, now time.Time) error {
	err := s.events.Publish(ctx, []outbox.Message{{
		OrganizationID: g.OrganizationID, Type: event, SubjectID: g.ID, Permission: PermissionRead, OccurredAt: now,
		Payload: GrantChange{g.ID, g.UserID, g.ExpiresAt, g.RevokedAt != nil, g.ReviewedAt != nil},
	}})
	if err != nil {
		return err
	}
	e := trail.By(caller)
	e.Action, e.SubjectType, e.SubjectID, e.PatientID, e.GrantID, e.OccurredAt = event, subject, g.ID, &g.PatientID, &g.ID, now
	e.After = recorded{g.UserID, g.ExpiresAt, g.RevokedAt != nil, g.Justified}
	return s.audit.Record(ctx, []trail.Event{e})
}
