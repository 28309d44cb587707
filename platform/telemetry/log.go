// Package telemetry sets up logging. A log line is an event with fields; which
// fields there may be is a list, so that health data and secrets cannot get into
// a log by a careless line of code.
package telemetry

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/sirupsen/logrus"
)

// allowed are the names that a field of a log line may have. All of them are
// technical: no names of people, no bodies, no query strings, no values of columns.
var allowed = set(
	"event", "request_id", "user_id", "organization_id",
	"method", "route", "status", "code", "duration_ms", "permission",
	"operation", "attempt", "attempts", "retries", "phase", "sql", "sqlstate", "constraint", "delay_ms", "elapsed_ms", "rows", "count", "outcome",
	"error", "stack", "cause", "reason", "signal",
	"address", "dir", "package", "sql", "version", "profile", "data_dir", "pid", "component", "file", "migration", "database", "exit_code", "grace_ms",
	"authorizations", "findings", "released", "units", "entries",
	"webhook_id", "position", "hash", "expires", "account", "role", "reminders", "events", "variables",
)

// Allows reports whether a field of this name is written.
func Allows(field string) bool { return allowed[field] }

func set(names ...string) map[string]bool {
	m := make(map[string]bool, len(names))
	for _, name := range names {
		m[name] = true
	}
	return m
}

// NewLogger returns a logger that writes to out, from the level on (debug, info,
// warn, error), as "json" or as "text" for a terminal. The configuration has
// checked both; anything else counts as info and text. Safe for concurrent use.
//
// Fields that are not on the list, or whose values are more than a text, a number
// or an error, are left out, and named in the field dropped_fields. A line logged
// WithContext carries the request's id.
//
// Repeated warnings and errors are counted and written once a second, see [Flush].
func NewLogger(out io.Writer, level, format string) *logrus.Logger {
	l := logrus.New()
	l.SetOutput(out)
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

// RequestID returns the id of the request that is being served, or "".
func RequestID(ctx context.Context) string {
	id, _ := ctx.Value(requestKey{}).(string)
	return id
}

// guard adds what the context knows and takes out what does not belong in a log.
type guard struct{}

// Levels makes guard see every line.
func (guard) Levels() []logrus.Level { return logrus.AllLevels }

// Fire changes the line that is about to be written; logrus hands it a copy.
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
	}
	return nil
}

// plainValue returns the value as it is written. Structs, maps and lists are not
// written: nobody can say what they hold.
func plainValue(value any) (any, bool) {
	switch v := value.(type) {
	case nil, bool, string, int, int8, int16, int32, int64, uint, uint8, uint16, uint32, uint64, float32, float64, time.Time:
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

// SafeText returns the text of an error without the values that databases and
// their drivers put into it: of data exceptions (SQLSTATE class 22) and constraint
// violations (class 23), however many and however often they are told, the
// SQLSTATE alone is left, and nothing of what could not be encoded.
func SafeText(err error) string {
	whole := err.Error()
	text := whole
	for _, s := range sqlErrors(err) {
		code := s.SQLState()
		if !strings.HasPrefix(code, "22") && !strings.HasPrefix(code, "23") {
			continue
		}
		if !strings.Contains(whole, s.Error()) {
			return "SQLSTATE " + code // told in other words, which may hold the value
		}
		text = strings.ReplaceAll(text, s.Error(), "SQLSTATE "+code)
	}
	const unencodable = "unable to encode " // pgx, before anything is sent: the value follows
	if before, _, found := strings.Cut(text, unencodable); found {
		return before + unencodable + "a value"
	}
	return text
}

// sqlErrors returns all of them in the tree of an error, wrappers first.
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

// sqlError is what drivers' errors with an SQLSTATE have in common.
type sqlError interface {
	error
	SQLState() string
}
