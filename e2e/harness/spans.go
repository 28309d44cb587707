package harness

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"omnirapeutic/app"
	"omnirapeutic/platform/db/dbtest"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/telemetry/logtest"
	"omnirapeutic/platform/tracing"
)

// tracer traces all clinics of the test process.
var tracer = sync.OnceValue(func() *tracing.Tracer {
	return tracing.New(sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(&spans)))
})

// spans are the spans of all clinics of the test process.
var spans = spanCheck{
	seen: map[string]bool{}, values: map[string]map[string]bool{}, names: map[string]bool{},
	routes: map[string]bool{"unmatched": true}, permissions: map[string]bool{}, tables: map[string]bool{},
}

// spanCheck collects the distinct spans of the test process: their names, and the keys and values of their
// attributes. Only closed sets can stay that small. Safe for concurrent use.
type spanCheck struct {
	mu          sync.Mutex
	seen        map[string]bool // spans as texts
	names       map[string]bool
	values      map[string]map[string]bool // texts, by key
	routes      map[string]bool            // patterns that the program serves
	permissions map[string]bool            // that routes require
	tables      map[string]bool            // of the schema, and of PostgreSQL's catalog
}

// expect adds the routes of a program, and the tables of its database.
func (s *spanCheck) expect(t testing.TB, a *app.App, database dbtest.Database) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.tables) == 0 {
		owner, err := sql.Open("pgx", database.OwnerURL)
		require.NoError(t, err)
		defer owner.Close()
		for _, name := range QueryTexts(t, owner, `SELECT relname FROM pg_class WHERE relkind IN ('r', 'p', 'v')`) {
			s.tables[name] = true
		}
	}
	for _, pattern := range a.Patterns() {
		s.routes[pattern] = true
	}
	for _, r := range a.Routes() {
		s.permissions[string(r.Permission)] = true
	}
}

// OnEnd implements sdktrace.SpanProcessor.
func (s *spanCheck) OnEnd(span sdktrace.ReadOnlySpan) {
	var text strings.Builder
	fmt.Fprintf(&text, "%s %s %q", span.Name(), span.Status().Code, span.Status().Description)
	attributes := span.Attributes()
	for _, a := range attributes {
		if a.Value.Type() == attribute.STRING {
			fmt.Fprintf(&text, " %s=%s", a.Key, a.Value.AsString())
		}
	}
	for _, e := range span.Events() {
		fmt.Fprintf(&text, " event %s %v", e.Name, e.Attributes)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.seen[text.String()] {
		return
	}
	s.seen[text.String()], s.names[span.Name()] = true, true
	for _, a := range attributes {
		if a.Value.Type() != attribute.STRING {
			continue
		}
		if s.values[string(a.Key)] == nil {
			s.values[string(a.Key)] = map[string]bool{}
		}
		s.values[string(a.Key)][a.Value.AsString()] = true
	}
}

// OnStart implements sdktrace.SpanProcessor.
func (*spanCheck) OnStart(context.Context, sdktrace.ReadWriteSpan) {}

// Shutdown implements sdktrace.SpanProcessor.
func (*spanCheck) Shutdown(context.Context) error { return nil }

// ForceFlush implements sdktrace.SpanProcessor.
func (*spanCheck) ForceFlush(context.Context) error { return nil }

// word is the form of names that the code defines: no digits, as in ids and dates, and no capitals, as in names.
var word = regexp.MustCompile(`^[a-z]+([.-][a-z]+)*$`)

// sqlState is the form of SQLSTATEs.
var sqlState = regexp.MustCompile(`^[0-9A-Z]{5}$`)

// isAllowed reports whether a value belongs to the closed set of its key.
func (s *spanCheck) isAllowed(key tracing.Key, value string) bool {
	oneOf := func(values ...string) bool { return slices.Contains(values, value) }
	switch key {
	case tracing.HTTPMethod:
		return oneOf("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "other")
	case tracing.HTTPRoute:
		return s.routes[value]
	case tracing.Permission:
		return s.permissions[value]
	case tracing.ErrorType:
		_, known := fault.ByCode(value)
		return known || word.MatchString(value) || sqlState.MatchString(value)
	case tracing.SQLState:
		return sqlState.MatchString(value)
	case tracing.System:
		return value == "postgresql"
	case tracing.Server:
		return value == tracing.Standby
	case tracing.Statement:
		return oneOf("SELECT", "INSERT", "UPDATE", "DELETE", "LOCK", "BEGIN", "COMMIT", "ROLLBACK", "SET")
	case tracing.Table:
		return s.tables[value]
	case tracing.Phase:
		return oneOf("begin", "body", "commit", "proof")
	case tracing.Result, tracing.MailKind:
		return word.MatchString(strings.ToLower(strings.ReplaceAll(value, "_", "-")))
	case tracing.Peer:
		return oneOf(tracing.PeerWebhook, tracing.PeerIdentity, tracing.PeerSIEM, tracing.PeerAnchor, tracing.PeerMail)
	case tracing.Queue, tracing.Operation, tracing.Job, tracing.EventType:
		return word.MatchString(value)
	}
	return false
}

// isAllowedInName reports whether a part of a span's name belongs to a closed set.
func (s *spanCheck) isAllowedInName(part string) bool {
	return word.MatchString(part) || s.routes[part] || s.tables[part] ||
		s.isAllowed(tracing.HTTPMethod, part) || s.isAllowed(tracing.Statement, part)
}

// checkSpans returns an error if a span of this test process has a name or a value outside of the closed sets, or
// forbidden content.
func checkSpans() error {
	spans.mu.Lock()
	defer spans.mu.Unlock()
	if len(spans.seen) == 0 {
		return nil
	}
	var wrong []string
	for _, name := range slices.Sorted(maps.Keys(spans.names)) {
		for part := range strings.FieldsSeq(name) {
			if !spans.isAllowedInName(part) {
				wrong = append(wrong, fmt.Sprintf("a span has the name %q", name))
				break
			}
		}
	}
	for _, key := range slices.Sorted(maps.Keys(spans.values)) {
		for _, value := range slices.Sorted(maps.Keys(spans.values[key])) {
			if !spans.isAllowed(tracing.Key(key), value) {
				wrong = append(wrong, fmt.Sprintf("the attribute %s has the value %q", key, value))
			}
		}
	}
	if len(wrong) > 0 {
		return fmt.Errorf("spans have values outside of their closed sets:\n%s", strings.Join(wrong, "\n"))
	}
	logtest.Look("spans", []byte(strings.Join(slices.Sorted(maps.Keys(spans.seen)), "\n")))
	return nil
}
