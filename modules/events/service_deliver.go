package events

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/google/uuid"
	"github.com/sirupsen/logrus"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/permission"
	"omnirapeutic/platform/safehttp"
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

// retries are the delays after the first attempt, the second, and so on, each varied by up to a
// fifth: eight attempts in about 23 hours.
var retries = []time.Duration{
	15 * time.Second, time.Minute, 4 * time.Minute, 16 * time.Minute, time.Hour, 4 * time.Hour, 17 * time.Hour,
}

// Due signals that deliveries may be due, or that one has ended.
func (s *Service) Due() <-chan struct{} { return s.due }

// Deliver starts to send due events to webhooks, and returns the number of webhooks. The sending
// continues after the return, until the context ends; see [Service.WaitForDeliveries]. Any number
// of instances may run it at once.
func (s *Service) Deliver(ctx context.Context) (int64, error) { return s.dispatcher.dispatch(ctx) }

// WaitForDeliveries waits for the end of the sending that [Service.Deliver] has started. Its context
// must have ended.
func (s *Service) WaitForDeliveries() { s.dispatcher.work.Wait() }

func (s *Service) dueWebhooks(ctx context.Context) ([]dueWebhook, error) {
	return db.Snapshot(ctx, s.database, "webhook.due", func(ctx context.Context) ([]dueWebhook, error) {
		return s.store.dueWebhooks(ctx, s.now())
	}, db.AllOrganizations())
}

// serve sends due events to one webhook in batches. It returns when none is due, when all
// attempts of a batch have failed, or after maxBatches. It reports whether the last attempts all
// failed.
func (s *Service) serve(ctx context.Context, w dueWebhook) (failed bool, err error) {
	for range maxBatches {
		claims, err := s.claim(ctx, w)
		if err != nil || len(claims) == 0 {
			return failed, err
		}
		results := make([]result, len(claims))
		var sending sync.WaitGroup
		for i, c := range claims {
			sending.Go(func() { results[i] = s.attempt(ctx, w, c) })
		}
		sending.Wait()
		if ctx.Err() != nil {
			return false, nil //nolint:nilerr // the program stops: interrupted deliveries are due again when their lease ends
		}
		failed = !slices.ContainsFunc(results, func(r result) bool { return r.state == DeliveryDelivered })
		if err := s.settle(ctx, w, claims, results); err != nil || failed {
			return failed, err
		}
	}
	return failed, nil
}

// settle stores the results of the attempts.
func (s *Service) settle(ctx context.Context, w dueWebhook, claims []claim, results []result) error {
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
func (s *Service) claim(ctx context.Context, w dueWebhook) ([]claim, error) {
	var withheld int64
	claims, err := db.ReadCommitted(ctx, s.database, "webhook.claim", func(ctx context.Context) (claims []claim, err error) {
		if err := db.Admit(ctx, w.OrganizationID); err != nil {
			return nil, err
		}
		read, err := s.readFor(ctx, w)
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
		s.logger.WithFields(logrus.Fields{"event": "events_withheld", "webhook_id": w.ID, "events": withheld}).
			Warn("events withheld from a webhook: its responsible user can no longer read them or manage webhooks")
	}
	return claims, err
}

// readFor returns the permissions of the events that may currently be sent to a webhook: none if
// the responsible user could not create it now.
func (s *Service) readFor(ctx context.Context, w dueWebhook) ([]identity.Permission, error) {
	by, err := s.store.answeredBy(ctx, w)
	if err != nil || by == nil {
		return nil, err
	}
	answers, err := s.callers.Presently(ctx, w.OrganizationID, *by)
	if errors.Is(err, identity.ErrUnauthenticated) || err == nil &&
		!answers.Scope(permission.WebhookManage).Has(identity.Organization) {
		return nil, nil
	}
	return readable(answers), err
}

// attempt sends an event once.
func (s *Service) attempt(ctx context.Context, w dueWebhook, c claim) result {
	status, err := s.send(ctx, w, c)
	r := result{state: DeliveryDelivered, next: s.now()}
	if status != 0 {
		r.status = &status
	}
	if err == nil {
		return r
	}
	r.err = new(reason(err, attemptTimeout))
	if c.Attempts > len(retries) {
		r.state = DeliveryDead
		s.logger.WithFields(logrus.Fields{
			"event": "delivery_dead", "webhook_id": w.ID, "position": c.Position, "attempts": c.Attempts,
		}).
			Warn("webhook delivery failed")
		return r
	}
	const jitter = 0.2
	delay := float64(retries[c.Attempts-1]) * (1 + jitter*(2*rand.Float64()-1))
	r.state, r.next = DeliveryPending, r.next.Add(time.Duration(delay))
	return r
}

// send posts the event of a delivery. The id is the same in every attempt, so that the
// receiver recognizes repetitions.
func (s *Service) send(ctx context.Context, w dueWebhook, c claim) (status int, err error) {
	return s.post(ctx, outgoing{
		organization: w.OrganizationID, webhook: w.ID, url: c.URL, secret: c.Secret,
		id: fmt.Sprintf("%s_%d", w.ID, c.Position),
		event: Event{
			Position: c.Position, Type: c.Type, SubjectID: c.SubjectID, OccurredAt: c.OccurredAt, Payload: c.Payload,
		},
	})
}

// outgoing is one request to a receiver.
type outgoing struct {
	organization, webhook uuid.UUID
	url                   string
	secret                secret // in its stored form
	id                    string // the header webhook-id
	event                 Event
}

// post sends an event as defined by Standard Webhooks. The signed time is the time of the
// attempt, so that the receiver can refuse recorded requests.
func (s *Service) post(ctx context.Context, o outgoing) (status int, err error) {
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
		return response.StatusCode, errAnswered(response.StatusCode)
	}
	return response.StatusCode, nil
}

// errAnswered means that the receiver answered with another status than 2xx.
type errAnswered int

func (e errAnswered) Error() string { return fmt.Sprintf("the receiver answered %d", int(e)) }

// reason returns why an attempt failed, as one of a fixed set of texts. It contains neither
// results of name resolution nor system errors, which would reveal internal networks, nor the
// URL, which may contain a secret of the receiver. timeout is the limit of the attempt.
func reason(err error, timeout time.Duration) string {
	var (
		answered    errAnswered
		name        *net.DNSError
		certificate *tls.CertificateVerificationError
		record      tls.RecordHeaderError
	)
	switch {
	case errors.As(err, &answered):
		return answered.Error()
	case errors.Is(err, errSecret):
		return errSecret.Error()
	case errors.Is(err, safehttp.ErrNotPublic):
		return safehttp.ErrNotPublic.Error()
	case errors.As(err, &name):
		return "the name of the receiver could not be resolved"
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return "no answer within " + timeout.String()
	case errors.As(err, &certificate):
		return "the receiver's certificate is not valid for its name"
	case errors.As(err, &record):
		return "the receiver does not speak TLS"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "the receiver refused the connection"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "the receiver closed the connection without an answer"
	}
	return "the receiver could not be reached"
}
