package app

import (
	"github.com/prometheus/client_golang/prometheus"

	"omnirapeutic/modules/authorization"
)

// bookMetrics tell what the last verification of the unit ledger found.
type bookMetrics struct {
	problems  prometheus.Gauge
	checkedAt prometheus.Gauge
}

func newBookMetrics(registry prometheus.Registerer) *bookMetrics {
	m := &bookMetrics{
		problems: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "omnirapeutic_verify_problems",
			Help: "Disagreements in the unit ledger that the last verification found.",
		}),
		checkedAt: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "omnirapeutic_verify_timestamp_seconds",
			Help: "When the unit ledger was last verified, in seconds since 1970.",
		}),
	}
	registry.MustRegister(m.problems, m.checkedAt)
	return m
}

func (m *bookMetrics) verified(r authorization.Report) {
	m.problems.Set(float64(r.ProblemCount))
	m.checkedAt.Set(float64(r.CheckedAt.Unix()))
}
