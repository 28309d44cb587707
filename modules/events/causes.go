package events

import (
	"net/http"
	"sync"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/outbox"
	"omnirapeutic/platform/safehttp"
	"omnirapeutic/platform/tracing"
)

// maxCauses limits the remembered causes to about a megabyte.
const maxCauses = 4096

// causes remembers which traces have published the latest events, so that deliveries belong to them. It is in
// memory: an event that another instance has published, or this one long ago, has an unknown cause. Safe for
// concurrent use.
type causes struct {
	mu     sync.Mutex
	known  map[causeKey]tracing.Cause
	oldest []causeKey // a ring
	next   int
}

// causeKey identifies an event before it has a position.
type causeKey struct {
	organization, subject uuid.UUID
	kind                  string
	at                    int64 // in microseconds
}

func newCauses() *causes { return &causes{known: map[causeKey]tracing.Cause{}} }

func causeKeyOf(organization, subject uuid.UUID, kind string, at time.Time) causeKey {
	return causeKey{organization, subject, kind, at.UnixMicro()}
}

// remember remembers the cause of published events.
func (c *causes) remember(cause tracing.Cause, messages []outbox.Message) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, m := range messages {
		key := causeKeyOf(m.OrganizationID, m.SubjectID, m.Type, m.OccurredAt)
		if _, known := c.known[key]; !known {
			if len(c.oldest) < maxCauses {
				c.oldest = append(c.oldest, key)
			} else {
				delete(c.known, c.oldest[c.next])
				c.oldest[c.next] = key
				c.next = (c.next + 1) % maxCauses
			}
		}
		c.known[key] = cause
	}
}

// of returns the cause of an event, which may be unknown.
func (c *causes) of(key causeKey) tracing.Cause {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.known[key]
}

// newClient returns the client that calls webhooks.
func newClient(anyAddress bool) *http.Client {
	client := safehttp.NewClient(attemptTimeout, anyAddress)
	client.Transport = tracing.Transport(client.Transport, tracing.PeerWebhook)
	return client
}
