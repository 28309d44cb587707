// Package events delivers events about changes: to frontends as server-sent events, to other
// systems as webhooks.
//
// A module publishes events in the transaction of the change ([Service.Publish]), into the
// outbox, so only committed changes have events. A relay in every instance moves them into the
// organization's stream, where each event gets the next position. Readers and webhooks use only
// the stream.
//
// # The order
//
// The relay moves an organization's rows in the order of outbox.sequence, which is assigned when
// a row is written. That order respects causality: a transaction that depends on another one
// began, and so got its number, after the other had committed, and any snapshot with its row
// includes the other's. So an event never precedes its cause. Concurrent transactions may appear
// in either order. A slow transaction may appear after later ones that do not depend on it. It is
// not lost, because the relay deletes the rows that it moves instead of remembering a number.
package events

import (
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/google/uuid"
	"github.com/sirupsen/logrus"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/encryption"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/outbox"
	"omnirapeutic/platform/tracing"
	"omnirapeutic/platform/trail"
)

// Event is one event of an organization's stream.
type Event struct {
	OrganizationID uuid.UUID `json:"-"`
	// The position in the organization's stream, from 1 on. A test event has 0.
	Position   int64               `json:"id"`
	Type       string              `json:"type"`      // The type of the event.
	SubjectID  uuid.UUID           `json:"subjectId"` // The changed record.
	Permission identity.Permission `json:"-"`         // what a reader must hold
	OccurredAt time.Time           `json:"occurredAt"`
	Payload    json.RawMessage     `json:"data"` // The data of the event.
}

// WebhookLimit are the details of [ErrTooManyWebhooks].
type WebhookLimit struct {
	Limit int `json:"limit"` // The maximum number of webhooks of an organization.
}

// The errors of this module. Invalid fields are [fault.ErrInvalid].
var (
	ErrTooManyStreams = fault.Define(fault.TooMany, "too-many-streams", "You have too many event streams open.").
				Advising("Close unused streams, and share one stream among the windows of a browser.")
	ErrTooManyWebhooks = fault.Define(fault.Conflict, "too-many-webhooks",
		"The organization has the maximum number of webhooks.").
		Carrying(WebhookLimit{}).Advising("Delete a webhook that is no longer needed, or ask the operator to raise the " +
		"limit.")
	ErrTooManyWebhookTests = fault.Define(fault.TooMany, "too-many-webhook-tests",
		"Too many webhooks are being tested right now.").
		Advising("Wait for the result of the other test, at most 10 seconds, and try again.")
	ErrWebhookNotFound  = fault.Define(fault.NotFound, "webhook-not-found", "Webhook not found.")
	ErrDeliveryNotFound = fault.Define(fault.NotFound, "delivery-not-found",
		"Delivery not found, or its event is no longer kept.").
		Advising("Reload the deliveries.")
)

// Service publishes events and delivers them to streams and webhooks. It is safe for concurrent
// use.
type Service struct {
	database   *db.DB
	clock      func() time.Time
	newID      func() uuid.UUID
	audit      trail.Recorder
	callers    Callers
	logger     logrus.FieldLogger
	types      []outbox.Type
	retention  time.Duration
	anyAddress bool // webhooks may go to addresses that are not public
	limits     Limits
	tuning     Tuning
	store      store
	client     *http.Client
	secrets    encryption.Sealer // of webhooks
	tests      testSlots
	delivered  deliveryCounters
	tracer     *tracing.Tracer
	causes     *causes

	outbox     chan struct{} // signals a publication to the relay
	due        chan struct{} // signals due deliveries to the dispatcher
	dispatcher *dispatcher
	streams    streamHub
	pace       relayPace     // of the relay
	readers    chan struct{} // limits concurrent reads of streams
}

// Callers provides the users of organizations.
type Callers interface {
	// CurrentCaller returns a user as a caller with their current permissions, read in the transaction of
	// the context. The error is [identity.ErrUnauthenticated] if the user may not sign in.
	CurrentCaller(ctx context.Context, organization, user uuid.UUID) (identity.Caller, error)
}

// Dependencies are the dependencies of the service.
type Dependencies struct {
	Database  *db.DB
	Clock     func() time.Time
	NewID     func() uuid.UUID
	Audit     trail.Recorder
	Callers   Callers
	Logger    logrus.FieldLogger
	Tracer    *tracing.Tracer // begins the traces of deliveries; may be nil
	Types     []outbox.Type   // all event types of the modules
	Retention time.Duration   // how long events are kept for reconnecting readers
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
	t := Tuning{
		Heartbeat: cmp.Or(d.Tuning.Heartbeat, defaultHeartbeat),
		Patience:  cmp.Or(d.Tuning.Patience, defaultPatience),
	}
	s := &Service{
		database:   d.Database,
		clock:      d.Clock,
		newID:      d.NewID,
		audit:      d.Audit,
		callers:    d.Callers,
		logger:     d.Logger,
		types:      d.Types,
		retention:  d.Retention,
		anyAddress: d.AnyAddress,
		limits:     d.Limits,
		tuning:     t,
		client:     newClient(d.AnyAddress),
		tracer:     d.Tracer,
		causes:     newCauses(),
		secrets:    encryption.New("secrets of webhooks", d.Secrets...),
		tests:      testSlots{total: slotLimitsOf(d.Limits).tests, busy: map[uuid.UUID]bool{}},
		outbox:     make(chan struct{}, 1),
		due:        make(chan struct{}, 1),
		readers:    make(chan struct{}, maxReaders),
	}
	s.dispatcher = &dispatcher{
		slots:  newSlots(slotLimitsOf(d.Limits)),
		due:    s.dueWebhooks,
		serve:  s.serveWebhook,
		wake:   s.due,
		logger: s.logger,
	}
	return s
}

// now returns the time with the precision of the database: whole microseconds.
func (s *Service) now() time.Time { return s.clock().UTC().Truncate(time.Microsecond) }
