package app

import (
	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"omnirapeutic/modules/authorization"
)

// bookMetrics tell what the last verification of each organization's unit ledger
// found. Before there was one they tell nothing: 0 would say that all is well.
type bookMetrics struct {
	problems  *prometheus.GaugeVec
	checkedAt *prometheus.GaugeVec
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
	}
	registry.MustRegister(m.problems, m.checkedAt)
	return m
}

func (m *bookMetrics) verified(organization uuid.UUID, r authorization.Report) {
	if organization == uuid.Nil {
		return // of all at once: a command, which ends before anybody could read its metrics
	}
	m.problems.WithLabelValues(organization.String()).Set(float64(r.ProblemCount))
	m.checkedAt.WithLabelValues(organization.String()).Set(float64(r.CheckedAt.Unix()))
}
