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
	// Events maps the type of each published event to the struct of its data. Event is
	// the struct around it, with the members type and data. Opening is the struct of the
	// first event of a stream.
	Events map[string]reflect.Type
	// TestEvents are further types, which webhooks receive and streams do not contain.
	TestEvents map[string]reflect.Type
	Event      reflect.Type
	Opening    reflect.Type
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
			{"license", Object{{"name", "Apache-2.0"}, {"identifier", "Apache-2.0"}}},
		}},
		{"servers", []Object{{{"url", d.Server}}}},
		{"security", []Object{{{"accessToken", []string{}}}}},
		{"tags", tags},
		{"paths", paths},
		{"webhooks", b.events()},
		{"components", Object{
			{"securitySchemes", Object{{"accessToken", Object{
				{"type", "http"},
				{"scheme", "bearer"},
				{"bearerFormat", "JWT"},
				{"description", "The `accessToken` of the answer of `POST /auth/login`."},
			}}}},
			{"responses", b.common.sorted()},
			{"schemas", b.schemas.components()},
		}},
	}
	text, err := document.Indented()
	if err != nil {
		panic(err)
	}
	return text
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
	hasKey := slices.ContainsFunc(all, func(p Object) bool { return p.Get("name") == "Idempotency-Key" })
	if o.Method == http.MethodPost && !o.ReadOnly && !o.Momentary && !hasKey {
		all = append(all, Object{
			{"name", "Idempotency-Key"},
			{"in", "header"},
			{"description", parameterWords["Idempotency-Key"]},
			{"schema", Object{{"type", "string"}, {"maxLength", 255}, {"pattern", `^[\x20-\x7e]*$`}}},
		})
	}
	if o.Limited != 0 && (o.Method == http.MethodGet || o.ReadOnly) {
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
			p.Set("example", exampleOf(schema, value))
			break
		}
	}
	return p
}

// exampleOf converts a value from a path to the JSON value that the schema describes.
func exampleOf(schema Object, value string) any {
	if schema.Get("type") == "integer" {
		return json.Number(value)
	}
	return value
}

func text(v any) string { s, _ := v.(string); return s }

func (b *builder) requestBody(o Operation) Object {
	schema := Object{{"$ref", b.schemas.name(o.Endpoint.In, "", func() any { return b.schemas.object(o.Endpoint.In, sent) })}}
	media := Object{{"schema", schema}}
	examples := Object{}
	for _, e := range successesFirst(o.Examples) { // readers send the first one unchanged
		if e.Request != nil && e.Status != http.StatusUnprocessableEntity { // 422 examples violate the schema on purpose
			examples.Set(e.Name, Object{{"summary", e.Summary}, {"value", e.Request}})
		}
	}
	if len(examples) > 0 {
		media.Set("examples", examples)
	}
	content := Object{{"application/json", media}}
	if o.Method == http.MethodPatch {
		content = Object{{"application/merge-patch+json", media}, {"application/json", media}}
	}
	required := slices.ContainsFunc(bodyFields(o.Endpoint.In), func(f field) bool { return f.required })
	return Object{{"required", required}, {"content", content}}
}

// successesFirst returns the successful examples before the refused ones.
func successesFirst(examples []Example) []Example {
	refused := func(e Example) int {
		if e.Status >= http.StatusBadRequest {
			return 1
		}
		return 0
	}
	return slices.SortedStableFunc(slices.Values(examples), func(a, b Example) int { return refused(a) - refused(b) })
}
