package events

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/trail"
)

// EventTest is the type of test events. Only [Service.TestWebhook] sends it; streams do not
// contain it, and no webhook can be limited to it.
const EventTest = "webhook.test"

// TestEvent is an event sent when a user tests a webhook. Its `id` is 0, as it is not in the
// organization's stream.
type TestEvent struct {
	Active bool `json:"active"` // Whether the webhook is active. An inactive webhook receives test events only.
}

// TestWebhook sends one signed test event to a webhook, active or not, and returns the
// outcome. It waits for the receiver at most as long as an attempt at a delivery, and ends
// before the deadline of the context. The test is recorded in the audit trail before
// anything is sent; deliveries of the webhook do not change. An organization tests one
// webhook at a time. Errors: [ErrWebhookNotFound], [ErrTooManyWebhookTests].
func (s *Service) TestWebhook(ctx context.Context, id uuid.UUID) (TestResult, error) {
	caller, err := identity.From(ctx)
	if err != nil {
		return TestResult{}, err
	}
	if err := s.tests.take(caller.OrganizationID); err != nil {
		return TestResult{}, err
	}
	defer s.tests.release(caller.OrganizationID)
	w, err := s.recordTest(ctx, id)
	if err != nil {
		return TestResult{}, err
	}
	data, err := json.Marshal(TestEvent{Active: w.Active})
	if err != nil {
		return TestResult{}, err
	}
	timeout := timeoutWithin(ctx)
	sending, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	began := s.clock()
	result := TestResult{MessageID: fmt.Sprintf("%s_test_%s", w.ID, s.newID())}
	status, err := s.post(sending, request{
		organization: w.OrganizationID, webhook: w.ID, url: w.URL, secret: w.Secret, id: result.MessageID,
		event: Event{Type: EventTest, SubjectID: w.ID, OccurredAt: s.now(), Payload: data},
	})
	if errors.Is(ctx.Err(), context.Canceled) {
		return TestResult{}, ctx.Err()
	}
	result.DurationMilliseconds = s.clock().Sub(began).Milliseconds()
	result.Delivered = err == nil
	if status != 0 {
		result.Status = &status
	}
	if err != nil {
		result.Error = new(deliveryError(err, timeout))
	}
	return result, nil
}

// recordTest records that the caller tests a webhook, and returns the webhook.
func (s *Service) recordTest(ctx context.Context, id uuid.UUID) (Webhook, error) {
	return db.ReadCommitted(ctx, s.database, "webhook.test", func(ctx context.Context) (Webhook, error) {
		w, err := s.store.webhook(ctx, id)
		if err != nil {
			return Webhook{}, err
		}
		return w, s.record(ctx, trail.Event{
			Action: "webhook.test", SubjectID: id, After: auditedWebhook{w.Types, w.Active, w.Version, nil}, OccurredAt: s.now(),
		})
	})
}

// timeoutWithin returns how long a receiver may take so that the request can still be answered
// before the deadline of its context.
func timeoutWithin(ctx context.Context) time.Duration {
	deadline, ok := ctx.Deadline()
	if !ok {
		return attemptTimeout
	}
	return min(attemptTimeout, (time.Until(deadline) * 9 / 10).Round(10*time.Millisecond))
}

// testSlots limit concurrent test events: one for each organization, and a few for all
// organizations together. Safe for concurrent use.
type testSlots struct {
	total int
	mutex sync.Mutex
	busy  map[uuid.UUID]bool
}

// take takes a slot, to be released with [testSlots.release]. The error is [ErrTooManyWebhookTests].
func (t *testSlots) take(organization uuid.UUID) error {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	switch {
	case t.busy[organization]:
		return ErrTooManyWebhookTests.With(nil,
			"Your organization is testing a webhook right now. Wait for the result, and then try again.")
	case len(t.busy) >= t.total:
		return ErrTooManyWebhookTests.With(nil, "Too many webhooks are being tested right now. Try again in a few seconds.")
	}
	t.busy[organization] = true
	return nil
}

func (t *testSlots) release(organization uuid.UUID) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	delete(t.busy, organization)
}
