package events

import (
	"context"
	"reflect"
	"slices"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/trail"
)

// auditedWebhook is the part of a webhook that the audit trail stores. It omits the URL, which may
// contain a secret of the receiver.
type auditedWebhook struct {
	Types   []string `json:"types"`
	Active  bool     `json:"active"`
	Version int      `json:"version"`
	Changed []string `json:"changed,omitempty"`
}

// recordWebhook records that the caller has created a webhook (before is nil), changed it, or
// deleted it (after is nil).
func (s *Service) recordWebhook(ctx context.Context, action string, before, after *Webhook, now time.Time) error {
	var beforeValue, afterValue any
	var id uuid.UUID
	if before != nil {
		id, beforeValue = before.ID, auditedWebhook{before.Types, before.Active, before.Version, nil}
	}
	if after != nil {
		id, afterValue = after.ID, auditedWebhook{after.Types, after.Active, after.Version, changedFields(before, *after)}
	}
	return s.record(ctx, trail.Event{
		Action: action, SubjectID: id, Before: beforeValue, After: afterValue,
		OccurredAt: now,
	})
}

func changedFields(before *Webhook, after Webhook) []string {
	if before == nil {
		return nil
	}
	var changed []string
	for _, field := range []struct {
		name string
		same bool
	}{
		{"active", before.Active == after.Active},
		{"answeredBy", reflect.DeepEqual(before.AnsweredBy, after.AnsweredBy)},
		{"secret", slices.Equal(before.Secret.bytes, after.Secret.bytes)},
		{"types", slices.Equal(before.Types, after.Types)},
		{"url", before.URL == after.URL},
	} {
		if !field.same {
			changed = append(changed, field.name)
		}
	}
	return changed
}

// auditedDelivery is the event that was sent again.
type auditedDelivery struct {
	Position int64 `json:"position"`
}

// record adds the actor and the subject to an event about a webhook, and records it.
func (s *Service) record(ctx context.Context, e trail.Event) error {
	caller, err := identity.From(ctx)
	if err != nil {
		return err
	}
	event := trail.By(caller)
	event.Action, event.SubjectType, event.SubjectID, event.OccurredAt = e.Action, "webhook", e.SubjectID, e.OccurredAt
	event.Before, event.After = e.Before, e.After
	return s.audit.Record(ctx, []trail.Event{event})
}
