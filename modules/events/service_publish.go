package events

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/outbox"
	"omnirapeutic/platform/tracing"
)

// Publish publishes events in the transaction of the context, in the order of the messages.
// Readers who hold their permission receive them once, and only if the transaction commits. It
// needs no caller: each message names its organization.
func (s *Service) Publish(ctx context.Context, messages []outbox.Message) error {
	if len(messages) == 0 {
		return nil
	}
	payloads := make([]string, len(messages))
	for i, m := range messages {
		if !slices.Contains(s.types, outbox.Type{Name: m.Type, Permission: m.Permission}) {
			return fmt.Errorf("events: the type %q is not declared with the permission %q", m.Type, m.Permission)
		}
		data, err := json.Marshal(m.Payload)
		if err != nil {
			return fmt.Errorf("events: the payload of %s cannot be encoded as JSON: %w", m.Type, err)
		}
		payloads[i] = string(data)
	}
	cause := tracing.CauseIn(ctx)
	published := func(context.Context) {
		if cause.IsKnown() {
			s.causes.remember(cause, messages)
		}
		signal(s.outbox)
	}
	if err := db.AfterCommit(ctx, published); err != nil {
		return err
	}
	return s.store.publish(ctx, messages, payloads)
}

// signal signals the channel without blocking, now or at its next receive.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default: // a signal is already pending
	}
}

// Listen receives notifications of events that other instances have moved, until the context ends.
// Without it, their events arrive slightly later.
func (s *Service) Listen(ctx context.Context) { s.database.Listen(ctx, notifyChannel, (*listener)(s)) }
