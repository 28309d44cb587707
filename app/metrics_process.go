package app

import (
	"runtime"

	"github.com/prometheus/client_golang/prometheus"

	"omnirapeutic/config"
	"omnirapeutic/modules/audit"
	"omnirapeutic/modules/emergency"
	"omnirapeutic/modules/events"
	"omnirapeutic/modules/mailing"
	"omnirapeutic/platform/datadir"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/trail"
	"omnirapeutic/platform/version"
)

// registerBuild exports the version of the program, and of the schema that it needs.
func registerBuild(registry prometheus.Registerer) {
	build := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "omnirapeutic_build_info", Help: "1. Its labels are the version, the commit and the version of Go.",
	}, []string{"version", "revision", "go_version"})
	build.WithLabelValues(version.Version(), version.Revision(), runtime.Version()).Set(1)
	schema := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "omnirapeutic_schema_version_wanted", Help: "Version of the schema that this program knows.",
	})
	if wanted, err := db.WantedSchemaVersion(); err == nil {
		schema.Set(float64(wanted))
	}
	registry.MustRegister(build, schema)
}

// trailMetrics count recorded audit events that concern security. The labels have no ids.
type trailMetrics struct {
	signIns   *prometheus.CounterVec
	denials   prometheus.Counter
	emergency prometheus.Counter
}

func newTrailMetrics(registry prometheus.Registerer) *trailMetrics {
	m := &trailMetrics{
		signIns: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "omnirapeutic_sign_ins_total", Help: "Sign-ins on this instance, by outcome (done, denied).",
		}, []string{"outcome"}),
		denials: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "omnirapeutic_denials_total",
			Help: "Denied requests on this instance that the audit trail records, without sign-ins.",
		}),
		emergency: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "omnirapeutic_emergency_access_total", Help: "Grants of emergency access taken on this instance.",
		}),
	}
	for _, outcome := range []trail.Outcome{trail.Done, trail.Denied} {
		m.signIns.WithLabelValues(string(outcome)) // so that a rate includes the first one
	}
	registry.MustRegister(m.signIns, m.denials, m.emergency)
	return m
}

// observe counts recorded events.
func (m *trailMetrics) observe(recorded []trail.Event) {
	for _, e := range recorded {
		outcome := trail.Done
		if e.Outcome != "" {
			outcome = e.Outcome
		}
		switch {
		case e.Action == "user.sign-in":
			m.signIns.WithLabelValues(string(outcome)).Inc()
		case outcome == trail.Denied:
			m.denials.Inc()
		case e.Action == emergency.EventTaken:
			m.emergency.Inc()
		}
	}
}

// countMetrics export counts of this instance by one label.
type countMetrics struct {
	desc   *prometheus.Desc
	counts func() map[string]int64 // by the value of the label
}

// Describe implements prometheus.Collector.
func (m countMetrics) Describe(to chan<- *prometheus.Desc) { to <- m.desc }

// Collect implements prometheus.Collector.
func (m countMetrics) Collect(to chan<- prometheus.Metric) {
	for value, n := range m.counts() {
		to <- prometheus.MustNewConstMetric(m.desc, prometheus.CounterValue, float64(n), value)
	}
}

// deliveryMetrics export the attempts to deliver to webhooks.
func deliveryMetrics(counts func() events.DeliveryCounts) countMetrics {
	return countMetrics{newDesc("webhook_deliveries_total",
		"Attempts to deliver to webhooks on this instance, by the resulting state (delivered, retry, dead, withheld).",
		"state"), func() map[string]int64 {
		c := counts()
		return map[string]int64{"delivered": c.Delivered, "retry": c.Retried, "dead": c.Dead, "withheld": c.Withheld}
	}}
}

// mailMetrics export the attempts to send mail.
func mailMetrics(counts func() mailing.Counts) countMetrics {
	return countMetrics{newDesc("mails_total",
		"Attempts to send mail on this instance, by the resulting state (sent, retry, failed, refused, withheld, expired).",
		"state"), func() map[string]int64 {
		c := counts()
		return map[string]int64{
			"sent": c.Sent, "retry": c.Retried, "failed": c.Failed, "refused": c.Refused, "withheld": c.Withheld,
			"expired": c.Expired,
		}
	}}
}

// alertMetrics export the alerts about suspicious access.
func alertMetrics(counts func() map[audit.AlertKind]int64) countMetrics {
	return countMetrics{
		newDesc("access_alerts_total",
			"Alerts about suspicious access on this instance, by kind (mass-read, denials, emergency-access).", "kind"),
		func() map[string]int64 {
			byKind := map[string]int64{}
			for kind, n := range counts() {
				byKind[string(kind)] = n
			}
			return byKind
		},
	}
}

// diskMetrics export the space of the folders in which this program keeps data. A folder that cannot be
// read has no series.
type diskMetrics struct{ folders map[string]string } // paths by purpose

// foldersOf returns the folders of a configuration.
func foldersOf(c config.Config) map[string]string {
	folders := map[string]string{}
	if c.Database.URL == "" {
		folders["data"] = c.DataDir
	}
	if c.AuditSpool != "" {
		folders["audit-spool"] = c.AuditSpool
	}
	return folders
}

var (
	descDiskFree = newDesc("disk_free_bytes", "Free space of the file system with a folder of this program.", "folder")
	descDiskSize = newDesc("disk_size_bytes", "Size of the file system with a folder of this program.", "folder")
)

// Describe implements prometheus.Collector.
func (diskMetrics) Describe(to chan<- *prometheus.Desc) {
	to <- descDiskFree
	to <- descDiskSize
}

// Collect implements prometheus.Collector.
func (m diskMetrics) Collect(to chan<- prometheus.Metric) {
	for purpose, path := range m.folders {
		space, err := datadir.SpaceOf(path)
		if err != nil {
			continue
		}
		to <- prometheus.MustNewConstMetric(descDiskFree, prometheus.GaugeValue, float64(space.Free), purpose)
		to <- prometheus.MustNewConstMetric(descDiskSize, prometheus.GaugeValue, float64(space.Size), purpose)
	}
}
