package app

import (
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"omnirapeutic/modules/audit"
	"omnirapeutic/modules/authorization"
)

// ledgerMetrics export the findings of the last verification of each organization's unit
// ledger. They are absent before the first one, because 0 would mean that no problem
// was found.
type ledgerMetrics struct {
	problems  *prometheus.GaugeVec
	checkedAt *prometheus.GaugeVec
	trail     *prometheus.GaugeVec
	took      *prometheus.HistogramVec
}

func newLedgerMetrics(registry prometheus.Registerer) *ledgerMetrics {
	labels := []string{"organization_id"}
	m := &ledgerMetrics{
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

func (m *ledgerMetrics) verified(organization uuid.UUID, r authorization.Report) {
	if organization == uuid.Nil {
		return // a verification of all organizations is a command, which ends before a scrape
	}
	m.problems.WithLabelValues(organization.String()).Set(float64(r.ProblemCount))
	m.checkedAt.WithLabelValues(organization.String()).Set(float64(r.CheckedAt.Unix()))
}

func (m *ledgerMetrics) trailVerified(organization uuid.UUID, r audit.Findings) {
	if organization != uuid.Nil {
		m.trail.WithLabelValues(organization.String()).Set(float64(r.ProblemCount))
	}
}

// ended counts a verification of this instance.
func (m *ledgerMetrics) ended(outcome string, took time.Duration) {
	m.took.WithLabelValues(outcome).Observe(took.Seconds())
}

// watchQueue exports the number of audit events that wait on this instance's disk.
func watchQueue(registry prometheus.Registerer, kept *audit.Service) {
	registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "omnirapeutic_audit_queued",
		Help: "Audit events that this process has queued on disk, because the database does not accept them.",
	}, func() float64 { return float64(kept.Queued()) }))
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

// httpMetrics count requests. Labels are route patterns, never values.
type httpMetrics struct {
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
	inFlight prometheus.Gauge
}

// newHTTPMetrics returns an error if the registry already has the metrics.
func newHTTPMetrics(registry prometheus.Registerer) (*httpMetrics, error) {
	m := &httpMetrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "omnirapeutic_http_requests_total", Help: "Answered requests.",
		}, []string{"method", "route", "status"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "omnirapeutic_http_request_duration_seconds", Help: "Time from the request to the answer, in seconds.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}, []string{"method", "route"}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "omnirapeutic_http_requests_in_flight", Help: "Requests in progress.",
		}),
	}
	for _, c := range []prometheus.Collector{m.requests, m.duration, m.inFlight} {
		if err := registry.Register(c); err != nil {
			return nil, fmt.Errorf("register HTTP metrics: %w", err)
		}
	}
	return m, nil
}
