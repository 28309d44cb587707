package db

import (
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
)

var (
	descPoolConnections = prometheus.NewDesc("omnirapeutic_pool_connections",
		"Connections of this instance to the database, by state (in-use, idle, opening).", []string{"state"}, nil)
	descPoolMax = prometheus.NewDesc("omnirapeutic_pool_connections_max",
		"Maximum number of connections of this instance.", nil, nil)
	descPoolWaiting = prometheus.NewDesc("omnirapeutic_pool_waiting",
		"Transactions that wait for a connection now.", nil, nil)
	descPoolWaits = prometheus.NewDesc("omnirapeutic_pool_waits_total",
		"Connections that were not available at once.", nil, nil)
	descPoolWaited = prometheus.NewDesc("omnirapeutic_pool_wait_seconds_total",
		"Time that transactions have waited for a connection.", nil, nil)
	descPoolAbandoned = prometheus.NewDesc("omnirapeutic_pool_abandoned_waits_total",
		"Waits for a connection that ended with their request.", nil, nil)
)

// poolMetrics export the use of the connection pool.
type poolMetrics struct {
	pool   *pgxpool.Pool
	health *health
}

// PoolMetrics returns the metrics of the connection pool. It reads counters that the pool keeps anyway.
func (d *DB) PoolMetrics() prometheus.Collector { return poolMetrics{d.pool, d.metrics.health} }

// Describe implements prometheus.Collector.
func (poolMetrics) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		descPoolConnections, descPoolMax, descPoolWaiting, descPoolWaits, descPoolWaited, descPoolAbandoned,
	} {
		to <- d
	}
}

// Collect implements prometheus.Collector.
func (m poolMetrics) Collect(to chan<- prometheus.Metric) {
	s := m.pool.Stat()
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	gauge(descPoolConnections, float64(s.AcquiredConns()), "in-use")
	gauge(descPoolConnections, float64(s.IdleConns()), "idle")
	gauge(descPoolConnections, float64(s.ConstructingConns()), "opening")
	gauge(descPoolMax, float64(s.MaxConns()))
	gauge(descPoolWaiting, float64(m.health.acquiring.Load()))
	for d, value := range map[*prometheus.Desc]float64{
		descPoolWaits:     float64(s.EmptyAcquireCount()),
		descPoolWaited:    s.EmptyAcquireWaitTime().Seconds(),
		descPoolAbandoned: float64(s.CanceledAcquireCount()),
	} {
		to <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, value)
	}
}
