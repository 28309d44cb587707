// Package app wires all modules: it builds them, passes each the interfaces it needs,
// mounts their routes, turns errors into problem documents, and starts and stops the
// program.
package app

import (
	"cmp"
	"context"
	"crypto/x509"
	"maps"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/sirupsen/logrus"

	"omnirapeutic/config"
	"omnirapeutic/modules/appointments"
	"omnirapeutic/modules/audit"
	"omnirapeutic/modules/authorization"
	"omnirapeutic/modules/billing"
	"omnirapeutic/modules/directory"
	"omnirapeutic/modules/emergency"
	"omnirapeutic/modules/events"
	"omnirapeutic/modules/mailing"
	"omnirapeutic/modules/rbac/access"
	"omnirapeutic/modules/rbac/oidc"
	"omnirapeutic/modules/rbac/revocation"
	"omnirapeutic/modules/rbac/user"
	"omnirapeutic/modules/verification"
	"omnirapeutic/platform/command"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/httpx"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/jobs"
	"omnirapeutic/platform/outbox"
	"omnirapeutic/platform/reference"
	"omnirapeutic/platform/tracing"
)

// Dependencies are the dependencies of an [App].
type Dependencies struct {
	Config   config.Config
	Database *db.DB
	Logger   logrus.FieldLogger
	Clock    func() time.Time
	NewID    func() uuid.UUID
	// Tracer begins the traces of requests and background work. It may be nil.
	Tracer *tracing.Tracer
	// Ready returns an error if the program cannot serve for a reason other than the
	// database. It is for readiness probes and may be nil.
	Ready func(ctx context.Context) error
	// Events are the timings of live events. The zero value has the defaults; tests
	// change them.
	Events events.Tuning
	// EventPoll is the interval of the relay and the webhooks without a signal. Zero means one
	// second. Tests shorten it.
	EventPoll time.Duration
	// VerifyWait is how long a request waits for its verification before the answer is 202. Zero
	// means two seconds.
	VerifyWait time.Duration
	// ExampleWait is how long a request for the API's document waits for examples of the demo practice.
	// Zero means two seconds; tests on busy machines need more.
	ExampleWait time.Duration
	// MailRoots are the certificate authorities that the mail server's certificate needs; nil: the
	// machine's. Tests set it.
	MailRoots *x509.CertPool
	// QuickPasswords hashes passwords with minimal work. For tests only.
	QuickPasswords bool
	// FailureHold is the delay of refusals after too many failures from one source. Zero means
	// three seconds. Tests shorten it.
	FailureHold time.Duration
}

// App is the assembled program, before it listens.
type App struct {
	Commands       *command.Engine
	Directory      *directory.Service
	Access         *access.Access
	Authorizations *authorization.Service
	Appointments   *appointments.Service
	// AppointmentsAt returns the service with another current time, for demo histories.
	AppointmentsAt func(at time.Time) *appointments.Service
	Billing        *billing.Service
	// BillingAt returns the service with another current time, for demo histories.
	BillingAt     func(at time.Time) *billing.Service
	Audit         *audit.Service
	Events        *events.Service
	Mail          *mailing.Service
	Emergency     *emergency.Service
	Verifications *verification.Service

	ledgerMetrics *ledgerMetrics
	clock         func() time.Time
	served        contractCache
	config        config.Config                 // at the start
	running       atomic.Pointer[config.Config] // with the reloaded values
	failures      *failureLimit
	database      *db.DB
	jobs          *jobs.Scheduler
	logger        logrus.FieldLogger
	registry      *prometheus.Registry
	server        *Server
	routes        []httpx.Route
	eventPoll     time.Duration
	// verifyWait is how long a request waits for its verification.
	verifyWait time.Duration
	// exampleWait is how long a request for the document waits for its examples.
	exampleWait time.Duration
}

// New builds the modules and mounts their routes. Its error names a route that cannot
// be mounted.
func New(d Dependencies) (*App, error) {
	d.Database = d.Database.WithLinks(user.Links())
	batches := command.NewMetrics()
	registry := newRegistry(d.Database, batches)
	secrets := d.Config.KeySecrets()
	a := &App{
		ledgerMetrics: newLedgerMetrics(registry),
		clock:         d.Clock,
		config:        d.Config,
		database:      d.Database,
		logger:        d.Logger,
		registry:      registry,
		failures:      newFailureLimit(d.Clock, d.Config.HTTP.FailureRate, d.FailureHold),
		eventPoll:     cmp.Or(d.EventPoll, time.Second),
		verifyWait:    cmp.Or(d.VerifyWait, defaultVerifyWait),
		exampleWait:   cmp.Or(d.ExampleWait, defaultExampleWait),
	}
	a.running.Store(&d.Config)
	if err := a.newRecords(d, secrets, batches); err != nil {
		return nil, err
	}
	a.newEvents(d, secrets)
	a.newBookings(d, batches)
	a.registerGauges()

	a.jobs = jobs.New(d.Database, d.NewID(), d.Logger, d.Tracer, registry, a.BackgroundJobs()...)
	for _, module := range [][]httpx.Route{
		a.Directory.Routes(), a.Access.Routes(), a.Authorizations.Routes(), a.Appointments.Routes(),
		a.Billing.Routes(), a.Events.Routes(), a.Mail.Routes(), a.Audit.Routes(), a.Emergency.Routes(), a.adminRoutes(),
	} {
		a.routes = append(a.routes, module...)
	}
	a.Access.PermissionSets.SupportedScopes(scopesOf(a.routes))
	server, err := NewServer(ServerOptions{
		Routes:       a.routes,
		Authenticate: a.Access.Authenticate,
		UntilRevoked: a.Access.Revocations.ContextUntilRevoked,
		Emergency:    a.Emergency,
		Ready:        a.ready(d.Ready),
		Registry:     registry,
		Tracer:       d.Tracer,
		Trail:        a.Audit,
		Commands:     a.Commands,
		Cursors:      httpx.NewCursorKey(secrets.Cursors...),
		Logger:       d.Logger,
		HTTP:         d.Config.HTTP,
		Clock:        d.Clock,
		References:   reference.Resolver(d.Database, a.References()),
		Document:     a.document,
		DemoSignIns:  a.offeredSignIns(d.Config.Profile),
	})
	a.server = server
	return a, err
}

// newRegistry returns a registry with the metrics of the process, the database and the batches.
func newRegistry(database *db.DB, batches *command.Metrics) *prometheus.Registry {
	registry := prometheus.NewRegistry()
	registry.MustRegister(
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		database.Metrics(), database.PoolMetrics(), batches,
	)
	registerBuild(registry)
	if standby := database.StandbyMetrics(); standby != nil {
		registry.MustRegister(standby)
	}
	return registry
}

// newRecords builds the audit trail, the directory, mail and access control. Its error is the mail
// sender's.
func (a *App) newRecords(d Dependencies, secrets config.KeySecrets, batches *command.Metrics) error {
	var queue *audit.DiskQueue
	if d.Config.AuditSpool != "" {
		queue = audit.NewDiskQueue(d.Config.AuditSpool)
	}
	a.Audit = audit.New(audit.Dependencies{
		Database:  d.Database,
		Clock:     d.Clock,
		Logger:    d.Logger,
		Metrics:   batches,
		DiskQueue: queue,
		Observe:   newTrailMetrics(a.registry).observe,
		SIEM:      siemOf(d.Config.SIEM),
		Alerts: audit.AlertLimits{
			Patients: d.Config.Alerts.Patients, Denials: d.Config.Alerts.Denials, Emergency: emergency.EventTaken,
		},
		Anchors: anchorsOf(d.Config.Anchors, secrets.Anchors),
	})
	watchQueue(a.registry, a.Audit)
	revocations := revocation.New(d.Database, d.Clock, d.Logger)
	a.Directory = directory.New(d.Database, a.Audit, revocations, d.Clock, d.NewID)
	if err := a.newMail(d, secrets); err != nil {
		return err
	}
	a.Access = access.New(access.Dependencies{
		Database:       d.Database,
		Audit:          a.Audit,
		Mail:           a.Mail,
		Events:         publisher{a},
		Clock:          d.Clock,
		NewID:          d.NewID,
		Logger:         d.Logger,
		Directory:      accessDirectory{a.Directory},
		Revocations:    revocations,
		PublicURL:      d.Config.HTTP.PublicURL,
		FrontendURL:    d.Config.HTTP.FrontendURL,
		AnyAddress:     d.Config.Profile != config.Production,
		Secret:         secrets.Tokens[0],
		Former:         secrets.Tokens[1:],
		Lifetime:       d.Config.Token.Lifetime,
		Encryption:     secrets.Encryption,
		Devices:        secrets.Devices,
		Throttle:       secrets.Throttle,
		Idle:           d.Config.Token.SignInIdle,
		Longest:        d.Config.Token.SignInLifetime,
		Invitations:    d.Config.InvitationLifetime,
		PasswordResets: d.Config.PasswordResetLifetime,
		UsualKey:       d.Config.APIKeyLifetime,
		LongestKey:     d.Config.APIKeyMaxLifetime,
		Quick:          d.QuickPasswords,
		Failures:       a.failures,
	})
	return nil
}

// newEvents builds the modules that depend on events.
func (a *App) newEvents(d Dependencies, secrets config.KeySecrets) {
	a.Events = events.New(events.Dependencies{
		Database:   d.Database,
		Audit:      a.Audit,
		Callers:    a.Access.Accounts,
		Clock:      d.Clock,
		NewID:      d.NewID,
		Logger:     d.Logger,
		Tracer:     d.Tracer,
		Types:      eventTypes(),
		Retention:  d.Config.EventRetention,
		Secrets:    secrets.Encryption,
		AnyAddress: d.Config.Profile != config.Production,
		Tuning:     d.Events,
		Limits: events.Limits{
			Webhooks:             d.Config.Webhooks.PerOrganization,
			Slots:                d.Config.Webhooks.Slots,
			SlotsPerOrganization: d.Config.Webhooks.SlotsPerOrganization,
		},
	})
	a.Emergency = emergency.New(emergency.Dependencies{
		Database: d.Database,
		Events:   a.Events,
		Audit:    a.Audit,
		Clock:    d.Clock,
		NewID:    d.NewID,
	})
	a.Verifications = verification.New(verification.Dependencies{
		Database: d.Database,
		Check:    a.checkLedger,
		Clock:    d.Clock,
		NewID:    d.NewID,
		Logger:   d.Logger,
		OnEnded:  a.ledgerMetrics.ended,
	})
}

// eventTypes returns the types of events of all modules.
func eventTypes() []outbox.Type {
	return slices.Concat(authorization.EventTypes(), appointments.EventTypes(), emergency.EventTypes(), oidc.EventTypes())
}

// newBookings builds the command engine and the modules that use it: authorizations and
// appointments.
func (a *App) newBookings(d Dependencies, batches *command.Metrics) {
	a.Commands = command.NewEngine(command.Options{
		Database:      d.Database,
		Clock:         d.Clock,
		NewID:         d.NewID,
		Metrics:       batches,
		BatchLimit:    d.Config.Commands.BatchLimit,
		BatchesAtOnce: d.Config.Commands.Batches,
		QueueLimit:    d.Config.Commands.QueueLimit,
		NoLock:        !d.Config.Commands.Lock || d.Database.IsPortable(),
		// Distributed engines keep the rows of a practice together.
		ByOrganization: d.Database.IsPortable(),
	})
	a.Authorizations = authorization.New(authorization.Dependencies{
		Database:     d.Database,
		Engine:       a.Commands,
		Directory:    a.Directory,
		Events:       a.Events,
		Audit:        a.Audit,
		Clock:        d.Clock,
		NewID:        d.NewID,
		Logger:       d.Logger,
		SweeperGrace: 3 * d.Config.SweepInterval,
		OnVerified:   a.ledgerMetrics.verified,
	})
	bookings := appointments.Dependencies{
		Database:       d.Database,
		Engine:         a.Commands,
		Directory:      a.Directory,
		Authorizations: a.Authorizations,
		Events:         a.Events,
		Audit:          a.Audit,
		Callers:        a.Access.Accounts,
		Families:       families{a},
		Clock:          d.Clock,
		NewID:          d.NewID,
	}
	a.Appointments = appointments.New(bookings)
	claims := billing.Dependencies{
		Database:       d.Database,
		Sessions:       a.Appointments,
		Authorizations: a.Authorizations,
		Directory:      a.Directory,
		Audit:          a.Audit,
		Clock:          d.Clock,
		NewID:          d.NewID,
	}
	a.Billing = billing.New(claims)
	a.BillingAt = func(at time.Time) *billing.Service {
		then := claims
		then.Clock = func() time.Time { return at }
		return billing.New(then)
	}
	a.AppointmentsAt = func(at time.Time) *appointments.Service {
		then := bookings
		then.Clock = func() time.Time { return at }
		return appointments.New(then)
	}
}

// registerGauges exports figures that the modules keep in memory.
func (a *App) registerGauges() {
	a.registry.MustRegister(
		newDatabaseMetrics(a), deliveryMetrics(a.Events.DeliveryCounts), mailMetrics(a.Mail.Counts), alertMetrics(a.Audit.Alerts),
		diskMetrics{foldersOf(a.config)},
	)
	for _, g := range []struct {
		name, help string
		value      func() int
	}{
		{"omnirapeutic_event_streams", "Open event streams.", a.Events.Streams},
		{"omnirapeutic_commands_waiting", "Commands waiting for their transaction.", a.Commands.Waiting},
		{"omnirapeutic_verifications_running", "Running verifications on this instance.", a.Verifications.Running},
	} {
		a.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: g.name, Help: g.help},
			func() float64 { return float64(g.value()) }))
	}
}

// scopesOf returns the scopes, other than the organization's, in which permissions can
// be granted: those to which an operation with the permission limits its records, or
// whose fields require it. Permissions that only services check cover the organization.
func scopesOf(routes []httpx.Route) map[identity.Permission]identity.Scope {
	supported := map[identity.Permission]identity.Scope{}
	for _, r := range routes {
		for _, p := range append([]identity.Permission{r.Permission}, r.Endpoint.Needs...) {
			supported[p] |= r.RecordScopes
		}
	}
	return supported
}

// Routes returns every operation of the API.
func (a *App) Routes() []httpx.Route { return a.routes }

// Patterns returns the paths of everything that the program serves, such as /api/v1/patients/:id.
func (a *App) Patterns() []string { return slices.Sorted(maps.Keys(a.server.patterns)) }

// Handler returns the whole API as a handler, for tests and for Serve.
func (a *App) Handler() http.Handler { return a.server.Handler() }

// MetricsHandler returns the handler of metrics and profiles. It is for operators and not
// served on the API's address.
func (a *App) MetricsHandler() http.Handler { return metricsHandler(a.registry, a.logger) }
