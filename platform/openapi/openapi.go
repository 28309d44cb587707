// Package openapi writes the OpenAPI 3.1 document of routes. Everything in it
// comes from the code that serves them: paths, fields, rules and statuses from the
// routes and their types, descriptions and enumerations from the Go source, and
// examples from requests that were really made. It runs in tests and not in the
// program, which serves the document that a test has held against the code.
package openapi

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/httpx"
)

// Document says what to write a document of. All is needed but Examples.
type Document struct {
	Title, Version, Description string
	Server                      string // where the paths begin: /api/v1
	Operations                  []Operation
	Tags                        map[string]string // descriptions by the first part of the path
	Module, Root                string            // the Go module's name, and the folder of its source
	// Status says which HTTP status an error becomes.
	Status func(*fault.Error) int
	// Problem is the struct of a problem document, without the details of an error.
	Problem reflect.Type
	// Events are what is told of by itself, by the types of the events: the structs
	// of what they carry. Event is the struct around it, with its members type and data.
	Events map[string]reflect.Type
	Event  reflect.Type
}

// Operation is a route with everything that can go wrong, and examples.
type Operation struct {
	httpx.Route
	Faults   []*fault.Error
	Examples []Example
}

// Example is one request that was made, and its answer.
type Example struct {
	Name     string // in the document: short, unique in its operation
	Summary  string // what is shown, for people
	Path     map[string]string
	Request  json.RawMessage // nil: none
	Status   int
	Response json.RawMessage // nil: none
}

// Build returns the document, indented JSON. It panics on a type that it cannot
// describe: its result is committed, so that is noticed at once.
func (d Document) Build() []byte {
	b := &builder{Document: d, schemas: &schemas{
		source: &source{module: d.Module, root: d.Root, packages: map[string]packageSource{}},
		types:  map[string]reflect.Type{},
	}, names: map[string]string{}}
	paths := Object{}
	var tags []Object
	for _, o := range d.Operations {
		path := pathOf(o.Path)
		item, _ := paths.Get(path).(Object)
		item.Set(strings.ToLower(o.Method), b.operation(o))
		paths.Set(path, item)
	}
	for _, name := range slices.Sorted(maps.Keys(d.Tags)) {
		tags = append(tags, Object{{"name", name}, {"description", d.Tags[name]}})
	}
	document := Object{
		{"openapi", "3.1.0"},
		{"info", Object{
			{"title", d.Title},
			{"version", d.Version},
			{"description", d.Description},
		}},
		{"servers", []Object{{{"url", d.Server}}}},
		{"security", []Object{{{"accessToken", []string{}}}}},
		{"tags", tags},
		{"paths", paths},
		{"webhooks", b.events()},
		{"components", Object{
			{"securitySchemes", Object{{"accessToken", Object{
				{"type", "http"}, {"scheme", "bearer"}, {"bearerFormat", "JWT"}, {"description", "What `POST /auth/login` answers as `accessToken`."},
			}}}},
			{"responses", b.common.sorted()},
			{"schemas", b.schemas.components()},
		}},
	}
	text, err := document.MarshalJSON()
	if err != nil {
		panic(err)
	}
	var indented strings.Builder
	if err := indent(&indented, text); err != nil {
		panic(err)
	}
	return []byte(indented.String())
}

type builder struct {
	Document
	schemas *schemas
	common  Object            // those that several operations have
	names   map[string]string // of responses by their text
}

func pathOf(path string) string {
	parts := strings.Split(path, "/")
	for i, part := range parts {
		if name, ok := strings.CutPrefix(part, ":"); ok {
			parts[i] = "{" + name + "}"
		}
	}
	return strings.Join(parts, "/")
}

func tagOf(path string) string { return strings.Split(path, "/")[1] }

func (b *builder) operation(o Operation) Object {
	operation := Object{
		{"operationId", o.Name}, {"summary", o.Summary}, {"description", b.describe(o)}, {"tags", []string{tagOf(o.Path)}},
	}
	if o.Permission == httpx.Public {
		operation.Set("security", []Object{})
	}
	if parameters := b.parameters(o); len(parameters) > 0 {
		operation.Set("parameters", parameters)
	}
	if len(bodyFields(o.Endpoint.In)) > 0 {
		operation.Set("requestBody", b.requestBody(o))
	}
	operation.Set("responses", b.responses(o))
	return operation
}

func (b *builder) describe(o Operation) string {
	text := o.Description
	switch o.Permission {
	case httpx.Public:
	case httpx.SignedIn:
		text += "\n\nFor everybody who is signed in."
	default:
		text += fmt.Sprintf("\n\nPermission: `%s`.", o.Permission)
	}
	return text
}

func (b *builder) parameters(o Operation) []Object {
	var all []Object
	for _, f := range fieldsOf(o.Endpoint.In) {
		if f.from == "json" {
			continue
		}
		all = append(all, b.parameter(o, f))
	}
	if o.Method == http.MethodPost && !o.ReadOnly && !slices.ContainsFunc(all, func(p Object) bool { return p.Get("name") == "Idempotency-Key" }) {
		all = append(all, Object{
			{"name", "Idempotency-Key"},
			{"in", "header"},
			{"description", parameterWords["Idempotency-Key"]},
			{"schema", Object{{"type", "string"}, {"maxLength", 255}, {"pattern", `^[\x20-\x7e]*$`}}},
		})
	}
	if o.Limited && (o.Method == http.MethodGet || o.ReadOnly) {
		all = append(all, Object{
			{"name", "Break-Glass"},
			{"in", "header"},
			{"description", parameterWords["Break-Glass"]},
			{"schema", Object{{"type", "string"}, {"format", "uuid"}}},
		})
	}
	return all
}

// parameterWords describe the parameters that are the same everywhere.
var parameterWords = map[string]string{
	"Idempotency-Key": "Makes the request safe to repeat after any failure: sent again with the same key and body, it gets the first answer, and nothing is done twice. A new key, such as a UUID, for each new intention.",
	"Break-Glass":     "The id of an emergency grant that one holds: see `POST /emergency-grants`. This request, on record, reaches the records of the grant's patient as well.",
	"If-Match":        "The `ETag` of the version that the change is meant for. Another version is there by now: 412.",
	"limit":           "How many items a page has at most; 20 where it is not given.",
	"cursor":          "The `nextCursor` of the page before; together with the same filters.",
	"sort":            "The order; a minus sign turns it around.",
	"format":          "`csv` for a table by RFC 4180, as `Accept: text/csv` asks for as well: the columns are the members of an item, nothing stands for null, and a text that a spreadsheet would take for a formula has an apostrophe before it. Without `limit` it has up to 10,000 rows; `Next-Cursor` says that there are more.",
	"Last-Event-ID":   "The id of the last event that was received: the stream goes on after it.",
}

func (b *builder) parameter(o Operation, f field) Object {
	in := map[string]string{"param": "path", "query": "query", "header": "header", "cookie": "cookie"}[f.from]
	schema := b.schemas.member(f, sent)
	description := cmp.Or(parameterWords[f.name], text(schema.Get("description")))
	schema = slices.DeleteFunc(schema, func(m member) bool { return m.name == "description" })
	p := Object{{"name", f.name}, {"in", in}}
	if in == "path" || f.required {
		p.Set("required", true)
	}
	if in == "path" && description == "" {
		description = "The id."
	}
	if description != "" {
		p.Set("description", description)
	}
	p.Set("schema", schema)
	for _, e := range o.Examples {
		if value := e.Path[f.name]; value != "" && in == "path" {
			p.Set("example", value)
			break
		}
	}
	return p
}

func text(v any) string { s, _ := v.(string); return s }

func (b *builder) requestBody(o Operation) Object {
	schema := Object{{"$ref", b.schemas.name(o.Endpoint.In, "", func() any { return b.schemas.object(o.Endpoint.In, sent) })}}
	media := Object{{"schema", schema}}
	examples := Object{}
	for _, e := range o.Examples {
		if e.Request != nil {
			examples.Set(e.Name, Object{{"summary", e.Summary}, {"value", e.Request}})
		}
	}
	if len(examples) > 0 {
		media.Set("examples", examples)
	}
	content := Object{{"application/json", media}}
	if o.Method == http.MethodPatch {
		content = Object{{"application/merge-patch+json", Object{{"schema", schema}}}, {"application/json", media}}
	}
	required := slices.ContainsFunc(bodyFields(o.Endpoint.In), func(f field) bool { return f.required })
	return Object{{"required", required}, {"content", content}}
}

func (b *builder) responses(o Operation) Object {
	all := Object{{strconv.Itoa(o.Endpoint.Status), b.success(o)}}
	if o.Endpoint.Media != "" {
		all.Set(strconv.Itoa(http.StatusNotModified), Object{{"description", "The client has it: see `If-None-Match`."}})
	}
	faults := map[int][]*fault.Error{}
	for _, f := range o.Faults {
		faults[b.Status(f)] = append(faults[b.Status(f)], f)
	}
	for _, status := range slices.Sorted(maps.Keys(faults)) {
		all.Set(strconv.Itoa(status), b.shared(status, b.refusal(o, status, faults[status])))
	}
	return all
}

func (b *builder) success(o Operation) Object {
	headers := Object{{"X-Request-Id", header("The id of this request: name it in questions.")}}
	out := o.Endpoint.Out
	if out.Implements(reflect.TypeFor[httpx.Versioned]()) {
		headers.Set("ETag", header("The version, for `If-Match`."))
	}
	if out.Implements(reflect.TypeFor[httpx.Located]()) && o.Endpoint.Status == http.StatusCreated {
		headers.Set("Location", header("Where it can be read."))
	}
	if o.Method == http.MethodPost && !o.ReadOnly {
		headers.Set("Idempotency-Replayed", header("`true` where this is the answer to an earlier request with the same key."))
	}
	if o.Endpoint.Status == http.StatusFound {
		headers.Set("Location", header("Where the browser goes."))
	}
	answer := Object{{"description", http.StatusText(o.Endpoint.Status)}, {"headers", headers}}
	switch {
	case o.Endpoint.Status == http.StatusNoContent, o.Endpoint.Status == http.StatusFound:
	case o.Endpoint.Downloads:
		answer.Set("content", Object{
			{"application/jsonl", b.media(o, o.Endpoint.Status, Object{{"type", "string"}})},
			{"text/csv", Object{{"schema", Object{{"type", "string"}}}}},
		})
	case o.Endpoint.Streams:
		answer.Set("content", Object{{"text/event-stream", b.media(o, o.Endpoint.Status, Object{{"type", "string"}})}})
	case o.Endpoint.Media != "":
		headers.Set("ETag", header("What is in it, for `If-None-Match`."))
		answer.Set("headers", headers)
		answer.Set("content", Object{{o.Endpoint.Media, b.media(o, o.Endpoint.Status, Object{{"type", "string"}})}})
	default:
		content := Object{{"application/json", b.media(o, o.Endpoint.Status, Object{{"$ref", b.schemas.structure(out, given)}})}}
		if o.Endpoint.Tables {
			content.Set("text/csv", Object{{"schema", Object{{"type", "string"}}}})
			headers.Set(httpx.HeaderNextCursor, header("Of CSV: the `nextCursor`, where there are more rows."))
			answer.Set("headers", headers)
		}
		answer.Set("content", content)
	}
	return answer
}

// shared keeps a response that other operations may have as well in one place.
// What has examples is the operation's own.
func (b *builder) shared(status int, response Object) Object {
	text, err := response.MarshalJSON()
	if err != nil {
		panic(err)
	}
	if strings.Contains(string(text), `"examples":`) {
		return response
	}
	name, ok := b.names[string(text)]
	if !ok {
		kind := strings.ReplaceAll(http.StatusText(status), " ", "")
		name = kind
		for n := 2; b.common.Get(name) != nil; n++ {
			name = kind + strconv.Itoa(n)
		}
		b.names[string(text)] = name
		b.common.Set(name, response)
	}
	return Object{{"$ref", "#/components/responses/" + name}}
}

// events are the events as they are posted to webhooks. OpenAPI 3.1 has no words
// for what is in a stream; there they are the same.
func (b *builder) events() Object {
	all := Object{}
	for _, kind := range slices.Sorted(maps.Keys(b.Events)) {
		data := b.Events[kind]
		all.Set(kind, Object{{"post", Object{
			{"operationId", "on" + strings.TrimSuffix(eventName(kind), "Event")},
			{"description", text(b.schemas.object(data, given).Get("description")) + "\n\nThe same is in the stream of `GET /events`."},
			{"security", []Object{}},
			{"requestBody", Object{{"required", true}, {"content", Object{{"application/json", Object{{"schema", Object{{"$ref", b.event(kind, data)}}}}}}}}},
			{"responses", Object{{"2XX", Object{{"description", "It has arrived. Anything else is tried again."}}}}},
		}}})
	}
	return all
}

// event is the schema of the events of one type.
func (b *builder) event(kind string, data reflect.Type) string {
	name := eventName(kind)
	schema := b.schemas.object(b.Event, given)
	properties, _ := schema.Get("properties").(Object)
	properties.Set("type", Object{{"type", "string"}, {"const", kind}})
	properties.Set("data", Object{{"$ref", b.schemas.structure(data, given)}})
	schema.Set("properties", properties)
	b.schemas.types[name] = b.Event
	b.schemas.named.Set(name, schema)
	return "#/components/schemas/" + name
}

func eventName(kind string) string { return joined(strings.ReplaceAll(kind, "-", "."), ".") + "Event" }

func header(description string) Object {
	return Object{{"description", description}, {"schema", Object{{"type", "string"}}}}
}

func (b *builder) media(o Operation, status int, schema Object) Object {
	media := Object{{"schema", schema}}
	examples := Object{}
	for _, e := range o.Examples {
		if e.Status == status && e.Response != nil {
			examples.Set(e.Name, Object{{"summary", e.Summary}, {"value", e.Response}})
		}
	}
	if len(examples) > 0 {
		media.Set("examples", examples)
	}
	return media
}

func (b *builder) refusal(o Operation, status int, faults []*fault.Error) Object {
	slices.SortFunc(faults, func(a, c *fault.Error) int { return cmp.Compare(a.Code(), c.Code()) })
	faults = slices.CompactFunc(faults, func(a, c *fault.Error) bool { return a.Code() == c.Code() })
	var words []string
	var refs []Object
	mapping := Object{}
	for _, f := range faults {
		ref := b.problem(f)
		words = append(words, fmt.Sprintf("- `%s`: %s", f.Code(), f.Title()))
		refs = append(refs, Object{{"$ref", ref}})
		mapping.Set(f.Code(), ref)
	}
	schema := refs[0]
	if len(refs) > 1 {
		schema = Object{{"oneOf", refs}, {"discriminator", Object{{"propertyName", "code"}, {"mapping", mapping}}}}
	}
	headers := Object{{"X-Request-Id", header("The id of this request: name it in questions.")}}
	if status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable || status == http.StatusInternalServerError {
		headers.Set("Retry-After", header("In how many seconds to try again."))
	}
	return Object{
		{"description", http.StatusText(status) + ".\n\n" + strings.Join(words, "\n")},
		{"headers", headers},
		{"content", Object{{"application/problem+json", b.media(o, status, schema)}}},
	}
}

// problem is the schema of the problem document of one code, with its details.
func (b *builder) problem(f *fault.Error) string {
	name := problemName(f.Code())
	schema := Object{{"type", "object"}, {"description", f.Title()}}
	b.schemas.types[name] = reflect.TypeFor[fault.Error]()
	base := b.schemas.object(b.Problem, given)
	properties, _ := base.Get("properties").(Object)
	properties.Set("status", Object{{"type", "integer"}, {"const", b.Status(f)}})
	properties.Set("code", Object{{"type", "string"}, {"const", f.Code()}})
	required, _ := base.Get("required").([]string)
	if details := f.Carries(); details != nil {
		more := b.schemas.object(reflect.TypeOf(details), given)
		also, _ := more.Get("properties").(Object)
		properties = append(properties, also...)
		names, _ := more.Get("required").([]string)
		required = append(required, names...)
	}
	schema.Set("properties", properties)
	schema.Set("required", required)
	schema.Set("additionalProperties", false)
	b.schemas.named.Set(name, schema)
	return "#/components/schemas/" + name
}

func problemName(code string) string { return joined(code, "-") + "Problem" }

// joined makes one name of several words.
func joined(words, separator string) string {
	var name strings.Builder
	for word := range strings.SplitSeq(words, separator) {
		name.WriteString(capital(word))
	}
	return name.String()
}
