package db

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// standbyMetrics count the reads that a standby could answer.
type standbyMetrics struct {
	reads  *prometheus.CounterVec
	usable prometheus.Gauge
	lag    prometheus.Gauge
}

func newStandbyMetrics() *standbyMetrics {
	return &standbyMetrics{
		reads: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "omnirapeutic_eventual_reads_total",
			Help: "Transactions of reads with consistency=eventual, by the server that answered (standby, primary) and the " +
				"reason why it was the primary.",
		}, []string{"server", "reason"}),
		usable: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "omnirapeutic_standby_usable", Help: "1 if the standby for reads can be used, else 0.",
		}),
		lag: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "omnirapeutic_standby_lag_seconds",
			Help: "Upper bound of the age of the state that the standby for reads shows, when it was last known.",
		}),
	}
}

func (m *standbyMetrics) answered() { m.reads.WithLabelValues("standby", "").Inc() }
func (m *standbyMetrics) fellBack(r FallbackReason) {
	m.reads.WithLabelValues("primary", string(r)).Inc()
}
func (m *standbyMetrics) setLag(lag time.Duration) { m.lag.Set(lag.Seconds()) }

func (m *standbyMetrics) setUsable(usable bool) {
	m.usable.Set(0)
	if usable {
		m.usable.Set(1)
	}
}

// Describe implements prometheus.Collector.
func (m *standbyMetrics) Describe(to chan<- *prometheus.Desc) { prometheus.DescribeByCollect(m, to) }

// Collect implements prometheus.Collector.
func (m *standbyMetrics) Collect(to chan<- prometheus.Metric) {
	m.reads.Collect(to)
	m.usable.Collect(to)
	m.lag.Collect(to)
}

// StandbyMetrics returns the metrics of reads from the standby, or nil if there is none.
func (d *DB) StandbyMetrics() prometheus.Collector {
	if d.standby == nil {
		return nil
	}
	return d.standby.counters
}
