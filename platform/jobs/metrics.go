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
	last    lastRun
}

// lastRun describes the last run of each job.
type lastRun struct{ interval, at, took, succeeded *prometheus.GaugeVec }

func newLastRun() lastRun {
	gauge := func(name, help string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, []string{"job"})
	}
	return lastRun{
		interval: gauge("omnirapeutic_job_interval_seconds", "Interval between the starts of a periodic job."),
		at: gauge("omnirapeutic_job_last_run_timestamp_seconds",
			"When a periodic job last ended on this instance, in seconds since 1970. Take the maximum of all instances."),
		took: gauge("omnirapeutic_job_last_run_seconds", "Duration of the last run of a periodic job on this instance."),
		succeeded: gauge("omnirapeutic_job_last_run_succeeded",
			"1 if the last run of a periodic job on this instance succeeded, 0 if it failed."),
	}
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
		last: newLastRun(),
	}
	registry.MustRegister(m.seconds, m.rows, m.success, m.last.interval, m.last.at, m.last.took, m.last.succeeded)
	return m
}

func (m metrics) ran(job string, rows int64, took time.Duration, err error) {
	outcome := "done"
	if err != nil {
		outcome = "failed"
	}
	m.seconds.WithLabelValues(job, outcome).Observe(took.Seconds())
	m.rows.WithLabelValues(job).Add(float64(rows))
	m.last.at.WithLabelValues(job).SetToCurrentTime()
	m.last.took.WithLabelValues(job).Set(took.Seconds())
	m.last.succeeded.WithLabelValues(job).Set(0)
	if err == nil {
		m.last.succeeded.WithLabelValues(job).Set(1)
		m.success.WithLabelValues(job).SetToCurrentTime()
	}
}
