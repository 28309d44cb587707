package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/db/pgurl"
	"omnirapeutic/platform/smtp"
)

// Parsers of values, with an error text for each kind.

const kib, mib = 1 << 10, 1 << 20

func oneOf(field func(*Config) *string, allowed ...string) func(*Config, string) error {
	return func(c *Config, s string) error {
		*field(c) = s
		if !slices.Contains(allowed, s) {
			return fmt.Errorf("must be one of %s", strings.Join(allowed, ", "))
		}
		return nil
	}
}

// none overrides a value of the file, or turns off a default, because an empty value
// means not set.
const none = "none"

func setReminders(c *Config, s string) error {
	const most, longest = 5, 30 * 24 * time.Hour
	c.Reminders = nil
	if s == none {
		return nil
	}
	for text := range strings.SplitSeq(s, ",") {
		d, err := time.ParseDuration(strings.TrimSpace(text))
		if err != nil || d < time.Minute || d > longest || d%time.Minute != 0 || len(c.Reminders) == most ||
			slices.Contains(c.Reminders, d) {
			return fmt.Errorf("must be none, or up to %d different durations in whole minutes such as 24h, 1h30m, from 1m to %s",
				most, longest)
		}
		c.Reminders = append(c.Reminders, d)
	}
	return nil
}

func showReminders(c Config) string {
	if len(c.Reminders) == 0 {
		return none
	}
	texts := make([]string, len(c.Reminders))
	for i, d := range c.Reminders {
		texts[i] = d.String()
	}
	return strings.Join(texts, ",")
}

func orNone(field func(*Config) *string) func(*Config, string) error {
	return func(c *Config, s string) error {
		if s != none {
			*field(c) = s
		}
		return nil
	}
}

func integer(field func(*Config) *int, least, most int) func(*Config, string) error {
	return func(c *Config, s string) error {
		n, err := strconv.Atoi(s)
		if err != nil || n < least || n > most {
			return fmt.Errorf("must be a whole number from %d to %d", least, most)
		}
		*field(c) = n
		return nil
	}
}

func duration(field func(*Config) *time.Duration, least, most time.Duration) func(*Config, string) error {
	return func(c *Config, s string) error {
		d, err := time.ParseDuration(s)
		if err != nil || d < least || d > most {
			return fmt.Errorf("must be a duration such as 250ms, 15s or 2m, from %s to %s", least, most)
		}
		*field(c) = d
		return nil
	}
}

func boolean(field func(*Config) *bool) func(*Config, string) error {
	return func(c *Config, s string) error {
		if s != "true" && s != "false" {
			return errors.New("must be true or false")
		}
		*field(c) = s == "true"
		return nil
	}
}

func fraction(field func(*Config) *float64) func(*Config, string) error {
	return func(c *Config, s string) error {
		f, err := strconv.ParseFloat(s, 64)
		if err != nil || !(f >= 0 && f <= 1) { // also rejects NaN
			return errors.New("must be a number from 0 to 1")
		}
		*field(c) = f
		return nil
	}
}

// Bounds of rates. The minimum is one per few minutes, so that computed times remain
// sensible.
const (
	leastRate = 0.001
	mostRate  = 1_000_000
)

func perSecond(field func(*Config) *float64) func(*Config, string) error {
	return func(c *Config, s string) error {
		f, err := strconv.ParseFloat(s, 64)
		if err != nil || f != 0 && !(f >= leastRate && f <= mostRate) { // also rejects NaN
			return fmt.Errorf("must be 0 for no limit, or a number from %g to %d", leastRate, mostRate)
		}
		*field(c) = f
		return nil
	}
}

func numberText(f float64) string { return strconv.FormatFloat(f, 'g', -1, 64) }

// setOrigins accepts only origins in the form browsers send, so that comparing them is
// exact. Patterns and paths are rejected, because they can admit unintended origins.
func setOrigins(c *Config, s string) error {
	list := strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' })
	c.HTTP.CORSOrigins = list
	if len(list) == 1 && list[0] == "*" {
		return nil
	}
	for _, origin := range list {
		if !isOrigin(origin) {
			return errors.New("must be * alone, or origins as browsers send them, separated by commas: " +
				"https://app.example.org, without path, slash, capitals or the default port")
		}
	}
	return nil
}

func isOrigin(text string) bool {
	u, err := url.Parse(text)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Hostname() != "" &&
		!strings.Contains(u.Host, "*") &&
		text == u.Scheme+"://"+u.Host && text == strings.ToLower(text) && !strings.HasSuffix(u.Host, ":") &&
		(u.Scheme != "https" || u.Port() != "443") && (u.Scheme != "http" || u.Port() != "80")
}

func setPublicURL(c *Config, s string) error {
	c.HTTP.PublicURL = s
	if !isOrigin(s) {
		return errors.New("must be an origin as browsers send it: https://api.example.org, without path, slash, capitals " +
			"or the default port")
	}
	return nil
}

func setFrontendURL(c *Config, s string) error {
	c.HTTP.FrontendURL = s
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil ||
		strings.Contains(s, "#") {
		return errors.New("must be the URL of a page, such as https://app.example.org/signed-in, without a fragment")
	}
	return nil
}

func setSMTPURL(c *Config, s string) error {
	c.Mail.URL = Secret(s)
	_, err := smtp.ParseURL(s)
	return err
}

func checkMailFrom(s string) error {
	_, err := smtp.ParseFrom(s)
	return err
}

func setBodyLimit(c *Config, s string) error {
	number, factor := s, int64(1)
	if before, ok := strings.CutSuffix(s, "KiB"); ok {
		number, factor = before, kib
	} else if before, ok := strings.CutSuffix(s, "MiB"); ok {
		number, factor = before, mib
	}
	n, err := strconv.ParseInt(strings.TrimSpace(number), 10, 32)
	if limit := n * factor; err == nil && limit >= kib && limit <= 64*mib {
		c.HTTP.BodyLimit = limit
		return nil
	}
	return errors.New("must be a number of bytes, KiB or MiB from 1KiB to 64MiB")
}

func sizeText(n int64) string {
	switch {
	case n%mib == 0:
		return strconv.FormatInt(n/mib, 10) + "MiB"
	case n%kib == 0:
		return strconv.FormatInt(n/kib, 10) + "KiB"
	}
	return strconv.FormatInt(n, 10)
}

func checkAddr(s string) error {
	_, port, err := net.SplitHostPort(s)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		return errors.New("must be host:port, such as 127.0.0.1:8080 or :8080")
	}
	return nil
}

func setMetricsAddr(c *Config, s string) error {
	if s == none {
		return nil
	}
	c.MetricsAddr = s
	return checkAddr(s)
}

// leastRemovalYears is how long documentation must be kept (45 CFR 164.316(b)(2)(i)).
const leastRemovalYears = 6

// setRemovalYears accepts 0, and the years from the legal minimum on.
func setRemovalYears(c *Config, s string) error {
	const most = 100
	years, err := strconv.Atoi(s)
	if err != nil || years != 0 && years < leastRemovalYears || years > most {
		return fmt.Errorf("must be 0, or %d to %d years", leastRemovalYears, most)
	}
	c.AuditRemoval.Years = years
	return nil
}

// setKept accepts ids of organizations, each with a number of years if it is not kept for ever.
func setKept(c *Config, s string) error {
	c.AuditRemoval.Kept = nil
	for _, text := range strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' }) {
		id, number, limited := strings.Cut(text, "=")
		organization, err := uuid.Parse(id)
		years := 0
		if err == nil && limited {
			years, err = strconv.Atoi(number)
		}
		if err != nil || limited && years < leastRemovalYears {
			return fmt.Errorf("must be ids of organizations, or ID=YEARS with at least %d years, separated by commas",
				leastRemovalYears)
		}
		if c.AuditRemoval.Kept == nil {
			c.AuditRemoval.Kept = map[uuid.UUID]int{}
		}
		c.AuditRemoval.Kept[organization] = years
	}
	return nil
}

func showKept(c Config) string {
	texts := make([]string, 0, len(c.AuditRemoval.Kept))
	for id, years := range c.AuditRemoval.Kept {
		text := id.String()
		if years > 0 {
			text += "=" + strconv.Itoa(years)
		}
		texts = append(texts, text)
	}
	slices.Sort(texts)
	return strings.Join(texts, ", ")
}

// setAnchors accepts files, https URLs, and syslog+tls URLs without a path.
func setAnchors(c *Config, s string) error {
	for _, text := range strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' }) {
		u, err := url.Parse(text)
		isFile := err == nil && u.Scheme == "file" && u.Host == "" && u.Path != ""
		isRemote := err == nil && u.Host != "" && (u.Scheme == "https" || u.Scheme == "syslog+tls" && u.Path == "")
		if !isFile && !isRemote {
			return errors.New("must be file:///PATH, https://HOST/PATH or syslog+tls://HOST:PORT, or several of them, " +
				"separated by commas")
		}
		c.Anchors.Destinations = append(c.Anchors.Destinations, text)
	}
	return nil
}

func showAnchors(c Config) string {
	texts := make([]string, len(c.Anchors.Destinations))
	for i, to := range c.Anchors.Destinations {
		texts[i] = withoutPassword(to)
	}
	return strings.Join(texts, ", ")
}

// setSIEM accepts https URLs, and syslog+tls URLs without a path.
func setSIEM(c *Config, s string) error {
	for _, text := range strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' }) {
		u, err := url.Parse(text)
		isSyslog := err == nil && u.Scheme == "syslog+tls" && u.Path == ""
		if err != nil || u.Host == "" || !isSyslog && u.Scheme != "https" {
			return errors.New("must be syslog+tls://HOST:PORT or https://HOST/PATH, or several of them, separated by commas")
		}
		c.SIEM = append(c.SIEM, text)
	}
	return nil
}

func showSIEM(c Config) string {
	texts := make([]string, len(c.SIEM))
	for i, to := range c.SIEM {
		texts[i] = withoutPassword(to)
	}
	return strings.Join(texts, ", ")
}

// withoutPassword returns a valid URL with its password replaced.
func withoutPassword(text string) string {
	if u, err := url.Parse(text); err == nil {
		return u.Redacted()
	}
	return text
}

// setAuthority accepts http too, because the answers are signed.
func setAuthority(c *Config, s string) error {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" {
		return errors.New("must be the URL of a time stamping authority, such as https://tsa.example.com/")
	}
	c.Anchors.Authority = s
	return nil
}

// setProxies accepts networks, and single addresses as networks of one.
func setProxies(c *Config, s string) error {
	for _, text := range strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' }) {
		network, err := netip.ParsePrefix(text)
		if address, addressErr := netip.ParseAddr(text); addressErr == nil && address.Zone() == "" {
			network, err = address.Prefix(address.BitLen())
		}
		if err != nil || network != network.Masked() || network.Bits() == 0 || network.Addr().Is4In6() {
			return errors.New("must be the networks of proxies, separated by commas, such as 10.0.3.0/24, 192.0.2.7, " +
				"2001:db8:7::/48, " +
				"with no bits beyond the network's, and not the whole address space")
		}
		c.HTTP.TrustedProxies = append(c.HTTP.TrustedProxies, network)
	}
	return nil
}

func showProxies(c Config) string {
	texts := make([]string, len(c.HTTP.TrustedProxies))
	for i, network := range c.HTTP.TrustedProxies {
		texts[i] = network.String()
	}
	return strings.Join(texts, ", ")
}

// onlyPassword reports whether two URLs of a database differ in nothing but the password.
func onlyPassword(before, after Secret) bool {
	_, only := pgurl.ChangedPassword(before.Reveal(), after.Reveal())
	return only
}

func checkDatabaseURL(s string) error {
	_, err := db.RoleOf(s)
	return err
}
