package command

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics measures batches. It is safe for concurrent use.
type Metrics struct{ size, wait, duration *prometheus.HistogramVec }

// NewMetrics returns metrics of no batch.
func NewMetrics() *Metrics {
	histogram := func(name, help string, buckets []float64) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets},
			[]string{"queue"})
	}
	seconds := prometheus.ExponentialBuckets(0.0005, 2, 15) // to 8 s
	return &Metrics{
		size: histogram("omnirapeutic_batch_requests",
			"Number of requests per transaction.", prometheus.ExponentialBuckets(1, 2, 10)), // to 512
		wait: histogram("omnirapeutic_batch_wait_seconds",
			"Time that requests waited for their transaction, in seconds.", seconds),
		duration: histogram("omnirapeutic_batch_seconds",
			"Duration of a batch, from taking a connection to COMMIT, including retries, in seconds.", seconds),
	}
}

// Describe implements prometheus.Collector.
func (m *Metrics) Describe(to chan<- *prometheus.Desc) {
	for _, h := range m.all() {
		h.Describe(to)
	}
}

// Collect implements prometheus.Collector.
func (m *Metrics) Collect(to chan<- prometheus.Metric) {
	for _, h := range m.all() {
		h.Collect(to)
	}
}

func (m *Metrics) all() []*prometheus.HistogramVec {
	return []*prometheus.HistogramVec{m.size, m.wait, m.duration}
}

// batch records a batch: the times that its requests waited, and its duration.
func (m *Metrics) batch(name string, waits []time.Duration, took time.Duration) {
	m.size.WithLabelValues(name).Observe(float64(len(waits)))
	m.duration.WithLabelValues(name).Observe(took.Seconds())
	wait := m.wait.WithLabelValues(name)
	for _, w := range waits {
		wait.Observe(w.Seconds())
	}
}
