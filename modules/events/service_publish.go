package events

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/sirupsen/logrus"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/encryption"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/outbox"
	"omnirapeutic/platform/safehttp"
)

// Callers provides the users of organizations.
type Callers interface {
	// Presently returns a user as a caller with their current permissions, read in the transaction of
	// the context. The error is [identity.ErrUnauthenticated] if the user may not sign in.
	Presently(ctx context.Context, organization, user uuid.UUID) (identity.Caller, error)
}

// Service publishes events and delivers them to streams and webhooks. It is safe for concurrent
// use.
type Service struct {
	database  *db.DB
	clock     func() time.Time
	newID     func() uuid.UUID
	audit     Audit
	callers   Callers
	logger    logrus.FieldLogger
	types     []outbox.Type
	retention time.Duration
	open      bool // webhooks may go to addresses that are not public
	limits    Limits
	tuning    Tuning
	store     store
	client    *http.Client
	secrets   encryption.Sealer // of webhooks
	tests     testSlots

	outbox     chan struct{} // signals a publication to the relay
	due        chan struct{} // signals due deliveries to the dispatcher
	dispatcher *dispatcher
	streams    hub
	pace       pace          // of the relay
	readers    chan struct{} // limits concurrent reads of streams
}

// Dependencies are the dependencies of the service.
type Dependencies struct {
	Database  *db.DB
	Clock     func() time.Time
	NewID     func() uuid.UUID
	Audit     Audit
	Callers   Callers
	Logger    logrus.FieldLogger
	Types     []outbox.Type // all event types of the modules
	Retention time.Duration // how long events are kept for reconnecting readers
	// Secrets encrypt the secrets of webhooks. The first is in use, the others are former ones.
	Secrets [][]byte
	// AnyAddress allows webhooks with http:// and private addresses, for development.
	AnyAddress bool
	Limits     Limits
	Tuning     Tuning
}

// Limits are the limits of webhooks.
type Limits struct {
	Webhooks             int // of one organization
	Slots                int // webhooks that an instance sends to at the same time
	SlotsPerOrganization int // … of one organization
}

// Tuning holds the intervals of this module. Zero values are replaced by defaults; tests use
// shorter ones.
type Tuning struct {
	Heartbeat time.Duration // interval of heartbeats on an idle stream
	Patience  time.Duration // limit for a reader to accept a write
}

// Defaults of [Tuning].
const (
	defaultHeartbeat = 15 * time.Second
	defaultPatience  = 5 * time.Second
)

// maxReaders limits concurrent reads of this instance's streams, so that streams do not use up
// the connections of requests.
const maxReaders = 4

// New returns the service.
func New(d Dependencies) *Service {
	t := d.Tuning
	for _, each := range []struct {
		value    *time.Duration
		standard time.Duration
	}{{&t.Heartbeat, defaultHeartbeat}, {&t.Patience, defaultPatience}} {
		if *each.value == 0 {
			*each.value = each.standard
		}
	}
	s := &Service{
		database:  d.Database,
		clock:     d.Clock,
		newID:     d.NewID,
		audit:     d.Audit,
		callers:   d.Callers,
		logger:    d.Logger,
		types:     d.Types,
		retention: d.Retention,
		open:      d.AnyAddress,
		limits:    d.Limits,
		tuning:    t,
		client:    safehttp.NewClient(attemptTimeout, d.AnyAddress),
		secrets:   encryption.New("secrets of webhooks", d.Secrets...),
		tests:     testSlots{total: sharesOf(d.Limits).tests, busy: map[uuid.UUID]bool{}},
		outbox:    make(chan struct{}, 1),
		due:       make(chan struct{}, 1),
		readers:   make(chan struct{}, maxReaders),
	}
	s.dispatcher = &dispatcher{
		slots:  newSlots(sharesOf(d.Limits)),
		due:    s.dueWebhooks,
		serve:  s.serve,
		wake:   s.due,
		logger: s.logger,
	}
	return s
}

// now returns the time with the precision of the database: whole microseconds.
func (s *Service) now() time.Time { return s.clock().UTC().Truncate(time.Microsecond) }

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
	if err := db.AfterCommit(ctx, func(context.Context) { signal(s.outbox) }); err != nil {
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
func (s *Service) Listen(ctx context.Context) { s.database.Listen(ctx, channel, (*listener)(s)) }
