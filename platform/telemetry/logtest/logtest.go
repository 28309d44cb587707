// Package logtest checks test output for forbidden content: names and stories of
// patients, passwords, tokens and keys. Tests register the health data they enter and
// the secrets they receive, and every line of output is searched for them. dbtest.Main
// fails a package's tests if anything is found.
package logtest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"github.com/sirupsen/logrus"
	"github.com/sirupsen/logrus/hooks/test"

	"omnirapeutic/platform/telemetry"
)

// forbidden are patterns that must never appear in a log. For speed, a pattern is tried
// only on lines that contain its marker, a lower-case text common to all its matches.
var forbidden = []struct {
	what  string
	signs []string
	form  *regexp.Regexp
}{
	{"a signed token", []string{"eyj"}, regexp.MustCompile(`eyJ[A-Za-z0-9_-]{8,}`)},
	{
		"an Authorization header",
		[]string{"bearer ", "basic "},
		regexp.MustCompile(`(?i:bearer|basic) [A-Za-z0-9._~+/=-]{12,}`),
	},
	{"an API key", []string{"omni_key_"}, regexp.MustCompile(`omni_key_[0-9A-Za-z]{8}`)},
	{"a webhook's secret", []string{"whsec_"}, regexp.MustCompile(`whsec_[A-Za-z0-9+/]`)},
	{"a password's hash", []string{"$argon2"}, regexp.MustCompile(`\$argon2`)},
	{"a private key", []string{"-----begin "}, regexp.MustCompile(`-----BEGIN `)},
	{"a URL with a password", []string{"://"}, regexp.MustCompile(`://[^/@:\s"]*:[^/@\s"]+@`)},
	{"a password", []string{"password"}, regexp.MustCompile(`(?i)password["']?\s*[=:]\s*["']?[^\s"']`)},
	{"a URL with a query", []string{"/api/v1/"}, regexp.MustCompile(`/api/v1/[^\s"]*\?`)},
	{"a URL with an id", []string{"/api/v1/"}, regexp.MustCompile(`/api/v1/[^\s"]*[0-9a-f]{8}-[0-9a-f]{4}-`)},
}

// Watch checks lines. The zero value knows only the patterns. Safe for concurrent use.
type Watch struct {
	mu       sync.RWMutex
	secrets  map[string]map[string]string // secrets and their descriptions, by first word
	findings []string
	looked   int // number of lines
}

// leastSecret is the minimum number of letters and digits of a secret. Shorter ones
// occur in logs by chance.
const leastSecret = 6

// Secret registers a value to be found from now on. It ignores values that are too
// short.
func (w *Watch) Secret(what, value string) {
	value = strings.TrimSpace(value)
	letters := 0
	for word := range words([]byte(value)) {
		letters += utf8.RuneCount(word)
	}
	if letters < leastSecret {
		return
	}
	quoted, err := json.Marshal(value)
	if err != nil {
		return // unreachable for a text
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.secrets == nil {
		w.secrets = map[string]map[string]string{}
	}
	for _, form := range []string{value, string(quoted[1 : len(quoted)-1])} { // verbatim and as encoded in JSON
		for first := range words([]byte(form)) {
			of := w.secrets[string(first)]
			if of == nil {
				of = map[string]string{}
				w.secrets[string(first)] = of
			}
			of[form] = what
			break
		}
	}
}

// words are runs of letters and digits.
func words(text []byte) func(yield func([]byte) bool) {
	return func(yield func([]byte) bool) {
		for len(text) > 0 {
			begin := bytes.IndexFunc(text, isLetter)
			if begin < 0 {
				return
			}
			text = text[begin:]
			end := bytes.IndexFunc(text, func(r rune) bool { return !isLetter(r) })
			if end < 0 {
				end = len(text)
			}
			if !yield(text[:end]) {
				return
			}
			text = text[end:]
		}
	}
}

func isLetter(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }

// Look checks text from a source, line by line.
func (w *Watch) Look(source string, text []byte) {
	w.mu.RLock()
	var found []string
	lines := 0
	for line := range bytes.Lines(text) {
		lines++
		if what := w.foundIn(line); what != "" {
			found = append(found, fmt.Sprintf("%s: %s in %s", source, what, bytes.TrimSpace(line)))
		}
	}
	w.mu.RUnlock()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.looked += lines
	w.findings = append(w.findings, found...)
}

// foundIn returns a description of forbidden content in a line, or "".
func (w *Watch) foundIn(line []byte) string {
	small := bytes.ToLower(line)
	for _, f := range forbidden {
		has := func(sign string) bool { return bytes.Contains(small, []byte(sign)) }
		if slices.ContainsFunc(f.signs, has) && f.form.Match(line) {
			return f.what
		}
	}
	for word := range words(line) {
		for value, what := range w.secrets[string(word)] {
			if bytes.Contains(line, []byte(value)) {
				return fmt.Sprintf("%s, %q,", what, value)
			}
		}
	}
	return ""
}

// Writer returns a writer that checks each line and passes it on.
func (w *Watch) Writer(source string, to io.Writer) io.Writer { return &writer{w, source, to} }

type writer struct {
	watch  *Watch
	source string
	to     io.Writer
}

// Write expects whole lines, as loggers write them.
func (w *writer) Write(text []byte) (int, error) {
	w.watch.Look(w.source, text)
	return w.to.Write(text)
}

// Looked returns the number of checked lines.
func (w *Watch) Looked() int {
	w.mu.RLock()
	defer w.mu.RUnlock()
	return w.looked
}

// Err returns an error with the first twenty findings, or nil.
func (w *Watch) Err() error {
	w.mu.RLock()
	defer w.mu.RUnlock()
	if len(w.findings) == 0 {
		return nil
	}
	const most = 20
	return fmt.Errorf("%d lines contain forbidden content:\n%s", len(w.findings),
		strings.Join(w.findings[:min(most, len(w.findings))], "\n"))
}

// whole is the watch of the test process.
var whole Watch

// Secret registers a value to be found in all further output of the test process.
func Secret(what, value string) { whole.Secret(what, value) }

// SecretIn registers the password in a database URL.
func SecretIn(databaseURL string) {
	if u, err := url.Parse(databaseURL); err == nil && u.User != nil {
		password, _ := u.User.Password()
		whole.Secret("the database's password", password)
	}
}

// Look checks output that was not written by a logger.
func Look(source string, text []byte) { whole.Look(source, text) }

// Writer returns a writer that checks lines and passes them on.
func Writer(source string, to io.Writer) io.Writer { return whole.Writer(source, to) }

// Logger returns a logger like the program's at the lowest level. Its lines are checked
// and discarded.
func Logger() *logrus.Logger {
	l := telemetry.NewLogger(whole.Writer("log", io.Discard), "debug", "json")
	loggers.mu.Lock()
	defer loggers.mu.Unlock()
	loggers.all = append(loggers.all, l)
	return l
}

// loggers are the loggers of the test process. Their buffered lines are checked at the end.
var loggers struct {
	mu  sync.Mutex
	all []*logrus.Logger
}

// Recorder returns a logger like [Logger], and a recorder of its lines.
func Recorder() (*logrus.Logger, *test.Hook) {
	l := Logger()
	return l, test.NewLocal(l)
}

// Looked returns the number of lines that this test process has printed.
func Looked() int { return whole.Looked() }

// Err returns an error with the findings in this test process, or nil.
func Err() error {
	loggers.mu.Lock()
	defer loggers.mu.Unlock()
	for _, l := range loggers.all {
		telemetry.Flush(l)
	}
	return whole.Err()
}
