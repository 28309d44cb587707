package config

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"omnirapeutic/platform/datadir"
)

// productionRate is far above the requests per second of a person with a busy page, and
// far below the capacity of one instance.
const productionRate = 50

// The minimum numbers of slots for webhooks. An organization needs one slot for webhooks
// that answer and one for webhooks that fail, and can use at most half of all slots.
const (
	leastOwnSlots = 2
	leastSlots    = 2 * leastOwnSlots
)

// complete sets defaults that depend on other keys.
func (l *loader) complete(c *Config, sources map[string]string) {
	unset := func(name string) bool { return sources[name] == "default" }
	if c.DataDir == "" {
		dir, err := datadir.Default(runtime.GOOS, os.Geteuid() == 0, func(name string) string { return l.variables[name] })
		if err != nil {
			l.problems.add("data_dir", "", "default", err.Error())
		}
		c.DataDir = dir
	} else if dir, err := filepath.Abs(c.DataDir); err == nil {
		c.DataDir = dir
	}
	switch {
	case c.AuditSpool == none:
		c.AuditSpool = ""
	case c.AuditSpool != "":
		if dir, err := filepath.Abs(c.AuditSpool); err == nil {
			c.AuditSpool = dir
		}
	case !unset("data_dir"): // a configured folder is permanent
		c.AuditSpool = filepath.Join(c.DataDir, "audit-spool")
	}
	if unset("token.secret") && c.Profile != Production {
		c.Token.Secret = DevelopmentSecret
		sources["token.secret"] = "default, for development only"
	}
	if unset("log.format") {
		c.Log.Format = "text"
		if c.Profile == Production {
			c.Log.Format = "json"
		}
	}
	if unset("database.auto_migrate") {
		c.Database.AutoMigrate = c.Profile != Production
	}
	if unset("demo") {
		c.Demo = c.Profile != Production
	}
	if unset("http.docs") {
		c.HTTP.Docs = c.Profile != Production
	}
	if unset("http.rate_limit") && c.Profile == Production {
		c.HTTP.UserRate.PerSecond = productionRate
	}
	if unset("http.token_rate_limit") {
		c.HTTP.TokenRate.PerSecond = c.HTTP.UserRate.PerSecond / 2
	}
	if unset("http.token_rate_burst") {
		c.HTTP.TokenRate.Burst = (c.HTTP.UserRate.Burst + 1) / 2
	}
	if unset("webhooks.slots_per_organization") {
		c.Webhooks.SlotsPerOrganization = max(leastOwnSlots, c.Webhooks.Slots/4)
	}
	for _, name := range []string{"retry.max_attempts", "retry.base_delay", "retry.max_delay", "retry.jitter"} {
		if unset(name) {
			sources[name] = "preset " + c.Retry.Preset
		}
	}
}

// refuse reports conflicting values, and values not allowed in production.
func (l *loader) refuse(c Config, sources map[string]string) {
	if c.Retry.MaxDelay < c.Retry.BaseDelay {
		l.problems.add("retry.max_delay", c.Retry.MaxDelay.String(), sources["retry.max_delay"],
			"must not be less than retry.base_delay, "+c.Retry.BaseDelay.String())
	}
	const own = "webhooks.slots_per_organization"
	if half := c.Webhooks.Slots / 2; half > 0 && c.Webhooks.SlotsPerOrganization > half {
		l.problems.add(own, strconv.Itoa(c.Webhooks.SlotsPerOrganization), sources[own],
			fmt.Sprintf("must be at most %d, half of webhooks.slots", half))
	}
	if c.Database.MigrateURL != "" && c.Database.URL == "" {
		l.problems.add("database.migrate_url", hidden, sources["database.migrate_url"], "requires database.url as well")
	}
	if c.Database.ReplicaURL != "" && c.Database.URL == "" {
		l.problems.add("database.replica_url", hidden, sources["database.replica_url"], "requires database.url as well")
	}
	if name, other := "http.tls_certificate", "http.tls_key"; c.HTTP.TLS.Certificate == "" || c.HTTP.TLS.Key == "" {
		if c.HTTP.TLS.Given() {
			name, other = other, name
		}
		if c.HTTP.TLS != (TLS{}) {
			l.problems.add(name, "", sources[name], "must be set together with "+other)
		}
	}
	l.refuseMail(c, sources)
	if c.Profile != Production {
		return
	}
	switch c.Token.Secret {
	case "":
		if sources["token.secret"] == "default" {
			l.problems.add("token.secret", "", "default", "must be set in production: "+makeSecret)
		}
	case DevelopmentSecret:
		l.problems.add("token.secret", hidden, sources["token.secret"], "must not be the development secret in production")
	}
	l.refuseWeak(c, sources)
	if c.Demo {
		l.problems.add("demo", "true", sources["demo"], "must not be true in production")
	}
	for _, known := range []struct{ key, address string }{
		{"http.public_url", c.HTTP.PublicURL},
		{"http.frontend_url", c.HTTP.FrontendURL},
	} {
		if known.address != "" && !strings.HasPrefix(known.address, "https://") {
			l.problems.add(known.key, known.address, sources[known.key], "must begin with https:// in production")
		}
	}
	if slices.Contains(c.HTTP.CORSOrigins, "*") {
		l.problems.add("http.cors_origins", "*", sources["http.cors_origins"], "must list the origins in production, not *")
	}
	// The private PostgreSQL is durable and good enough for one machine. But a
	// forgotten URL must not start production on a new, empty database.
	if c.Database.URL == "" && sources["data_dir"] == "default" {
		l.problems.add("database.url", "", "default",
			"must be set in production; to use the private PostgreSQL, set data_dir instead")
	}
}

// refuseMail reports the keys that are missing for mail.
func (l *loader) refuseMail(c Config, sources map[string]string) {
	if !c.Mail.Enabled() {
		if c.Mail.From != "" {
			l.problems.add("mail.smtp_url", "", sources["mail.smtp_url"], "must be set together with mail.from")
		}
		return
	}
	if c.Mail.From == "" {
		l.problems.add("mail.from", "", sources["mail.from"], "must be set together with mail.smtp_url")
	}
	if c.HTTP.FrontendURL == "" {
		l.problems.add("http.frontend_url", "", sources["http.frontend_url"],
			"must be set together with mail.smtp_url: links in mail lead to this page")
	}
}
