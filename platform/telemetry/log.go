// Package telemetry sets up logging. A log line is an event with fields. Only listed
// fields are written, so that careless code cannot log health data or secrets.
package telemetry

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/sirupsen/logrus"
	"golang.org/x/term"

	"omnirapeutic/platform/tracing"
)

// allowed are the names of permitted log fields. All are technical: no names of people,
// no bodies, no query strings, no column values.
var allowed = set(
	"event", "request_id", "trace_id", "user_id", "organization_id",
	"method", "route", "status", "code", "duration_ms", "permission",
	"operation", "attempt", "attempts", "retries", "phase", "sql", "sqlstate", "constraint",
	"delay_ms", "elapsed_ms", "rows", "count", "outcome",
	"error", "stack", "cause", "reason", "signal",
	"address", "dir", "package", "sql", "version", "profile",
	"data_dir", "pid", "component", "file", "migration", "database", "exit_code", "grace_ms",
	"authorizations", "findings", "released", "units", "entries",
	"mail_id", "kind", "state", "reply",
	"webhook_id", "position", "hash", "expires", "account", "role", "reminders", "events", "variables",
	"settings", "revision",
)

// Allows reports whether fields of this name are written.
func Allows(field string) bool { return allowed[field] }

func set(names ...string) map[string]bool {
	m := make(map[string]bool, len(names))
	for _, name := range names {
		m[name] = true
	}
	return m
}

// NewLogger returns a logger that writes to out at the level (debug, info, warn or
// error) and above, as "json" or as "text" for a terminal. The configuration has
// validated both; other values mean info and text. Safe for concurrent use.
//
// Fields that are not permitted, or that hold more than a text, a number or an error,
// are dropped and named in the field dropped_fields. A line logged WithContext carries
// the request's id and that of its trace.
//
// Repeated warnings and errors are counted and written once a second. Lines of a [RequestLog] are
// buffered, except on a terminal. Call [Flush] before the program ends.
func NewLogger(out io.Writer, level, format string) *logrus.Logger {
	l := logrus.New()
	l.SetOutput(&lineWriter{out: out})
	if file, ok := out.(*os.File); ok && term.IsTerminal(int(file.Fd())) {
		l.SetOutput(out) // logrus colors lines if its output is a terminal
	}
	if parsed, err := logrus.ParseLevel(level); err == nil {
		l.SetLevel(parsed)
	}
	thinned := &repeats{logger: l, seen: map[repeatKey]*repeated{}}
	thinned.format = &logrus.TextFormatter{FullTimestamp: true, TimestampFormat: time.DateTime}
	if format == "json" {
		thinned.format = &logrus.JSONFormatter{TimestampFormat: time.RFC3339Nano}
	}
	l.SetFormatter(thinned)
	l.AddHook(guard{})
	return l
}

type requestKey struct{}

// WithRequestID returns a context whose log lines carry the request's id.
func WithRequestID(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, requestKey{}, id)
}

// RequestID returns the id of the current request, or "".
func RequestID(ctx context.Context) string {
	id, _ := ctx.Value(requestKey{}).(string)
	return id
}

// guard adds fields from the context and drops fields that are not permitted.
type guard struct{}

// Levels returns all levels.
func (guard) Levels() []logrus.Level { return logrus.AllLevels }

// Fire changes the line before it is written; logrus passes a copy.
func (guard) Fire(e *logrus.Entry) error {
	var dropped []string
	for name, value := range e.Data {
		plain, ok := plainValue(value)
		if !ok || !allowed[name] {
			delete(e.Data, name)
			dropped = append(dropped, name)
			continue
		}
		e.Data[name] = plain
	}
	if len(dropped) > 0 {
		slices.Sort(dropped)
		e.Data["dropped_fields"] = strings.Join(dropped, ",")
	}
	if e.Context != nil {
		if id := RequestID(e.Context); id != "" {
			e.Data["request_id"] = id
		}
		if id := tracing.TraceID(e.Context); id != "" {
			e.Data["trace_id"] = id
		}
	}
	return nil
}

// plainValue returns the value as it is written. It rejects structs, maps and lists,
// whose content cannot be checked.
func plainValue(value any) (any, bool) {
	switch v := value.(type) {
	case nil, bool, string, int, int8, int16, int32, int64, uint, uint8, uint16, uint32, uint64, float32, float64,
		time.Time:
		return v, true
	case error:
		return SafeText(v), true
	case fmt.Stringer: // identifiers, durations, levels, secrets that hide themselves
		return v.String(), true
	case []string:
		return strings.Join(v, ","), true
	}
	return nil, false
}

// SafeText returns the text of an error without the values that databases and drivers
// include. Data exceptions (SQLSTATE class 22) and constraint violations (class 23) are
// reduced to the SQLSTATE, also if they are wrapped or joined. Values that could not be
// encoded are removed.
func SafeText(err error) string {
	whole := err.Error()
	text := whole
	for _, s := range sqlErrors(err) {
		code := s.SQLState()
		if !strings.HasPrefix(code, "22") && !strings.HasPrefix(code, "23") {
			continue
		}
		if !strings.Contains(whole, s.Error()) {
			return "SQLSTATE " + code // the text was changed and may still hold the value
		}
		text = strings.ReplaceAll(text, s.Error(), "SQLSTATE "+code)
	}
	const unencodable = "unable to encode " // from pgx before sending: the value follows
	if before, _, found := strings.Cut(text, unencodable); found {
		return before + unencodable + "a value"
	}
	return text
}

// sqlErrors returns all SQL errors in the tree of an error, wrappers first.
func sqlErrors(err error) []sqlError {
	var found []sqlError
	if s, ok := err.(sqlError); ok { //nolint:errorlint // the tree is walked here
		found = append(found, s)
	}
	switch w := err.(type) { //nolint:errorlint // as above
	case interface{ Unwrap() error }:
		found = append(found, sqlErrors(w.Unwrap())...)
	case interface{ Unwrap() []error }:
		for _, each := range w.Unwrap() {
			found = append(found, sqlErrors(each)...)
		}
	}
	return found
}

// sqlError is the common interface of driver errors with an SQLSTATE.
type sqlError interface {
	error
	SQLState() string
}
