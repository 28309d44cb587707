package emergency

import (
	"context"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/outbox"
	"omnirapeutic/platform/permission"
	"omnirapeutic/platform/trail"
)

// The types of the events that this module publishes, and of its entries in the audit trail. They
// need [permission.EmergencyRead] for the organization, which administrators hold, and carry a
// [GrantChange].
const (
	EventTaken    = "emergency.taken"
	EventRevoked  = "emergency.revoked"
	EventReviewed = "emergency.reviewed"
)

// EventTypes returns the types of all events that this module publishes.
func EventTypes() []outbox.Type {
	return []outbox.Type{
		{Name: EventTaken, Permission: permission.EmergencyRead},
		{Name: EventRevoked, Permission: permission.EmergencyRead},
		{Name: EventReviewed, Permission: permission.EmergencyRead},
	}
}

// GrantChange is an emergency grant after a change. Events leave the system, so it names neither
// the patient nor the reason: GET /emergency-grants/{id} returns both.
type GrantChange struct {
	GrantID   uuid.UUID `json:"grantId"`
	UserID    uuid.UUID `json:"userId"`    // The user who took the grant.
	ExpiresAt time.Time `json:"expiresAt"` // The time until which the grant applies.
	Revoked   bool      `json:"revoked"`   // Whether the grant is revoked.
	Reviewed  bool      `json:"reviewed"`  // Whether the grant is reviewed.
}

// subjectType is the subject type of the module's events in the audit trail.
const subjectType = "emergency-grant"

// auditedGrant is the part of a grant that the audit trail stores. It contains no free text.
type auditedGrant struct {
	UserID    uuid.UUID `json:"userId"`
	ExpiresAt time.Time `json:"expiresAt"`
	Revoked   bool      `json:"revoked"`
	Justified *bool     `json:"justified,omitempty"`
}

// publish publishes and records a change of a grant by the caller.
func (s *Service) publish(ctx context.Context, caller identity.Caller, event string, g Grant, now time.Time) error {
	err := s.events.Publish(ctx, []outbox.Message{{
		OrganizationID: g.OrganizationID, Type: event, SubjectID: g.ID, Permission: permission.EmergencyRead, OccurredAt: now,
		Payload: GrantChange{g.ID, g.UserID, g.ExpiresAt, g.RevokedAt != nil, g.ReviewedAt != nil},
	}})
	if err != nil {
		return err
	}
	e := trail.By(caller)
	e.Action, e.SubjectType, e.SubjectID, e.PatientID, e.GrantID, e.OccurredAt = event, subjectType, g.ID,
		&g.PatientID, &g.ID, now
	e.After = auditedGrant{g.UserID, g.ExpiresAt, g.RevokedAt != nil, g.Justified}
	return s.audit.Record(ctx, []trail.Event{e})
}
