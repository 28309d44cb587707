package e2e

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"

	"omnirapeutic/e2e/harness"
)

// schema is a JSON Schema of the contract.
type schema map[string]any

// operation is the contract of one kind of request.
type operation struct {
	name, method, path string
	parameters         []parameter
	body               schema // nil: no body
	needsBody          bool
	media              []string
	accepts            *jsonschema.Schema // of the body
}

type parameter struct {
	name, in string
	required bool
	schema   schema
}

// readOperations reads the contract, in the order of its paths.
func readOperations(t testing.TB) ([]operation, map[string]schema) {
	t.Helper()
	raw, err := os.ReadFile(harness.ContractFile)
	require.NoError(t, err)
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	require.NoError(t, err)
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	require.NoError(t, compiler.AddResource("contract", document))
	var contract struct {
		Paths map[string]map[string]struct {
			OperationID string
			Parameters  []struct {
				Name, In string
				Required bool
				Schema   schema
			}
			RequestBody *struct {
				Required bool
				Content  map[string]struct{ Schema schema }
			}
		}
		Components struct{ Schemas map[string]schema }
	}
	require.NoError(t, json.Unmarshal(raw, &contract))
	var all []operation
	for path, methods := range contract.Paths {
		for method, o := range methods {
			op := operation{name: o.OperationID, method: strings.ToUpper(method), path: path}
			for _, p := range o.Parameters {
				op.parameters = append(op.parameters, parameter{p.Name, p.In, p.Required, p.Schema})
			}
			if o.RequestBody != nil {
				op.needsBody = o.RequestBody.Required
				for media, content := range o.RequestBody.Content {
					op.media, op.body = append(op.media, media), content.Schema
				}
				slices.Sort(op.media)
				op.accepts, err = compiler.Compile("contract#/paths/" + harness.EscapePointer(path) + "/" + method +
					"/requestBody/content/application~1json/schema")
				require.NoError(t, err)
			}
			all = append(all, op)
		}
	}
	slices.SortFunc(all,
		func(a, b operation) int { return cmp.Or(cmp.Compare(a.path, b.path), cmp.Compare(a.method, b.method)) })
	return all, contract.Components.Schemas
}

// maker generates requests from the contract. All choices come from one seed.
type maker struct {
	*rand.Rand
	schemas map[string]schema
	known   known
}

// known has existing values: ids by kind, and cursors by operation.
type known struct {
	ids     map[string][]string
	made    map[string][]string // ids that the test has created
	cursors map[string][]string
	emails  []string
}

func (m maker) chance(percent int) bool { return m.IntN(100) < percent }

func pick[T any](m maker, from ...T) T { return from[m.IntN(len(from))] }

// trial is one request.
type trial struct {
	op     operation
	params map[string]string
	query  []string // name=value, encoded
	header http.Header
	body   []byte // nil: none
	value  any    // source of the body
	defect string // the expected error; "" if the request is valid
	unsent bool   // its length is not sent in advance
}

func (t trial) target() string {
	path := t.op.path
	for name, value := range t.params {
		path = strings.ReplaceAll(path, "{"+name+"}", value)
	}
	if len(t.query) > 0 {
		path += "?" + strings.Join(t.query, "&")
	}
	return path
}

func (t trial) String() string {
	body := t.body
	if len(body) > 1000 {
		body = append(slices.Clone(body[:1000]), "…"...)
	}
	return fmt.Sprintf("%s %s %v\n%s\nwrong: %s", t.op.method, t.target(), t.header, body, cmp.Or(t.defect, "nothing"))
}

// valid generates a request that is valid by the contract.
func (m maker) valid(op operation) trial {
	t := trial{op: op, params: map[string]string{}, header: http.Header{}}
	for _, p := range op.parameters {
		if !p.required && m.chance(60) {
			continue
		}
		switch p.in {
		case "path":
			t.params[p.name] = url.PathEscape(m.word(op, p))
		case "header":
			t.header.Set(p.name, m.word(op, p))
		case "query":
			for _, text := range m.words(op, p) {
				t.query = append(t.query, p.name+"="+url.QueryEscape(text))
			}
		}
	}
	if op.body != nil && (op.needsBody || m.chance(90)) {
		t.write(m.value(op.body, ""))
		t.header.Set("Content-Type", pick(m, op.media...)+pick(m, "", "", "; charset=utf-8"))
	}
	return t
}

func (t *trial) write(value any) {
	t.value = value
	t.body, _ = json.Marshal(value) // JSON types only
}

func (m maker) words(op operation, p parameter) []string {
	items, ok := p.schema["items"].(map[string]any)
	if !ok {
		return []string{m.word(op, p)}
	}
	all := make([]string, 1+m.IntN(3))
	for i := range all {
		all[i] = fmt.Sprint(m.value(items, p.name))
	}
	return all
}

// word generates a parameter.
func (m maker) word(op operation, p parameter) string {
	switch p.name {
	case "id":
		kind := kindsOfIDs[strings.Join(strings.Split(op.path, "/")[1:3], "/")]
		if created := m.known.made[kind]; op.method == http.MethodDelete && len(created) > 0 && m.chance(60) {
			return pick(m, created...)
		} else if op.method == http.MethodDelete {
			kind = "" // initial records are kept, so that there are always some
		}
		return m.id(kind)
	case "deliveryId":
		return pick(m, "1", "2", "1", "0", "-1", "9223372036854775807")
	case "cursor":
		if found := m.known.cursors[op.name]; len(found) > 0 && m.chance(80) {
			return pick(m, found...)
		}
	case "If-Match":
		return pick(m, "*", `"1"`, `"1"`, `"2"`, `"1", "2","3"`, `W/"1"`, "7", `"x`, ",,")
	case "Idempotency-Key":
		return pick(m, "visit 12", "~", uuid.NewString(), uuid.NewString(), strings.Repeat("k", 255))
	}
	return fmt.Sprint(m.value(p.schema, p.name))
}

// id returns an id: usually of the kind, in the own or the other organization.
func (m maker) id(kind string) string {
	var exists []string
	switch found := m.known.ids[kind]; {
	case len(found) > 0 && m.chance(80):
		exists = found
	case kind != "" && m.chance(50):
		for _, kind := range slices.Sorted(maps.Keys(m.known.ids)) {
			exists = append(exists, m.known.ids[kind]...)
		}
	}
	if len(exists) == 0 {
		return pick(m, uuid.NewString(), uuid.Max.String(), uuid.Nil.String(), strings.ToUpper(uuid.NewString()))
	}
	return pick(m, exists...)
}

// kindsOfIDs are the kinds of ids, by member names and by prefixes of paths.
var kindsOfIDs = map[string]string{
	"patientId": "patients", "patients/{id}": "patients",
	"serviceCodeId": "service-codes", "service-codes/{id}": "service-codes",
	"payerId": "payers", "payers/{id}": "payers",
	"diagnoses/{id}": "diagnoses", "rates/{id}": "rates",
	"insuranceId": "insurances", "insurances/{id}": "insurances",
	"authorizationId": "authorizations", "authorizations/{id}": "authorizations",
	"reservationId": "reservations", "practitioners/{id}": "practitioners",
	"practitionerId": "practitioners", "practitionerIds": "practitioners", "appointmentId": "appointments",
	"appointments/{id}": "appointments", "sessions/{id}": "sessions",
	"organizations/{id}": "organizations", "admin/webhooks": "webhooks",
	"users/{id}": "users", "emergency-grants/{id}": "emergency-grants",
}

// value generates a value that the schema accepts, for the member of the name.
func (m maker) value(s schema, name string) any {
	if ref, ok := s["$ref"].(string); ok {
		return m.value(m.schemas[strings.TrimPrefix(ref, "#/components/schemas/")], name)
	}
	if either, ok := s["oneOf"].([]any); ok {
		return m.value(pick(m, either...).(map[string]any), name)
	}
	kind, _ := s["type"].(string)
	nullable := false
	if several, ok := s["type"].([]any); ok {
		kind, nullable = several[0].(string), true
	}
	if nullable && m.chance(15) || kind == "null" {
		return nil
	}
	if values, ok := s["enum"].([]any); ok {
		return pick(m, slices.DeleteFunc(slices.Clone(values), func(v any) bool { return v == nil })...)
	}
	switch kind {
	case "object":
		return m.object(s)
	case "array":
		return m.list(s, name)
	case "boolean":
		return m.chance(50)
	case "integer":
		return m.integer(s, name)
	case "number":
		least := limit(s, "minimum", 0)
		return float64(least) + m.Float64()*float64(limit(s, "maximum", least+1)-least)
	case "string":
		return m.text(s, name)
	}
	return pick[any](m, nil, true, 1, "x", []any{}, map[string]any{})
}

func (m maker) object(s schema) map[string]any {
	properties, _ := s["properties"].(map[string]any)
	required, _ := s["required"].([]any)
	created := map[string]any{}
	often := pick(m, 10, 30, 60) // rarely many, because many members exclude each other
	for _, name := range slices.Sorted(maps.Keys(properties)) {
		if slices.Contains(required, any(name)) || m.chance(often) || name == "units" && m.chance(50) {
			created[name] = m.value(properties[name].(map[string]any), name)
		}
	}
	return created
}

func (m maker) list(s schema, name string) []any {
	least, most := limit(s, "minItems", 0), limit(s, "maxItems", 10)
	n := least + m.IntN(min(3, most-least+1))
	if m.chance(4) {
		n = most
	}
	created := make([]any, n)
	for i := range created {
		created[i] = m.value(s["items"].(map[string]any), name)
	}
	return created
}

func limit(s schema, keyword string, otherwise int) int {
	if n, ok := s[keyword].(float64); ok {
		return int(n)
	}
	return otherwise
}

func (m maker) integer(s schema, name string) int {
	const huge = 1 << 53
	least, most := limit(s, "minimum", -huge), limit(s, "maximum", huge)
	switch {
	case m.chance(8):
		return least
	case m.chance(8):
		return most
	case name == "totalUnits" && m.chance(70):
		return 20 + m.IntN(200)
	}
	return max(least, 0) + m.IntN(min(8, most-max(least, 0)+1))
}

func (m maker) text(s schema, name string) string {
	switch s["format"] {
	case "uuid":
		return m.id(kindsOfIDs[name])
	case "date":
		return m.date(name)
	case "date-time":
		if m.chance(90) { // a quarter of an hour within a few days; ends are later
			quarters := m.IntN(4 * 24 * 20)
			if name == "endTime" {
				quarters += 1 + m.IntN(40)
			}
			const quarter = 15 * time.Minute
			return time.Now().UTC().Truncate(24*time.Hour).AddDate(0, 0, -12).Add(time.Duration(quarters) * quarter).
				Format(time.RFC3339)
		}
		return pick(m, time.Now().UTC().Format(time.RFC3339), "0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999999-23:59")
	case "email":
		return pick(m, m.known.emails...)
	}
	least, most := limit(s, "minLength", 0), limit(s, "maxLength", 300)
	if hint, ok := hints[name]; ok && m.chance(70) {
		return pick(m, hint...)
	}
	if name == "email" && m.chance(70) {
		return pick(m, m.known.emails...)
	}
	if name == "code" && m.chance(70) {
		return strconv.Itoa(10000 + m.IntN(90000))
	}
	n := min(least+m.IntN(12), most)
	if m.chance(5) {
		n = most
	}
	if pattern, ok := s["pattern"].(string); ok {
		if strings.Contains(pattern, "24:00") { // a time of day
			return pick(m, "00:00", "08:00", "12:30", "17:45", "23:59", "24:00")
		}
		n = max(n, 1)
	}
	created := make([]rune, 0, n)
	odd := m.chance(30)
	for len(created) < n {
		switch {
		case len(created) == 0:
			created = append(created, pick(m, []rune("Az5Жé😀")...))
		case odd && m.chance(30):
			created = append(created, []rune(pick(m, letters...))...)
		default:
			created = append(created, pick(m, 'a', 'b', '-', '7'))
		}
	}
	return string(created[:n])
}

// hints are sensible texts for members without a precise schema.
var hints = map[string][]string{
	"timeZone":    {"UTC", "America/New_York", "Pacific/Kiritimati", "Pacific/Apia", "Antarctica/Troll"},
	"npi":         {"1234567893", "1245319599", "1003000126"},
	"url":         {"https://hooks.example.org/x", "http://hooks.example.org:8080/a?b=c#d", "https://[2001:db8::1]/"},
	"types":       {"authorization.balance"},
	"password":    {harness.Password, "wrong"},
	"status":      {"PENDING", "ACTIVE", "EXPIRED", "EXHAUSTED", "CANCELLED"},
	"requiredBy":  {"RBT"},
	"credentials": {"RBT", "BCBA"},
}

// letters are characters that need special treatment somewhere.
var letters = []string{
	"%", "_", `\`, "'", `"`, "<", "&", "\t", "\n", " ", "\u00a0", "\u200b", "\u2028", "\u202e", "\ufeff", "\ufffd",
	"\U0010ffff",
	"e\u0301", "ß", "İ", "日", "👩\u200d👧", "\u007f", "\u0001", ";", "$1", "--", "${x}", "{{x}}", "\u0130",
}

func (m maker) date(name string) string {
	now := time.Now()
	switch {
	case m.chance(12) && strings.HasPrefix(name, "start"):
		return "1900-01-01"
	case m.chance(12) && strings.HasPrefix(name, "end"):
		return "2199-12-31"
	case m.chance(12):
		return pick(m, "0001-01-01", "1900-01-01", "9999-12-31", "2199-12-31", "1970-01-01", "2024-02-29", "1582-10-10",
			"0000-02-29")
	case name == "dateOfBirth":
		return now.AddDate(-1-m.IntN(90), 0, -m.IntN(300)).Format(time.DateOnly)
	case strings.HasPrefix(name, "start"):
		return now.AddDate(0, 0, -m.IntN(60)).Format(time.DateOnly)
	case strings.HasPrefix(name, "end"):
		return now.AddDate(0, 0, 30+m.IntN(60)).Format(time.DateOnly)
	}
	return now.AddDate(0, 0, m.IntN(40)-20).Format(time.DateOnly)
}

// spoil changes a valid request, usually so that it becomes invalid.
func (m maker) spoil(t *trial) {
	for range 20 {
		var spoiled bool
		switch m.IntN(10) {
		case 0:
			spoiled = m.spoilPath(t)
		case 1, 2:
			spoiled = m.spoilQuery(t)
		case 3:
			spoiled = m.spoilHeader(t)
		case 4:
			spoiled = m.spoilMedia(t)
		case 5, 6:
			spoiled = m.spoilText(t)
		default:
			spoiled = m.spoilValue(t)
		}
		if spoiled {
			return
		}
	}
}

func (m maker) one(t *trial, in string) (parameter, bool) {
	var all []parameter
	for _, p := range t.op.parameters {
		if p.in == in {
			all = append(all, p)
		}
	}
	if len(all) == 0 {
		return parameter{}, false
	}
	return pick(m, all...), true
}

// spoiled are invalid texts for a parameter, by the type or format of its schema.
var spoiled = map[string][]string{
	"uuid": {
		"x", "0", "%00", "%ff", "..%2f..", "%20", "null", strings.Repeat("a", 3000), "0198f0de00007000800000000000000a",
		"%7B0198f0de-0000-7000-8000-00000000000a%7D", "urn:uuid:0198f0de-0000-7000-8000-00000000000a",
		"0198f0de-0000-7000-8000-00000000000g", "0198f0de-0000-7000-8000-00000000000a%0a", "'%3B--",
	},
	"integer": {
		"x", "1.5", "1e-3", "0x1", "%2B1", "99999999999999999999999", "1_000", "%00", "NaN", "--1", "%D9%A1",
		"1%20", "-",
	},
	"boolean": {"1", "0", "TRUE", "yes", "null", "t", "%00", "true%20"},
	"enum":    {"active", "NONE", "ACTIVE,INACTIVE", "ACTIVE%00", "%ff", "0", "ACTIVE%20"},
	"string":  {"%00", "%ff", "%C3%28", "%ED%A0%80", "a%00b"},
}

func kindOf(s schema) string {
	kind, _ := s["type"].(string)
	if s["format"] == "uuid" {
		kind = "uuid"
	}
	if s["enum"] != nil {
		kind = "enum"
	}
	return kind
}

func (m maker) spoilPath(t *trial) bool {
	p, ok := m.one(t, "path")
	if ok {
		text := pick(m, spoiled[kindOf(p.schema)]...)
		t.params[p.name], t.defect = text, "the path's "+p.name
	}
	return ok
}

func (m maker) spoilQuery(t *trial) bool {
	p, ok := m.one(t, "query")
	ignores := t.op.name == "finishProviderSignIn" // identity providers may add parameters
	if !ok || m.chance(25) && !ignores {
		t.query = append(t.query,
			pick(m, "nothing=1", "x", "%00=1", "Limit=5", "limit[]=5", "=", strings.Repeat("y", 300)+"=1",
				"a=%zz", "limit%00=1", "%", "a;b=1", "%ff"))
		t.defect = "an unknown or badly encoded query parameter"
		return true
	}
	t.query = slices.DeleteFunc(t.query, func(text string) bool { return strings.HasPrefix(text, p.name+"=") })
	t.defect = "the query's " + p.name
	kind := kindOf(p.schema)
	switch {
	case kind == "array":
		t.query = append(t.query, p.name+"=A", p.name+"="+pick(m, spoiled["string"]...))
	case m.chance(15):
		text := url.QueryEscape(fmt.Sprint(m.value(p.schema, p.name)))
		t.query = append(t.query, p.name+"="+text, p.name+"="+text)
	case p.name == "cursor" && m.chance(60):
		text := pick(m, "x", "e30", "bnVsbA", "MQ==", "IiI", "W10", "W1tbW1tbW1tb", "eyJYIjoxfQ", "-_-_", "%F0%9F%98%80",
			strings.Repeat("A", 1999), strings.Repeat("A", 2001), strings.Repeat("A", 60000))
		t.query = append(t.query, p.name+"="+text)
	case kind == "integer" && m.chance(40):
		t.query = append(t.query, fmt.Sprintf("%s=%d", p.name, limit(p.schema, "minimum", 0)-1))
	case p.schema["maxLength"] != nil && m.chance(40):
		t.query = append(t.query, p.name+"="+strings.Repeat("é", limit(p.schema, "maxLength", 0)+1))
	default:
		t.query = append(t.query, p.name+"="+pick(m, spoiled[kind]...))
	}
	return true
}

func (m maker) spoilHeader(t *trial) bool {
	p, ok := m.one(t, "header")
	if !ok {
		return false
	}
	t.defect = "the header " + p.name
	switch p.name {
	case "Idempotency-Key":
		t.header[p.name] = pick(m, []string{strings.Repeat("k", 256)}, []string{"é"}, []string{"\xff"}, []string{"a", "b"},
			[]string{"a\tb"}, []string{""}, []string{strings.Repeat("k", 20000)})
	case "If-Match":
		t.header[p.name] = pick(m, []string{`"999999"`}, []string{"\xff"}, []string{`"1"`, `"2"`}, []string{`W/"1"`},
			[]string{"1"},
			[]string{""}, []string{strings.Repeat(`"x",`, 5000)})
	case "Break-Glass":
		t.header[p.name] = pick(m, []string{"x"}, []string{"00000000"}, []string{"é"}, []string{"a", "b"},
			[]string{strings.Repeat("0", 5000)})
	default:
		text, err := url.PathUnescape(pick(m, spoiled[kindOf(p.schema)]...))
		if err != nil || strings.ContainsAny(text, "\x00 ") { // a header cannot have these, at least not at its ends
			return false
		}
		t.header["Last-Event-ID"] = pick(m, []string{text}, []string{"1", "2"}, []string{"-1"})
	}
	return true
}

func (m maker) spoilMedia(t *trial) bool {
	if t.body == nil {
		return false
	}
	t.defect = "the media type"
	if m.chance(20) {
		t.header.Set("Content-Encoding", pick(m, "gzip", "br", "gzip, gzip"))
		return true
	}
	t.header["Content-Type"] = pick(m, nil, []string{"text/plain"}, []string{"application/xml"},
		[]string{"application/json; charset=latin1"},
		[]string{"multipart/form-data; boundary=x"}, []string{"application/x-www-form-urlencoded"},
		[]string{"application/json;;"}, []string{"json"}, []string{"\xff"}, []string{"application/jsonx"})
	return true
}

// spoilText damages the body as text.
func (m maker) spoilText(t *trial) bool {
	if t.op.body == nil {
		t.header.Set("Content-Type", pick(m, "application/json", "text/plain"))
		t.body, t.defect = []byte(pick(m, `{"x":1}`, `[]`, `1`, "\xff", `{`,
			strings.Repeat("[", 100_000))), "an unexpected body"
		return true
	}
	t.header.Set("Content-Type", "application/json")
	written := string(t.body)
	if t.body == nil {
		written = "{}"
	}
	inside := strings.TrimSuffix(written, "}")
	comma := ""
	if inside != "{" {
		comma = ","
	}
	t.defect = "the syntax of the body"
	broken := []string{
		written[:len(written)-1], written + "}", written + written, "[" + written + "]", "\ufeff" + written,
		"// \n" + written,
		"null", "1", `"x"`, "[]", "tru", "'x'", `{"a":}`, "\xff" + written, written + "\x00", `{"a" "b"}`, inside + ",}",
		inside + comma + `"a\u0000b":1}`, inside + comma + `"\ud800":1}`, inside + comma + "\"\xc3\x28\":1}",
		inside + comma + "\"a\x01\":1}",
		inside + comma + `"x":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + "}",
		inside + comma + `"x":` + strings.Repeat(`{"x":`, 33) + "1" + strings.Repeat("}", 33) + "}",
		inside + comma + `"x":1e999999999}`, inside + comma + `"x":` + strings.Repeat("9", 40_000) + "}",
		inside + comma + `"":null}`,
		strings.Repeat("[", 60_000), strings.Repeat(`{"":`, 15_000), strings.Repeat(" ", bodyLimit+1),
		written + strings.Repeat(" ", bodyLimit),
	}
	if object, ok := t.value.(map[string]any); ok {
		for _, name := range slices.Sorted(maps.Keys(object)) {
			again, _ := json.Marshal(object[name])
			broken = append(broken, inside+`,"`+name+`":`+string(again)+"}",
				inside+`,"\u00`+strconv.FormatInt(int64(name[0]), 16)+name[1:]+`":`+string(again)+"}")
			if _, isText := object[name].(string); isText {
				for _, text := range []string{
					`"a\u0000b"`, `"\ud800"`, `"\udc00\ud800"`, "\"\xff\"", "\"\x00\"", "\"\t\n\"",
					`"\x41"`, `"\u12"`,
				} {
					broken = append(broken, strings.Replace(written, `"`+name+`":`+string(again), `"`+name+`":`+text, 1))
				}
			}
		}
	}
	t.body = []byte(pick(m, broken...))
	t.unsent = m.chance(20)
	return true
}

// spoilValue changes a member of the body, at any depth. The schema decides whether it
// is then invalid.
func (m maker) spoilValue(t *trial) bool {
	object, ok := t.value.(map[string]any)
	if !ok {
		return false
	}
	slots := slotsOf(object)
	if len(slots) == 0 || m.chance(15) {
		object[pick(m, "x", "ID", "organizationId", "__proto__", "Units", "version", "createdAt")] = 1
	} else {
		s := pick(m, slots...)
		if m.chance(15) && s.remove != nil {
			s.remove()
		} else {
			s.set(pick[any](m, nil, true, false, 0, -1, 1.5, json.Number("1e400"), json.Number("99999999999999999999"),
				json.Number("-0"), json.Number("10000001"), 2147483648,
				"", " ", "x", "\u200b", strings.Repeat("x", 5000),
				strings.Repeat("😀", 501), "2026-02-30", "10000-01-01", "2026-1-1", "2026-03-01T00:00:00Z",
				"{0198f0de-0000-7000-8000-00000000000a}", "ACTIVE ", "active", "1", []any{}, []any{nil}, []any{
					"x", "x",
				}, map[string]any{}, map[string]any{
					"code": "RBT",
					"x":    1,
				}))
		}
	}
	t.write(object)
	return true
}

// slot is a position in a JSON value.
type slot struct {
	set    func(any)
	remove func()
}

func slotsOf(value any) []slot {
	var all []slot
	switch v := value.(type) {
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(v)) {
			all = append(all, slot{func(to any) { v[name] = to }, func() { delete(v, name) }})
			all = append(all, slotsOf(v[name])...)
		}
	case []any:
		for i := range v {
			all = append(all, slot{set: func(to any) { v[i] = to }})
			all = append(all, slotsOf(v[i])...)
		}
	}
	return all
}

// settle sets the expected error from the body's schema, if nothing else is invalid.
func (t *trial) settle() error {
	if t.defect != "" || t.op.accepts == nil || t.body == nil {
		return nil
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(t.body))
	if err != nil {
		return err
	}
	if err := t.op.accepts.Validate(value); err != nil {
		t.defect = "by the schema: " + err.Error()
	}
	return nil
}
