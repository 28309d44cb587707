// Package logtest holds what programs print while their tests run against what must
// never be printed: names and stories of patients, passwords, tokens and keys. What
// tests enter and what they are handed as a secret is told to it, and every line is
// looked at. dbtest.Main fails the tests of a package where something was found.
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

// forbidden are the forms of what never belongs in a log, whoever's it is. A form is
// looked for only in lines with the sign that all of its kind have, in small letters:
// most lines have none, and expressions take far longer to say so.
var forbidden = []struct {
	what  string
	signs []string
	form  *regexp.Regexp
}{
	{"a signed token", []string{"eyj"}, regexp.MustCompile(`eyJ[A-Za-z0-9_-]{8,}`)},
	{"an Authorization header", []string{"bearer ", "basic "}, regexp.MustCompile(`(?i:bearer|basic) [A-Za-z0-9._~+/=-]{12,}`)},
	{"an API key", []string{"omni_key_"}, regexp.MustCompile(`omni_key_[0-9A-Za-z]{8}`)},
	{"a webhook's secret", []string{"whsec_"}, regexp.MustCompile(`whsec_[A-Za-z0-9+/]`)},
	{"a password's hash", []string{"$argon2"}, regexp.MustCompile(`\$argon2`)},
	{"a private key", []string{"-----begin "}, regexp.MustCompile(`-----BEGIN `)},
	{"a URL with a password", []string{"://"}, regexp.MustCompile(`://[^/@:\s"]*:[^/@\s"]+@`)},
	{"a password", []string{"password"}, regexp.MustCompile(`(?i)password["']?\s*[=:]\s*["']?[^\s"']`)},
	{"a URL with what was asked for", []string{"/api/v1/"}, regexp.MustCompile(`/api/v1/[^\s"]*\?`)},
	{"a URL with an id", []string{"/api/v1/"}, regexp.MustCompile(`/api/v1/[^\s"]*[0-9a-f]{8}-[0-9a-f]{4}-`)},
}

// Watch looks at lines. The zero value knows the forms alone. Safe for concurrent use.
type Watch struct {
	mu       sync.RWMutex
	secrets  map[string]map[string]string // by their first word, what they are
	findings []string
	looked   int // lines
}

// leastSecret is how many letters and digits a secret must have. Shorter ones stand
// in any log by accident.
const leastSecret = 6

// Secret has the value found from now on. What is too short to be told from
// accident is passed over.
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
		return // never of a text
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.secrets == nil {
		w.secrets = map[string]map[string]string{}
	}
	for _, form := range []string{value, string(quoted[1 : len(quoted)-1])} { // as it is, and as JSON writes it
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

// words are what stands between signs.
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

// Look looks at text that came from a source, line by line.
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

// foundIn says what a line holds that it must not; "" for nothing.
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

// Writer returns a writer that looks at what is written and passes it on.
func (w *Watch) Writer(source string, to io.Writer) io.Writer { return &writer{w, source, to} }

type writer struct {
	watch  *Watch
	source string
	to     io.Writer
}

// Write takes whole lines, as loggers write them.
func (w *writer) Write(text []byte) (int, error) {
	w.watch.Look(w.source, text)
	return w.to.Write(text)
}

// Looked returns how many lines were looked at.
func (w *Watch) Looked() int {
	w.mu.RLock()
	defer w.mu.RUnlock()
	return w.looked
}

// Err tells what was found, the first twenty of it; nil for nothing.
func (w *Watch) Err() error {
	w.mu.RLock()
	defer w.mu.RUnlock()
	if len(w.findings) == 0 {
		return nil
	}
	const most = 20
	return fmt.Errorf("%d lines hold what must never be printed:\n%s", len(w.findings), strings.Join(w.findings[:min(most, len(w.findings))], "\n"))
}

// whole is the watch of a test process.
var whole Watch

// Secret has the value found in whatever this test process prints from now on.
func Secret(what, value string) { whole.Secret(what, value) }

// SecretIn has the password of a database's URL found.
func SecretIn(databaseURL string) {
	if u, err := url.Parse(databaseURL); err == nil && u.User != nil {
		password, _ := u.User.Password()
		whole.Secret("the database's password", password)
	}
}

// Look looks at what something else than a logger has printed.
func Look(source string, text []byte) { whole.Look(source, text) }

// Writer returns a writer that looks at lines and passes them on.
func Writer(source string, to io.Writer) io.Writer { return whole.Writer(source, to) }

// Logger returns a logger like the program's at its most talkative, whose lines are
// looked at and not kept.
func Logger() *logrus.Logger {
	return telemetry.NewLogger(whole.Writer("log", io.Discard), "debug", "json")
}

// Recorder returns such a logger, and what keeps its lines for the test.
func Recorder() (*logrus.Logger, *test.Hook) {
	l := Logger()
	return l, test.NewLocal(l)
}

// Looked returns how many lines this test process has printed.
func Looked() int { return whole.Looked() }

// Err tells what was found in this test process.
func Err() error { return whole.Err() }
