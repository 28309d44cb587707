package app

import (
	"context"
	"math"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"omnirapeutic/modules/audit"
	"omnirapeutic/modules/authorization"
	"omnirapeutic/modules/verification"
)

// bookMetrics export the findings of the last verification of each organization's unit
// ledger. They are absent before the first one, because 0 would mean that no problem
// was found.
type bookMetrics struct {
	problems  *prometheus.GaugeVec
	checkedAt *prometheus.GaugeVec
	trail     *prometheus.GaugeVec
	took      *prometheus.HistogramVec
}

func newBookMetrics(registry prometheus.Registerer) *bookMetrics {
	labels := []string{"organization_id"}
	m := &bookMetrics{
		problems: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "omnirapeutic_verify_problems",
			Help: "Problems in an organization's unit ledger found by the last verification of this process.",
		}, labels),
		checkedAt: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "omnirapeutic_verify_timestamp_seconds",
			Help: "Time of the last verification of an organization's unit ledger by this process, in seconds since 1970.",
		}, labels),
		trail: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "omnirapeutic_verify_audit_problems",
			Help: "Problems in an organization's audit trail found by the last verification of this process.",
		}, labels),
		took: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "omnirapeutic_verification_seconds",
			Help:    "Duration of verifications on this instance, by outcome (finished, interrupted, error).",
			Buckets: []float64{.1, 1, 10, 60, 600, 3600},
		}, []string{"outcome"}),
	}
	registry.MustRegister(m.problems, m.checkedAt, m.trail, m.took)
	return m
}

func (m *bookMetrics) verified(organization uuid.UUID, r authorization.Report) {
	if organization == uuid.Nil {
		return // a verification of all organizations is a command, which ends before a scrape
	}
	m.problems.WithLabelValues(organization.String()).Set(float64(r.ProblemCount))
	m.checkedAt.WithLabelValues(organization.String()).Set(float64(r.CheckedAt.Unix()))
}

func (m *bookMetrics) trailVerified(organization uuid.UUID, r audit.Findings) {
	if organization != uuid.Nil {
		m.trail.WithLabelValues(organization.String()).Set(float64(r.ProblemCount))
	}
}

// ended counts a verification of this instance.
func (m *bookMetrics) ended(outcome string, took time.Duration) {
	m.took.WithLabelValues(outcome).Observe(took.Seconds())
}

// watchRuns exports the number of verifications that this instance is running.
func (m *bookMetrics) watchRuns(registry prometheus.Registerer, runs *verification.Service) {
	registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "omnirapeutic_verifications_running", Help: "Running verifications on this instance.",
	}, func() float64 { return float64(runs.Running()) }))
}

// backlogTimeout is how long a scrape waits for the number of unsealed events.
const backlogTimeout = 2 * time.Second

// watchTrail exports the number of audit events without a seal. It is read at each
// scrape; NaN means that the database did not answer.
func watchTrail(registry prometheus.Registerer, kept *audit.Service) {
	ask := func(of func(audit.Backlog) float64) func() float64 {
		return func() float64 {
			ctx, cancel := context.WithTimeout(context.Background(), backlogTimeout)
			defer cancel()
			b, err := kept.Backlog(ctx)
			if err != nil {
				return math.NaN()
			}
			return of(b)
		}
	}
	registry.MustRegister(
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "omnirapeutic_audit_unsealed", Help: "Audit events without a seal.",
		}, ask(func(b audit.Backlog) float64 { return float64(b.Waiting) })),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "omnirapeutic_audit_queued",
			Help: "Audit events that this process has queued on disk, because the database does not accept them.",
		}, func() float64 { return float64(kept.Queued()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "omnirapeutic_audit_oldest_unsealed_seconds", Help: "Age of the oldest audit event without a seal, in seconds.",
		}, ask(func(b audit.Backlog) float64 { return b.Oldest.Seconds() })),
	)
}

// watchExpiry exports the expiry of the certificate, if there is one.
func (a *App) watchExpiry(l *Listeners) error {
	if l.certificate == nil {
		return nil
	}
	return a.registry.Register(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "omnirapeutic_tls_certificate_expiry_timestamp_seconds", Help: "Expiry of the certificate for new " +
			"connections, in seconds since 1970.",
	}, l.certificate.expires))
}
