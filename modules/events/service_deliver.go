package events

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/sirupsen/logrus"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/delivery"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/permission"
	"omnirapeutic/platform/record"
	"omnirapeutic/platform/tracing"
)

// Limits of one attempt at a delivery.
const (
	attemptTimeout = 10 * time.Second
	maxAnswer      = 64 << 10 // bytes that are read of a response
)

const (
	maxClaims  = 8 // concurrent attempts for one webhook
	maxBatches = 4 // of attempts before the slot is released
	// lease is how long a claim belongs to an instance. It ends well after the attempt itself.
	lease = 3 * attemptTimeout
)

// Due signals that deliveries may be due, or that one has ended.
func (s *Service) Due() <-chan struct{} { return s.due }

// Deliver starts to send due events to webhooks, and returns the number of webhooks. The sending
// continues after the return, until the context ends; see [Service.WaitForDeliveries]. Any number
// of instances may run it at once.
func (s *Service) Deliver(ctx context.Context) (int64, error) { return s.dispatcher.dispatch(ctx) }

// WaitForDeliveries waits for the end of the sending that [Service.Deliver] has started. Its context
// must have ended.
func (s *Service) WaitForDeliveries() { s.dispatcher.work.Wait() }

func (s *Service) dueWebhooks(ctx context.Context) ([]record.Key, error) {
	return db.Snapshot(ctx, s.database, "webhook.due", func(ctx context.Context) ([]record.Key, error) {
		return s.store.dueWebhooks(ctx, s.now())
	}, db.AllOrganizations())
}

// serveWebhook sends due events to one webhook in batches. It returns when none is due, when all
// attempts of a batch have failed, or after maxBatches. It reports whether the last attempts all
// failed.
func (s *Service) serveWebhook(ctx context.Context, w record.Key) (failed bool, err error) {
	ctx, span := s.tracer.StartRoot(ctx, "serve webhook") // the job that started it does not wait
	defer span.End()
	for range maxBatches {
		claims, err := s.claim(ctx, w)
		if err != nil || len(claims) == 0 {
			return failed, err
		}
		results := make([]attemptResult, len(claims))
		var sending sync.WaitGroup
		for i, c := range claims {
			sending.Go(func() { results[i] = s.attempt(ctx, w, c) })
		}
		sending.Wait()
		if ctx.Err() != nil {
			return false, nil // the program stops: interrupted deliveries are due again when their lease ends
		}
		failed = !slices.ContainsFunc(results, func(r attemptResult) bool { return r.state == DeliveryDelivered })
		for _, r := range results {
			s.delivered.count(r.state)
		}
		if err := s.storeResults(ctx, w, claims, results); err != nil || failed {
			return failed, err
		}
	}
	return failed, nil
}

// storeResults stores the results of the attempts.
func (s *Service) storeResults(ctx context.Context, w record.Key, claims []claim, results []attemptResult) error {
	_, err := db.ReadCommitted(ctx, s.database, "webhook.settle", func(ctx context.Context) (struct{}, error) {
		if err := db.Admit(ctx, w.OrganizationID); err != nil {
			return struct{}{}, err
		}
		for i, c := range claims {
			if err := s.store.settle(ctx, w, c, results[i]); err != nil {
				return struct{}{}, err
			}
		}
		return struct{}{}, nil
	})
	return err
}

// claim takes some of the due deliveries of a webhook that the webhook's responsible user may
// currently read. It withholds the others, which are not retried automatically.
func (s *Service) claim(ctx context.Context, w record.Key) ([]claim, error) {
	var withheld int64
	claims, err := db.ReadCommitted(ctx, s.database, "webhook.claim", func(ctx context.Context) (claims []claim,
		err error,
	) {
		if err := db.Admit(ctx, w.OrganizationID); err != nil {
			return nil, err
		}
		read, err := s.permissionsFor(ctx, w)
		if err != nil {
			return nil, err
		}
		now := s.now()
		if withheld, err = s.store.withhold(ctx, w, read, now); err != nil {
			return nil, err
		}
		return s.store.claim(ctx, w, read, now, now.Add(lease), maxClaims)
	})
	if err == nil && withheld > 0 {
		s.delivered.withheld.Add(withheld)
		s.logger.WithFields(logrus.Fields{"event": "events_withheld", "webhook_id": w.ID, "events": withheld}).
			Warn("events withheld from a webhook: its responsible user can no longer read them or manage webhooks")
	}
	return claims, err
}

// permissionsFor returns the permissions of the events that may currently be sent to a webhook: none if
// the responsible user could not create it now.
func (s *Service) permissionsFor(ctx context.Context, w record.Key) ([]identity.Permission, error) {
	by, err := s.store.answeredBy(ctx, w)
	if err != nil || by == nil {
		return nil, err
	}
	answers, err := s.callers.CurrentCaller(ctx, w.OrganizationID, *by)
	if errors.Is(err, identity.ErrUnauthenticated) || err == nil &&
		!answers.Scope(permission.WebhookManage).Has(identity.Organization) {
		return nil, nil
	}
	return readable(answers), err
}

// attempt sends an event once.
func (s *Service) attempt(ctx context.Context, w record.Key, c claim) (r attemptResult) {
	cause := s.causes.of(causeKeyOf(w.OrganizationID, c.SubjectID, c.Type, c.OccurredAt))
	ctx, span := s.tracer.StartCaused(ctx, cause, "deliver "+c.Type)
	defer func() { endDelivery(span, c, r) }()
	status, err := s.send(ctx, w, c)
	r = attemptResult{state: DeliveryDelivered, next: s.now()}
	if status != 0 {
		r.status = &status
	}
	if err == nil {
		return r
	}
	r.err = new(deliveryError(err, attemptTimeout))
	delay, retry := delivery.RetryDelay(c.Attempts, rand.Float64)
	if !retry {
		r.state = DeliveryDead
		s.logger.WithFields(logrus.Fields{
			"event": "delivery_dead", "webhook_id": w.ID, "position": c.Position, "attempts": c.Attempts,
		}).
			Warn("webhook delivery failed")
		return r
	}
	r.state, r.next = DeliveryPending, r.next.Add(delay)
	return r
}

// endDelivery ends the span of an attempt.
func endDelivery(span tracing.Span, c claim, r attemptResult) {
	span.Set(tracing.EventType, c.Type)
	span.SetNumber(tracing.Attempt, c.Attempts)
	span.Set(tracing.Result, string(r.state))
	if r.err != nil {
		span.Fail("not-delivered")
	}
	span.End()
}

// send posts the event of a delivery. The id is the same in every attempt, so that the
// receiver recognizes repetitions.
func (s *Service) send(ctx context.Context, w record.Key, c claim) (status int, err error) {
	return s.post(ctx, request{
		organization: w.OrganizationID, webhook: w.ID, url: c.URL, secret: c.Secret,
		id: fmt.Sprintf("%s_%d", w.ID, c.Position),
		event: Event{
			Position: c.Position, Type: c.Type, SubjectID: c.SubjectID, OccurredAt: c.OccurredAt, Payload: c.Payload,
		},
	})
}

// request is one request to a receiver.
type request struct {
	organization, webhook uuid.UUID
	url                   string
	secret                secret // in its stored form
	id                    string // the header webhook-id
	event                 Event
}

// post sends an event as defined by Standard Webhooks. The signed time is the time of the
// attempt, so that the receiver can refuse recorded requests.
func (s *Service) post(ctx context.Context, o request) (status int, err error) {
	body, err := json.Marshal(o.event)
	if err != nil {
		return 0, err
	}
	key, _, err := s.openSecret(o.secret, o.organization, o.webhook)
	if err != nil {
		return 0, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, o.url, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	now := s.now()
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("User-Agent", "Omnirapeutic-Webhooks")
	request.Header.Set("Webhook-Id", o.id)
	request.Header.Set("Webhook-Timestamp", strconv.FormatInt(now.Unix(), 10))
	request.Header.Set("Webhook-Signature", key.sign(o.id, now, body))
	response, err := s.client.Do(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	_, _ = io.CopyN(io.Discard, response.Body, maxAnswer) // lets the connection be reused
	if response.StatusCode < 200 || response.StatusCode > 299 {
		return response.StatusCode, errStatus(response.StatusCode)
	}
	return response.StatusCode, nil
}
