package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"omnirapeutic/e2e/harness"
	"omnirapeutic/modules/rbac"
)

// extreme is a value at the edge of its type. If it has a code, every field refuses it with that
// code.
type extreme struct {
	value any
	code  string
}

// extremes lists values by a schema's type or format.
var extremes = map[string][]extreme{
	"date-time": {
		{"0001-01-01T00:00:00Z", "range"},
		{"0000-01-01T00:00:00Z", "range"},
		{"1899-12-31T23:59:59.999999999Z", "range"},
		{"1900-01-01T00:00:00Z", ""},
		{"2199-12-31T23:59:00Z", ""},
		{"2200-01-01T00:00:00Z", "range"},
		{"9999-12-31T23:59:59.999999999-23:59", "range"},
		{"1582-10-10T00:00:00+14:00", "range"},
	},
	"date": {
		{"0001-01-01", "range"},
		{"1899-12-31", "range"},
		{"1900-01-01", ""},
		{"2199-12-31", ""},
		{"2200-01-01", "range"},
		{"9999-12-31", "range"},
	},
	"integer": {
		{json.Number("-9223372036854775808"), ""},
		{json.Number("9223372036854775807"), ""},
		{json.Number("9223372036854775808"), ""},
		{json.Number("-1"), ""},
		{json.Number("0"), ""},
		{json.Number("2147483647"), ""},
		{json.Number("2147483648"), ""},
		{json.Number("1.0"), ""},
		{json.Number("1e3"), ""},
		{json.Number("1e400"), ""},
	},
	"number": {
		{json.Number("0"), ""},
		{json.Number("-1"), ""},
		{json.Number("1e400"), ""},
		{json.Number("-1e308"), ""},
		{json.Number("1e-400"), ""},
	},
	"string": {
		{"", ""},
		{" ", ""},
		{"\u202e", ""},
		{"\U0010ffff", ""},
		{strings.Repeat("x", 30_000), ""},
		{strings.Repeat("😀", 300), ""},
		{"FREQ=DAILY;COUNT=9223372036854775807", ""},
		{"FREQ=YEARLY;INTERVAL=2147483647;UNTIL=99991231T235959Z", ""},
		{"FREQ=DAILY;UNTIL=00010101", ""},
	},
}

// TestExtremeValuesInEveryField sends values from the edges of each type to every parameter and
// every member of every body, one at a time in an otherwise valid request. No answer is a 5xx, and
// a date or time out of range is refused by name.
func TestExtremeValuesInEveryField(t *testing.T) {
	t.Parallel()
	harness.SkipUnlessLong(t)
	w := newPropertyWorld(t)
	operations, schemas := readOperations(t)
	m := maker{rand.New(rand.NewPCG(presetSeed, 0)), schemas, w.known}
	tried := 0
	for _, op := range operations {
		if op.name == "listenToEvents" { // the answer does not end; Last-Event-ID has its own tests
			continue
		}
		for _, f := range m.fields(op) {
			for _, x := range extremes[f.kind] {
				tried++
				w.requireExtreme(t, m, op, f, x)
			}
		}
	}
	require.Greater(t, tried, 1000, "every operation has fields")
	w.RequireClean(t)
}

func (w *propertyWorld) requireExtreme(t *testing.T, m maker, op operation, f requestField, x extreme) {
	t.Helper()
	request := m.valid(op)
	for _, name := range []string{"Break-Glass", "If-Match"} { // refused before the field is checked
		request.header.Del(name)
	}
	f.set(m, &request, x.value)
	a := w.send(t, request, w.Own.Tokens[rbac.Admin])
	if a.Text("code") == "forbidden" { // for operators only
		a = w.send(t, request, w.Own.Tokens[rbac.SuperAdmin])
	}
	about := fmt.Sprintf("%s of %s = %v\n%s\n%s", f.name, op.name, x.value, a.Raw, request)
	require.Less(t, a.Status, 500, about)
	w.recover(t, op, a)
	if x.code == "" {
		return
	}
	require.Equal(t, http.StatusUnprocessableEntity, a.Status, about)
	errors, _ := a.Body["errors"].([]any)
	require.True(t, slices.ContainsFunc(errors, func(e any) bool {
		invalid := e.(map[string]any)
		return invalid["code"] == x.code && strings.Contains(fmt.Sprint(invalid["field"]), f.last())
	}), about)
}

// recover reverts changes that would make every later request fail.
func (w *propertyWorld) recover(t *testing.T, op operation, a harness.Answer) {
	t.Helper()
	if op.name == "setSignInPolicy" {
		w.Exec(t, "DELETE FROM sign_in_policies")
	}
	if (strings.HasPrefix(op.path, "/auth/") || strings.HasPrefix(op.path, "/users/")) && a.Status < 300 {
		w.signInAgain(t)
	}
}

// requestField is one field of a request: a parameter, or a member of the body at any depth.
type requestField struct {
	name string // parameter name, or the path of members, with [] for the entries of a list
	in   string // path, query, header or body
	kind string // key of [extremes]
}

// last returns the name of the innermost member.
func (f requestField) last() string {
	parts := strings.Split(strings.ReplaceAll(f.name, "[]", ""), ".")
	return parts[len(parts)-1]
}

// fields lists every field of the operation's requests with extreme values.
func (m maker) fields(op operation) []requestField {
	var all []requestField
	for _, p := range op.parameters {
		if kind := extremeKind(p.schema); kind != "" {
			all = append(all, requestField{p.name, p.in, kind})
		}
	}
	return append(all, m.members(op.body, "", map[string]bool{})...)
}

// members lists the members of an object's schema; seen stops at schemas that contain themselves.
func (m maker) members(s schema, path string, seen map[string]bool) []requestField {
	if ref, ok := s["$ref"].(string); ok {
		if seen[ref] {
			return nil
		}
		within := maps.Clone(seen)
		within[ref] = true
		return m.members(m.schemas[strings.TrimPrefix(ref, "#/components/schemas/")], path, within)
	}
	var all []requestField
	if either, ok := s["oneOf"].([]any); ok {
		for _, item := range either {
			all = append(all, m.members(item.(map[string]any), path, seen)...)
		}
		return all
	}
	if items, ok := s["items"].(map[string]any); ok {
		return m.members(items, path+"[]", seen)
	}
	if properties, ok := s["properties"].(map[string]any); ok {
		for _, name := range slices.Sorted(maps.Keys(properties)) {
			all = append(all, m.members(properties[name].(map[string]any), strings.TrimPrefix(path+"."+name, "."), seen)...)
		}
		return all
	}
	if kind := extremeKind(s); kind != "" && path != "" {
		all = append(all, requestField{path, "body", kind})
	}
	return all
}

func extremeKind(s schema) string {
	if format, ok := s["format"].(string); ok && extremes[format] != nil {
		return format
	}
	kind, _ := s["type"].(string)
	if several, ok := s["type"].([]any); ok {
		kind, _ = several[0].(string)
	}
	if extremes[kind] == nil {
		return ""
	}
	return kind
}

// set puts the value into the request, and creates its parents.
func (f requestField) set(m maker, t *trial, value any) {
	switch f.in {
	case "path":
		t.params[f.name] = url.PathEscape(fmt.Sprint(value))
		if t.params[f.name] == "" { // another path
			t.params[f.name] = "%20"
		}
	case "query":
		t.query = slices.DeleteFunc(t.query, func(text string) bool { return strings.HasPrefix(text, f.name+"=") })
		t.query = append(t.query, f.name+"="+url.QueryEscape(fmt.Sprint(value)))
	case "header":
		if text := fmt.Sprint(value); !strings.ContainsFunc(text, func(c rune) bool { return c < ' ' || c > '~' }) {
			t.header[f.name] = []string{strings.TrimSpace(text)}
		}
	default:
		object, ok := t.value.(map[string]any)
		if !ok {
			object = map[string]any{}
			t.header.Set("Content-Type", "application/json")
		}
		m.put(object, strings.Split(f.name, "."), value)
		t.write(object)
	}
}

// put sets a member of the object, and creates the objects and lists around it.
func (m maker) put(object map[string]any, path []string, value any) {
	name, isList := strings.CutSuffix(path[0], "[]")
	inner := value
	if len(path) > 1 {
		within, ok := object[name].(map[string]any)
		if list, is := object[name].([]any); is && len(list) > 0 {
			within, ok = list[0].(map[string]any)
		}
		if !ok {
			within = map[string]any{}
		}
		m.put(within, path[1:], value)
		inner = within
	}
	if isList {
		inner = []any{inner}
	}
	object[name] = inner
}
