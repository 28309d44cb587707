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

// bookMetrics tell what the last verification of each organization's unit ledger
// found. Before there was one they tell nothing: 0 would say that all is well.
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
			Help: "Disagreements in an organization's unit ledger that the last verification by this process found.",
		}, labels),
		checkedAt: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "omnirapeutic_verify_timestamp_seconds",
			Help: "When an organization's unit ledger was last verified by this process, in seconds since 1970.",
		}, labels),
		trail: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "omnirapeutic_verify_audit_problems",
			Help: "What was wrong with an organization's audit trail when this process verified it last.",
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
		return // of all at once: a command, which ends before anybody could read its metrics
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
		Name: "omnirapeutic_verifications_running", Help: "Verifications that this instance is running.",
	}, func() float64 { return float64(runs.Running()) }))
}

// backlogTimeout is how long a scrape waits to know what is not sealed yet.
const backlogTimeout = 2 * time.Second

// watchTrail has the metrics tell what of the audit trail has no seal yet. It is
// asked when they are read; not a number says that the database gave no answer.
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
			Name: "omnirapeutic_audit_unsealed", Help: "Events of the audit trail that wait for their seal.",
		}, ask(func(b audit.Backlog) float64 { return float64(b.Waiting) })),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "omnirapeutic_audit_queued",
			Help: "Audit events that this process has queued on disk, because the database does not accept them.",
		}, func() float64 { return float64(kept.Queued()) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "omnirapeutic_audit_oldest_unsealed_seconds", Help: "How long the oldest of them has waited.",
		}, ask(func(b audit.Backlog) float64 { return b.Oldest.Seconds() })),
	)
}

// watchExpiry has the metrics tell when the certificate ends, where there is one.
func (a *App) watchExpiry(l *Listeners) error {
	if l.certificate == nil {
		return nil
	}
	return a.registry.Register(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "omnirapeutic_tls_certificate_expiry_timestamp_seconds", Help: "When the certificate that new connections get ends, in seconds since 1970.",
	}, l.certificate.expires))
}
