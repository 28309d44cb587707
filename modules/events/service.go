package events

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/sirupsen/logrus"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/encryption"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/outbound"
	"omnirapeutic/platform/outbox"
)

// Callers knows the users of organizations.
type Callers interface {
	// Presently returns a user as they would be let in at this moment, read in the
	// transaction of the context. The error is [identity.ErrUnauthenticated] where nobody
	// would be let in.
	Presently(ctx context.Context, organization, user uuid.UUID) (identity.Caller, error)
}

// Service publishes events and brings them to those who listen. It is safe for
// concurrent use.
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

	outbox  chan struct{} // something was published: the relay has work
	due     chan struct{} // some deliveries may be due
	streams hub
	pace    pace          // of the relay
	readers chan struct{} // bounds how many streams read from the database at once
}

// Dependencies are what the service works with.
type Dependencies struct {
	Database  *db.DB
	Clock     func() time.Time
	NewID     func() uuid.UUID
	Audit     Audit
	Callers   Callers
	Logger    logrus.FieldLogger
	Types     []outbox.Type // every type of event that modules publish
	Retention time.Duration // how long events are kept for those who come back
	// Secrets encrypt the secrets of webhooks: the first is in use, the others were.
	Secrets [][]byte
	// AnyAddress lets webhooks go to http:// and to private addresses, as they do in development.
	AnyAddress bool
	Limits     Limits
	Tuning     Tuning
}

// Limits bound the webhooks of organizations.
type Limits struct {
	Webhooks             int // of one organization
	Slots                int // webhooks that an instance sends to at the same time
	SlotsPerOrganization int // … of one organization
}

// Tuning are the times of this module. Zero values stand for good ones; tests
// are in more of a hurry.
type Tuning struct {
	Poll      time.Duration // between looks for what nobody was told of
	Heartbeat time.Duration // between signs of life on a silent stream
	Patience  time.Duration // for a reader to take what is written
}

// Defaults of [Tuning].
const (
	defaultPoll      = time.Second
	defaultHeartbeat = 15 * time.Second
	defaultPatience  = 5 * time.Second
)

// maxReaders is how many streams of this instance read at once: streams must not
// keep requests from getting a connection.
const maxReaders = 4

// New returns the service.
func New(d Dependencies) *Service {
	t := d.Tuning
	for _, each := range []struct {
		value    *time.Duration
		standard time.Duration
	}{{&t.Poll, defaultPoll}, {&t.Heartbeat, defaultHeartbeat}, {&t.Patience, defaultPatience}} {
		if *each.value == 0 {
			*each.value = each.standard
		}
	}
	return &Service{
		database: d.Database, clock: d.Clock, newID: d.NewID, audit: d.Audit, callers: d.Callers, logger: d.Logger, types: d.Types,
		retention: d.Retention, open: d.AnyAddress, limits: d.Limits, tuning: t, client: outbound.NewClient(attemptTimeout, d.AnyAddress),
		secrets: encryption.New("secrets of webhooks", d.Secrets...),
		tests:   testSlots{total: sharesOf(d.Limits).tests, busy: map[uuid.UUID]bool{}},
		outbox:  make(chan struct{}, 1), due: make(chan struct{}, 1), readers: make(chan struct{}, maxReaders),
	}
}

// now is the moment as the database can keep it: in whole microseconds.
func (s *Service) now() time.Time { return s.clock().UTC().Truncate(time.Microsecond) }

// Publish tells, in the transaction of the context, what has happened, in the
// order of the messages; readers who hold their permission are told once, and
// only if, that transaction commits. It needs no caller: each message names its
// organization.
func (s *Service) Publish(ctx context.Context, messages []outbox.Message) error {
	if len(messages) == 0 {
		return nil
	}
	payloads := make([]string, len(messages))
	for i, m := range messages {
		if !slices.Contains(s.types, outbox.Type{Name: m.Type, Permission: m.Permission}) {
			return fmt.Errorf("events: the type %q was not declared, or not with the permission %q", m.Type, m.Permission)
		}
		data, err := json.Marshal(m.Payload)
		if err != nil {
			return fmt.Errorf("events: the payload of %s cannot be written as JSON: %w", m.Type, err)
		}
		payloads[i] = string(data)
	}
	if err := db.AfterCommit(ctx, func(context.Context) { signal(s.outbox) }); err != nil {
		return err
	}
	return s.store.publish(ctx, messages, payloads)
}

// signal tells whoever waits for the channel, now or next, without waiting itself.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default: // they know already
	}
}

// Run does the work of this module that nobody asks for, until the context ends:
// it relays, delivers and listens to other instances. Any number of instances may run at
// once.
func (s *Service) Run(ctx context.Context) {
	var work sync.WaitGroup
	work.Go(func() { s.sealSecrets(ctx) })
	work.Go(func() { s.relay(ctx) })
	work.Go(func() { s.deliver(ctx) })
	work.Go(func() { s.database.Listen(ctx, channel, (*listener)(s)) })
	work.Wait()
}
