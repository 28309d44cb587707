package app

import (
	"context"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"omnirapeutic/modules/audit"
	"omnirapeutic/modules/events"
	"omnirapeutic/modules/mailing"
	"omnirapeutic/modules/verification"
	"omnirapeutic/platform/db"
)

const (
	// factsTimeout is how long a scrape waits for the database.
	factsTimeout = 2 * time.Second
	// factsLifetime is how long scrapes share the facts, so that several collectors cost no more than one.
	factsLifetime = 10 * time.Second
	// overviewLifetime is the lifetime of facts that take a row of an index for each organization.
	overviewLifetime = 5 * time.Minute
)

// databaseFacts are the facts that a scrape reads from the database: a few bounded statements for all
// organizations together.
type databaseFacts struct {
	Server db.ServerFacts
	Events events.Backlog
	Audit  audit.Backlog
	Mail   mailing.Backlog
	// PartitionsEnd is the end of the last month with partitions of the audit trail; nil: there are none.
	PartitionsEnd *time.Time
	Answers       bool // the database has answered all questions
}

// databaseMetrics export facts about the database. Facts that are unknown have no series. Safe for
// concurrent use.
type databaseMetrics struct {
	read     func(ctx context.Context) (databaseFacts, error)
	overview func(ctx context.Context) (verification.Overview, error)

	mu         sync.Mutex
	facts      databaseFacts
	readAt     time.Time
	verified   *verification.Overview // nil: unknown
	verifiedAt time.Time
}

func newDatabaseMetrics(a *App) *databaseMetrics {
	return &databaseMetrics{
		read: func(ctx context.Context) (f databaseFacts, err error) {
			if f.Server, err = a.database.ServerFacts(ctx); err == nil {
				f.Events, err = a.Events.Backlog(ctx)
			}
			if err == nil {
				f.Audit, err = a.Audit.Backlog(ctx)
			}
			if err == nil {
				f.PartitionsEnd, err = a.Audit.PartitionsEnd(ctx)
			}
			if err == nil {
				f.Mail, err = a.Mail.Backlog(ctx)
			}
			return f, err
		},
		overview: a.Verifications.Overview,
	}
}

// current returns the facts, which are read again when they are too old.
func (m *databaseMetrics) current() (databaseFacts, *verification.Overview) {
	m.mu.Lock()
	defer m.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), factsTimeout)
	defer cancel()
	if time.Since(m.readAt) > factsLifetime {
		facts, err := m.read(ctx)
		facts.Answers = err == nil
		m.facts, m.readAt = facts, time.Now()
	}
	if time.Since(m.verifiedAt) > overviewLifetime && m.facts.Answers {
		m.verified, m.verifiedAt = nil, time.Now()
		if verified, err := m.overview(ctx); err == nil {
			m.verified = &verified
		}
	}
	return m.facts, m.verified
}

func newDesc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("omnirapeutic_"+name, help, labels, nil)
}

var (
	descUp       = newDesc("database_up", "1 if the database has answered the last scrape within two seconds, else 0.")
	descReadOnly = newDesc("database_read_only", "1 if the database accepts no changes, else 0.")
	descSchema   = newDesc("schema_version", "Version of the database's schema: the last migration.")
	descStandbys = newDesc("replication_standbys", "Standbys that stream from the database.")
	descLag      = newDesc("replication_lag_seconds",
		"Largest replication lag of a standby, or of the database if it is a standby. Needs the role pg_monitor.")
	descArchived = newDesc("wal_archived_timestamp_seconds",
		"When the database last archived a file of its write-ahead log, in seconds since 1970.")
	descArchiveFailures = newDesc("wal_archive_failures_total",
		"Failed attempts of the database to archive its write-ahead log.")
	descBackupRun = newDesc("backup_last_run_timestamp_seconds",
		"When omnirapeutic backup last ended, in seconds since 1970.")
	descBackupSuccess = newDesc("backup_last_success_timestamp_seconds",
		"When omnirapeutic backup last succeeded, in seconds since 1970.")
	descOutbox     = newDesc("outbox_events", "Events that wait in the outbox, at most 10,000.")
	descOutboxAge  = newDesc("outbox_oldest_seconds", "Age of the oldest event in the outbox, in seconds.")
	descDeliveries = newDesc("webhook_deliveries_pending",
		"Deliveries to webhooks that have not succeeded yet, at most 10,000.")
	descMail        = newDesc("mails_queued", "Mails that wait, at most 10,000 are counted.")
	descMailAge     = newDesc("mail_oldest_seconds", "Age of the oldest mail that waits, in seconds.")
	descUnsealed    = newDesc("audit_unsealed", "Audit events without a seal.")
	descUnsealedAge = newDesc("audit_oldest_unsealed_seconds", "Age of the oldest audit event without a seal, in seconds.")
	descPartitions  = newDesc("partitions_end_timestamp_seconds",
		"End of the last month with partitions of the audit trail, in seconds since 1970.")
	descVerified = newDesc("verified_organizations",
		"Organizations with a verification without a problem, at most 10,000.")
	descVerifiedAt = newDesc("verification_oldest_success_timestamp_seconds",
		"Time of the last verification without a problem, of the organization for which it is longest ago.")
)

// Describe implements prometheus.Collector.
func (m *databaseMetrics) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		descUp, descReadOnly, descSchema, descStandbys, descLag, descArchived, descArchiveFailures, descBackupRun,
		descBackupSuccess, descOutbox, descOutboxAge, descDeliveries, descMail, descMailAge, descUnsealed,
		descUnsealedAge, descPartitions, descVerified, descVerifiedAt,
	} {
		to <- d
	}
}

// Collect implements prometheus.Collector.
func (m *databaseMetrics) Collect(to chan<- prometheus.Metric) {
	facts, verified := m.current()
	gauge := func(d *prometheus.Desc, value float64) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value)
	}
	gauge(descUp, oneIf(facts.Answers))
	if verified != nil {
		gauge(descVerified, float64(verified.Organizations))
		if verified.Oldest != nil {
			gauge(descVerifiedAt, float64(verified.Oldest.Unix()))
		}
	}
	if !facts.Answers {
		return
	}
	gauge(descReadOnly, oneIf(facts.Server.ReadOnly))
	gauge(descSchema, float64(facts.Server.SchemaVersion))
	gauge(descOutbox, float64(facts.Events.Outbox))
	gauge(descOutboxAge, facts.Events.Oldest.Seconds())
	gauge(descDeliveries, float64(facts.Events.Deliveries))
	gauge(descMail, float64(facts.Mail.Queued))
	gauge(descMailAge, facts.Mail.Oldest.Seconds())
	gauge(descUnsealed, float64(facts.Audit.Waiting))
	gauge(descUnsealedAge, facts.Audit.Oldest.Seconds())
	if end := facts.PartitionsEnd; end != nil {
		gauge(descPartitions, float64(end.Unix()))
	}
	if n := facts.Server.Standbys; n != nil {
		gauge(descStandbys, float64(*n))
	}
	if lag := facts.Server.ReplicationLag; lag != nil {
		gauge(descLag, lag.Seconds())
	}
	if at := facts.Server.WALArchivedAt; at != nil {
		gauge(descArchived, float64(at.Unix()))
	}
	if at := facts.Server.Backup.RunAt; at != nil {
		gauge(descBackupRun, float64(at.Unix()))
	}
	if at := facts.Server.Backup.SucceededAt; at != nil {
		gauge(descBackupSuccess, float64(at.Unix()))
	}
	if n := facts.Server.WALArchiveFailures; n != nil {
		to <- prometheus.MustNewConstMetric(descArchiveFailures, prometheus.CounterValue, float64(*n))
	}
}

func oneIf(is bool) float64 {
	if is {
		return 1
	}
	return 0
}
