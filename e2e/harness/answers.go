package harness

import (
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

// Answer is an answer of the API.
type Answer struct {
	Status int
	Header http.Header
	Raw    []byte
	Body   Body
}

// isJSON distinguishes JSON from tables and other files.
func (a Answer) isJSON() bool {
	media := a.Header.Get("Content-Type")
	return !strings.HasPrefix(media, "text/csv") && !strings.HasPrefix(media, "application/jsonl") &&
		!strings.HasPrefix(media, "application/EDI-X12")
}

// requireProblem checks what every problem document must have.
func (a Answer) requireProblem(t testing.TB) {
	t.Helper()
	require.Equal(t, "application/problem+json", a.Header.Get("Content-Type"), "%s", a.Raw)
	for _, member := range []string{"type", "title", "detail", "instance", "code", "requestId"} {
		require.NotEmpty(t, a.Body[member], "%s is missing in %s", member, a.Raw)
	}
	require.Equal(t, "/api/errors/"+a.Text("code"), a.Text("type"))
	require.EqualValues(t, a.Status, a.Body["status"])
	require.Empty(t, internals.FindString(string(a.Raw)), "%s", a.Raw)
}

// internals are internals that no answer may contain: statements, tables, files and lines
// of the program, and names of its libraries.
var internals = regexp.MustCompile(
	`SQLSTATE|pgx|gorm|pq:|echo|duplicate key|violates|goroutine|panic|runtime error|nil pointer|` +
		`SELECT |INSERT INTO|UPDATE \w+ SET|DELETE FROM|relation \\?"|column \\?"|` +
		`\.go:\d+|/src/|dial tcp|127\.0\.0\.1|\.sock|%!`)

// RequestID returns the id of the request in the records.
func (a Answer) RequestID() string { return a.Header.Get("X-Request-Id") }

// Text returns a member that is a text, or "".
func (a Answer) Text(member string) string { s, _ := a.Body[member].(string); return s }

// Number returns a number by its path of members.
func (a Answer) Number(t testing.TB, path ...string) int {
	t.Helper()
	at := any(map[string]any(a.Body))
	for _, member := range path {
		object, ok := at.(map[string]any)
		require.True(t, ok, "no %v in %s", path, a.Raw)
		at = object[member]
	}
	n, ok := at.(float64)
	require.True(t, ok, "no number %v in %s", path, a.Raw)
	return int(n)
}

// OK checks that the status is 200.
func (a Answer) OK(t testing.TB) Answer {
	t.Helper()
	require.Equal(t, http.StatusOK, a.Status, "%s", a.Raw)
	return a
}

// Created checks that the status is 201, and returns the id of the created record.
func (a Answer) Created(t testing.TB) uuid.UUID {
	t.Helper()
	require.Equal(t, http.StatusCreated, a.Status, "%s", a.Raw)
	id, err := uuid.Parse(a.Text("id"))
	require.NoError(t, err, "%s", a.Raw)
	return id
}

// Refused checks the status and the code of a problem document.
func (a Answer) Refused(t testing.TB, status int, code string) Answer {
	t.Helper()
	require.Equal(t, status, a.Status, "%s", a.Raw)
	require.Equal(t, code, a.Body["code"], "%s", a.Raw)
	return a
}

// ReservationID returns the id of the reservation of a reserve.
func (a Answer) ReservationID(t testing.TB) string {
	t.Helper()
	require.Equal(t, http.StatusCreated, a.Status, "%s", a.Raw)
	reservation, ok := a.Body["reservation"].(map[string]any)
	require.True(t, ok, "%s", a.Raw)
	return reservation["id"].(string)
}

// Reasons returns the codes of the reasons of a refusal.
func (a Answer) Reasons(t testing.TB) []string {
	t.Helper()
	var codes []string
	list, ok := a.Body["reasons"].([]any)
	require.True(t, ok, "%s", a.Raw)
	for _, reason := range list {
		codes = append(codes, reason.(map[string]any)["code"].(string))
	}
	return codes
}

// Occurrences returns each appointment of a series in the answer.
func (a Answer) Occurrences(t testing.TB) []Answer {
	t.Helper()
	list, ok := a.Body["occurrences"].([]any)
	require.True(t, ok, "%s", a.Raw)
	all := make([]Answer, len(list))
	for i, item := range list {
		all[i] = Answer{Status: a.Status, Body: item.(map[string]any), Raw: a.Raw}
	}
	return all
}

// Openings returns the local start times of a list of openings.
func (a Answer) Openings(t testing.TB) []string {
	t.Helper()
	all := []string{}
	for _, item := range a.OK(t).Body["data"].([]any) {
		all = append(all, Answer{Body: item.(map[string]any)}.LocalTime(t, "startTime"))
	}
	return all
}

// LocalTime returns a time of an answer as local time in New York.
func (a Answer) LocalTime(t testing.TB, member string) string {
	t.Helper()
	at, err := time.Parse(time.RFC3339, a.Text(member))
	require.NoError(t, err)
	return at.In(NewYork(t)).Format("15:04")
}

// Result returns one of the results of a bulk.
func (a Answer) Result(t testing.TB, i int) Answer {
	t.Helper()
	results, ok := a.Body["results"].([]any)
	require.True(t, ok, "%s", a.Raw)
	require.Greater(t, len(results), i, "%s", a.Raw)
	one := Answer{Raw: a.Raw, Body: results[i].(map[string]any)}
	require.Equal(t, i, one.Number(t, "index"))
	return one
}

// RefusalCodes returns the code of each result's refusal, "" if it was accepted.
func (a Answer) RefusalCodes(t testing.TB) []string {
	t.Helper()
	var all []string
	refused := 0
	for i := range a.Body["results"].([]any) {
		r := a.Result(t, i)
		refusal, isRefused := r.Body["refusal"].(map[string]any)
		code, _ := refusal["code"].(string)
		all = append(all, code)
		require.Equal(t, isRefused, r.Text("status") == "refused", "%s", a.Raw)
		require.Equal(t, !isRefused, r.Text("status") == "accepted", "%s", a.Raw)
		if isRefused {
			refused++
			require.NotEmpty(t, refusal["detail"])
		}
	}
	require.Equal(t, refused, a.Number(t, "refused"))
	require.Equal(t, len(all)-refused, a.Number(t, "accepted"))
	return all
}

// IDOf returns the id at the end of a path.
func IDOf(path string) string { return path[strings.LastIndexByte(path, '/')+1:] }

// WithoutNames removes the member display from a JSON value and everything in it, and returns the value. Answers to
// changes have no names, so tests that compare them with reads leave the names out.
func WithoutNames[V any](value V) V {
	switch v := any(value).(type) {
	case Body:
		delete(v, "display")
		for _, each := range v {
			WithoutNames(each)
		}
	case map[string]any:
		WithoutNames(Body(v))
	case []any:
		for _, each := range v {
			WithoutNames(each)
		}
	}
	return value
}
