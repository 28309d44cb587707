package jobs

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the same for every job.
type metrics struct {
	seconds *prometheus.HistogramVec
	rows    *prometheus.CounterVec
	success *prometheus.GaugeVec
}

func newMetrics(registry prometheus.Registerer) metrics {
	m := metrics{
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "omnirapeutic_job_seconds", Help: "Duration of periodic jobs on this instance, by outcome (done, failed).",
			Buckets: []float64{.01, .1, 1, 10, 60, 600},
		}, []string{"job", "outcome"}),
		rows: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "omnirapeutic_job_rows_total",
			Help: "Rows, messages or holds that periodic jobs on this instance have processed.",
		}, []string{"job"}),
		success: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "omnirapeutic_job_last_success_timestamp_seconds",
			Help: "When a periodic job last succeeded on this instance, in seconds since 1970. Take the maximum of all " +
				"instances.",
		}, []string{"job"}),
	}
	registry.MustRegister(m.seconds, m.rows, m.success)
	return m
}

func (m metrics) ran(job string, rows int64, took time.Duration, err error) {
	outcome := "done"
	if err != nil {
		outcome = "failed"
	}
	m.seconds.WithLabelValues(job, outcome).Observe(took.Seconds())
	m.rows.WithLabelValues(job).Add(float64(rows))
	if err == nil {
		m.success.WithLabelValues(job).SetToCurrentTime()
	}
}
