// Package openapi generates the OpenAPI 3.1 document of routes. Paths, fields, rules
// and statuses come from the routes and their types, descriptions and enumerations from
// the Go source, and examples from recorded requests. It runs in tests only: the
// program serves a committed document that a test compares with the code.
package openapi

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"time"

	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/httpx"
)

// Document is the input of [Document.Build]. All fields but Examples are required.
type Document struct {
	Title, Version, Description string
	Server                      string // base path: /api/v1
	Operations                  []Operation
	Tags                        map[string]string // descriptions by the first part of the path
	Module, Root                string            // name of the Go module, and the folder of its source
	// Status returns the HTTP status of an error.
	Status func(*fault.Error) int
	// Problem is the struct of a problem document, without the details of an error.
	Problem reflect.Type
	// Reasons is the struct of the further members of problem documents that list all broken rules.
	Reasons reflect.Type
	// Events maps the type of each published event to the struct of its data. Event is
	// the struct around it, with the members type and data. Opening is the struct of the
	// first event of a stream.
	Events map[string]reflect.Type
	// TestEvents are further types, which webhooks receive and streams do not contain.
	TestEvents map[string]reflect.Type
	Event      reflect.Type
	Opening    reflect.Type
	// Records maps the kinds of references to the bodies of their records; see [httpx.Expanded].
	Records map[string]reflect.Type
	// Members describes members and parameters that mean the same in every schema. It is
	// used for fields without a comment.
	Members map[string]string
}

// Operation is a route with its errors and examples.
type Operation struct {
	httpx.Route
	Faults   []*fault.Error
	Examples []Example
}

// Example is a recorded request and its answer.
type Example struct {
	Name     string // short, unique in its operation
	Summary  string // for readers
	Path     map[string]string
	Request  json.RawMessage // nil if there is none
	Status   int
	Response json.RawMessage // nil if there is none
}

// Build returns the document as indented JSON, and an error that names each property
// whose description is missing or is not a whole sentence. It panics on a type that it
// cannot describe. The result is committed, so a panic is noticed during development.
func (d Document) Build() ([]byte, error) {
	b := &builder{Document: d, schemas: &schemas{
		source:  &source{module: d.Module, root: d.Root, packages: map[string]packageSource{}},
		types:   map[string]reflect.Type{},
		records: d.Records,
		checks:  &checks{members: d.Members, found: map[string]bool{}, unstated: map[string]string{}},
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
				{"description", "The `accessToken` from the answer to `POST /auth/login`."},
			}}}},
			{"responses", b.common.sorted()},
			{"schemas", b.schemas.components()},
		}},
	}
	text, err := document.Indented()
	if err != nil {
		return nil, err
	}
	return text, b.schemas.checks.err(b.schemas.named)
}

type builder struct {
	Document
	schemas *schemas
	common  Object            // responses shared by several operations
	names   map[string]string // names of responses by their text
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
	if o.IsDeprecated() {
		operation.Set("deprecated", true)
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
		text += "\n\nRequires a signed-in caller, and no particular permission."
	default:
		text += fmt.Sprintf("\n\nPermission: `%s`.", o.Permission)
	}
	for _, d := range o.Deprecations {
		text += "\n\n" + describeDeprecation(d)
	}
	return text
}

func describeDeprecation(d httpx.Deprecation) string {
	subject := "This operation"
	if d.Field != "" {
		subject = "The field `" + d.Field + "`"
	}
	text := subject + " is deprecated from " + d.Since.UTC().Format(time.DateOnly)
	if !d.Sunset.IsZero() {
		text += ", and may be removed from " + d.Sunset.UTC().Format(time.DateOnly)
	}
	return text + "."
}

func (b *builder) parameters(o Operation) []Object {
	var all []Object
	for _, f := range fieldsOf(o.Endpoint.In) {
		if f.from == "json" {
			continue
		}
		all = append(all, b.parameter(o, f))
	}
	if o.Eventual {
		all = append(all, Object{
			{"name", "consistency"},
			{"in", "query"},
			{"description", sharedParameters["consistency"]},
			{"schema", Object{{"type", "string"}, {"enum", []string{"strong", "eventual"}}}},
		})
	}
	if (o.Method == http.MethodGet || o.ReadOnly) && len(o.Endpoint.References) > 0 {
		names := []string{}
		for _, r := range o.Endpoint.References {
			names = append(names, r.Name)
		}
		slices.Sort(names)
		all = append(all, Object{
			{"name", httpx.ParamExpand},
			{"in", "query"},
			{"description", sharedParameters[httpx.ParamExpand]},
			{"style", "form"},
			{"explode", false},
			{"schema", Object{{"type", "array"}, {"items", Object{{"type", "string"}, {"enum", slices.Compact(names)}}}}},
		})
	}
	hasKey := slices.ContainsFunc(all, func(p Object) bool { return p.Get("name") == "Idempotency-Key" })
	if o.TakesKey() && !hasKey {
		all = append(all, Object{
			{"name", "Idempotency-Key"},
			{"in", "header"},
			{"description", sharedParameters["Idempotency-Key"]},
			{"schema", Object{{"type", "string"}, {"maxLength", 255}, {"pattern", `^[\x20-\x7e]*$`}}},
		})
	}
	if o.RecordScopes != 0 && (o.Method == http.MethodGet || o.ReadOnly) {
		all = append(all, Object{
			{"name", "Break-Glass"},
			{"in", "header"},
			{"description", sharedParameters["Break-Glass"]},
			{"schema", Object{{"type", "string"}, {"format", "uuid"}}},
		})
	}
	return all
}

// sharedParameters describe the parameters that many operations have.
var sharedParameters = map[string]string{
	"Idempotency-Key": "A key that makes the request safe to retry after any failure. A repeated request with the same " +
		"key and body gets the first answer and has no second effect. Use a new key, such as a UUID, for each new " +
		"operation.",
	"Break-Glass": "The id of an emergency access grant of the caller; see `POST /emergency-grants`. The request may " +
		"then also read the records of the grant's patient. The access is recorded.",
	"consistency": "The age of the state that the answer may show. `eventual` accepts the state of a few seconds ago, " +
		"which a standby of the database may answer. The header `Read-From` names the server. The default `strong` shows " +
		"everything that was accepted before the request.",
	"expand": "The references whose records the answer contains, separated by commas. The record is next to its id, as in " +
		"the answer to reading it alone. It is null if the caller may not read it.",
	"If-Match": "The `ETag` of the version to change. If the record has changed since, the answer is 412.",
	"limit":    "The maximum number of items per page. The default is 20.",
	"cursor":   "The `nextCursor` of the previous page. All filters must be the same.",
	"sort":     "The sort order; a minus sign reverses it.",
	"format": "The format: `csv` for CSV (RFC 4180), like `Accept: text/csv`. The columns are the members of an item, " +
		"and " +
		"null is an empty cell. A text that a spreadsheet would read as a formula is prefixed with an apostrophe. Without " +
		"`limit` there are up to 10,000 rows. If there are more, the header `Next-Cursor` has the cursor.",
	"Last-Event-ID": "The id of the last received event. The stream continues after it.",
}

func (b *builder) parameter(o Operation, f field) Object {
	in := map[string]string{"param": "path", "query": "query", "header": "header", "cookie": "cookie"}[f.from]
	schema := b.schemas.member(f, sent)
	description := text(schema.Get("description"))
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
	schema := Object{{
		"$ref", b.schemas.name(o.Endpoint.In, "", func() any { return b.schemas.object(o.Endpoint.In, sent) }),
	}}
	media := Object{{"schema", schema}}
	examples := Object{}
	for _, e := range successesFirst(o.Examples) { // documentation viewers send the first one unchanged
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
