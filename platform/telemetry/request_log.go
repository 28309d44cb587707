package telemetry

import (
	"encoding/json"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/sirupsen/logrus"

	"omnirapeutic/platform/record"
)

// Request is an answered request, as it is logged: its route, never its URL.
type Request struct {
	ID             string
	TraceID        string // "" if the request is not traced
	Method, Route  string
	Status         int
	Elapsed        time.Duration
	Authenticated  bool // whether the next two fields are set
	UserID         uuid.UUID
	OrganizationID uuid.UUID
}

// requestMessage is the text of all lines of requests.
const requestMessage = "request answered"

// RequestLog logs answered requests. Its lines are the same as the lines of logrus, at a fraction of the
// cost: they are encoded without reflection, and written together within a tenth of a second. Safe for
// concurrent use.
type RequestLog struct {
	events logrus.FieldLogger
	// The next three are of a logger of [NewLogger] that buffers.
	logger *logrus.Logger
	out    *lineWriter
	encode func(b []byte, now time.Time, level logrus.Level, r Request) []byte
}

// NewRequestLog returns a log that writes to the output of the logger. With a logger that does not
// buffer, such as one on a terminal, each request is an event of that logger.
func NewRequestLog(l logrus.FieldLogger) *RequestLog {
	log := &RequestLog{events: l}
	logger, ok := l.(*logrus.Logger)
	if !ok {
		return log
	}
	out, buffers := logger.Out.(*lineWriter)
	thinned, ok := logger.Formatter.(*repeats)
	if !ok || !buffers {
		return log
	}
	log.logger, log.out, log.encode = logger, out, appendTextLine
	if _, ok := thinned.format.(*logrus.JSONFormatter); ok {
		log.encode = appendJSONLine
	}
	return log
}

// Write logs a request at a level, if the logger has that level enabled.
func (l *RequestLog) Write(level logrus.Level, r Request) {
	if l.out == nil {
		l.writeEvent(level, r)
		return
	}
	if !l.logger.IsLevelEnabled(level) {
		return
	}
	now := time.Now()
	l.out.buffer(func(b []byte) []byte { return l.encode(b, now, level, r) })
}

func (l *RequestLog) writeEvent(level logrus.Level, r Request) {
	fields := logrus.Fields{
		"event": "request", "request_id": r.ID, "method": r.Method, "route": r.Route, "status": r.Status,
		"duration_ms": milliseconds(r.Elapsed),
	}
	if r.TraceID != "" {
		fields["trace_id"] = r.TraceID
	}
	if r.Authenticated {
		fields["user_id"], fields["organization_id"] = r.UserID, r.OrganizationID
	}
	l.events.WithFields(fields).Log(level, requestMessage)
}

// milliseconds returns a duration with three digits after the point.
func milliseconds(d time.Duration) float64 {
	return float64(d.Microseconds()) / 1000 //nolint:mnd // microseconds of a millisecond
}

// appendJSONLine appends the line of [logrus.JSONFormatter]: members in alphabetical order.
func appendJSONLine(b []byte, now time.Time, level logrus.Level, r Request) []byte {
	b = append(b, `{"duration_ms":`...)
	b = strconv.AppendFloat(b, milliseconds(r.Elapsed), 'f', -1, 64)
	b = append(b, `,"event":"request","level":"`...)
	b = append(b, levelName(level)...)
	b = append(b, `","method":`...)
	b = appendJSONText(b, r.Method)
	b = append(b, `,"msg":"`+requestMessage+`"`...)
	if r.Authenticated {
		b = append(b, `,"organization_id":"`...)
		b = record.AppendID(b, r.OrganizationID)
		b = append(b, '"')
	}
	b = append(b, `,"request_id":`...)
	b = appendJSONText(b, r.ID)
	b = append(b, `,"route":`...)
	b = appendJSONText(b, r.Route)
	b = append(b, `,"status":`...)
	b = strconv.AppendInt(b, int64(r.Status), 10)
	b = append(b, `,"time":"`...)
	b = now.AppendFormat(b, time.RFC3339Nano)
	b = append(b, '"')
	if r.TraceID != "" {
		b = append(b, `,"trace_id":`...)
		b = appendJSONText(b, r.TraceID)
	}
	if r.Authenticated {
		b = append(b, `,"user_id":"`...)
		b = record.AppendID(b, r.UserID)
		b = append(b, '"')
	}
	return append(b, '}', '\n')
}

// appendTextLine appends the line of [logrus.TextFormatter] without colors: time, level and message
// first, then the fields in alphabetical order.
func appendTextLine(b []byte, now time.Time, level logrus.Level, r Request) []byte {
	b = append(b, `time="`...)
	b = now.AppendFormat(b, time.DateTime)
	b = append(b, `" level=`...)
	b = append(b, levelName(level)...)
	b = append(b, ` msg="`+requestMessage+`" duration_ms=`...)
	b = strconv.AppendFloat(b, milliseconds(r.Elapsed), 'g', -1, 64)
	b = append(b, ` event=request method=`...)
	b = appendText(b, r.Method)
	if r.Authenticated {
		b = append(b, ` organization_id=`...)
		b = record.AppendID(b, r.OrganizationID)
	}
	b = append(b, ` request_id=`...)
	b = appendText(b, r.ID)
	b = append(b, ` route=`...)
	b = appendText(b, r.Route)
	b = append(b, ` status=`...)
	b = strconv.AppendInt(b, int64(r.Status), 10)
	if r.TraceID != "" {
		b = append(b, ` trace_id=`...)
		b = appendText(b, r.TraceID)
	}
	if r.Authenticated {
		b = append(b, ` user_id=`...)
		b = record.AppendID(b, r.UserID)
	}
	return append(b, '\n')
}

// levelName returns the name of the two levels of requests without an allocation, which
// [logrus.Level.String] makes.
func levelName(level logrus.Level) string {
	switch level {
	case logrus.InfoLevel:
		return "info"
	case logrus.DebugLevel:
		return "debug"
	default:
		return level.String()
	}
}

// appendJSONText appends a JSON string.
func appendJSONText(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c >= utf8.RuneSelf || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			quoted, _ := json.Marshal(s) // a string cannot fail
			return append(b, quoted...)
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}

// appendText appends a value of a text line, quoted if logrus would quote it.
func appendText(b []byte, s string) []byte {
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case c == '-', c == '.', c == '_', c == '/', c == '@', c == '^', c == '+':
		default:
			return strconv.AppendQuote(b, s)
		}
	}
	return append(b, s...)
}
