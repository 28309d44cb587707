package openapi

import (
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/httpx"
	"omnirapeutic/platform/patch"
)

// direction is whether clients send or receive a value. Which members are optional or
// nullable depends on it.
type direction int

const (
	sent direction = iota
	given
)

// schemas builds JSON Schemas (draft 2020-12, as in OpenAPI 3.1) of Go types, and
// collects the named ones.
type schemas struct {
	source  *source
	records map[string]reflect.Type // by the kind of a reference
	checks  *checks
	named   Object
	types   map[string]reflect.Type // detects two types that would share a name
}

// field is one member of a struct in a request or an answer.
type field struct {
	owner    reflect.Type
	field    reflect.StructField
	from     string // json, param, query, header, cookie
	name     string
	rules    []rule
	required bool // in a request
	omitted  bool // in an answer: may be absent
	nullable bool // in an answer
}

type rule struct{ name, parameter string }

// fieldsOf lists the fields of a struct, including the fields of embedded structs.
func fieldsOf(t reflect.Type) []field {
	var all []field
	for i := range t.NumField() {
		f := t.Field(i)
		found := false
		for _, from := range []string{"json", "param", "query", "header", "cookie"} {
			tag, ok := f.Tag.Lookup(from)
			if !ok || !f.IsExported() {
				continue
			}
			found = true
			name, options, _ := strings.Cut(tag, ",")
			if name == "-" {
				continue
			}
			one := field{
				owner: t, field: f, from: from, name: name,
				omitted: strings.Contains(options, "omit"), nullable: f.Tag.Get("null") == "true",
			}
			for text := range strings.SplitSeq(f.Tag.Get("validate"), ",") {
				name, parameter, _ := strings.Cut(text, "=")
				one.rules = append(one.rules, rule{name, parameter})
			}
			one.required = one.rules[0].name == "required"
			all = append(all, one)
		}
		if !found && f.Anonymous && f.Type.Kind() == reflect.Struct {
			all = append(all, fieldsOf(f.Type)...)
		}
	}
	return all
}

// JSONSchemer is implemented by types with their own JSON parser. It returns the JSON
// Schema of the accepted values.
type JSONSchemer interface{ SchemaOfRequest() string }

var (
	typeUUID     = reflect.TypeFor[uuid.UUID]()
	typeInstant  = reflect.TypeFor[time.Time]()
	typeDate     = reflect.TypeFor[calendar.Date]()
	typeRaw      = reflect.TypeFor[json.RawMessage]()
	typeSecret   = reflect.TypeFor[httpx.Secret]()
	typeExpanded = reflect.TypeFor[httpx.Expanded]()
	typeSecrets  = reflect.TypeFor[httpx.Secrets]()
	typeText     = reflect.TypeFor[interface{ MarshalText() ([]byte, error) }]()
	isPatch      = reflect.TypeFor[patch.Checker]()
	isSchemer    = reflect.TypeFor[JSONSchemer]()
)

// of returns the schema of a value of the type, and whether it may be null.
func (s *schemas) of(t reflect.Type, d direction) (schema Object, nullable bool) {
	switch {
	case t == typeUUID:
		return Object{{"type", "string"}, {"format", "uuid"}}, false
	case t == typeInstant:
		return Object{{"type", "string"}, {"format", "date-time"}}, false
	case t == typeDate:
		return Object{{"type", "string"}, {"format", "date"}}, d == sent
	case t == typeSecret:
		return Object{{"type", "string"}}, true
	case t == typeSecrets:
		return Object{{"type", "array"}, {"items", Object{{"type", "string"}}}}, true
	case t == typeReason:
		return Object{{"$ref", s.name(t, "", func() any { return s.reason() })}}, false
	case t == typeRaw || t.Kind() == reflect.Interface:
		return Object{}, false
	case (d == sent || t.Kind() != reflect.Struct) && t.Implements(isSchemer):
		var schema map[string]any
		text := reflect.Zero(t).Interface().(JSONSchemer).SchemaOfRequest()
		if err := json.Unmarshal([]byte(text), &schema); err != nil {
			panic(fmt.Sprintf("openapi: the schema of %s: %v", t, err))
		}
		if t.Kind() != reflect.Struct { // a single value, with the same form in both directions
			single := Object{}
			for _, name := range slices.Sorted(maps.Keys(schema)) {
				single.Set(name, schema[name])
			}
			return single, false
		}
		return Object{{"$ref", s.name(t, "Input", func() any { return schema })}}, false
	case t.Implements(isPatch) && t.Kind() == reflect.Struct:
		value := t.Field(1).Type
		if value.Kind() == reflect.Pointer { // patch.Clearable
			schema, _ = s.of(value.Elem(), d)
			return schema, true
		}
		schema, _ = s.of(value, d)
		return schema, false
	case t.Kind() == reflect.Pointer:
		schema, _ = s.of(t.Elem(), d)
		return schema, true
	case t.Kind() == reflect.Struct && !t.Implements(typeText):
		return Object{{"$ref", s.structure(t, d)}}, false
	}
	return s.plain(t, d), false
}

func (s *schemas) plain(t reflect.Type, d direction) Object {
	switch t.Kind() {
	case reflect.Bool:
		return Object{{"type", "boolean"}}
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64, reflect.Uint, reflect.Uint32,
		reflect.Uint64:
		return Object{{"type", "integer"}}
	case reflect.Float64:
		return Object{{"type", "number"}}
	case reflect.Slice:
		items, _ := s.of(t.Elem(), d)
		return Object{{"type", "array"}, {"items", items}}
	case reflect.Map:
		values, _ := s.of(t.Elem(), d)
		return Object{{"type", "object"}, {"additionalProperties", values}}
	case reflect.String, reflect.Struct:
		schema := Object{{"type", "string"}}
		if values := s.source.values(t); len(values) > 0 {
			schema.Set("enum", values)
		}
		return schema
	}
	panic(fmt.Sprintf("openapi: no schema for %s", t))
}

// structure adds the schema of a struct to the named schemas.
func (s *schemas) structure(t reflect.Type, d direction) string {
	suffix := ""
	if d == sent && !strings.HasPrefix(t.Name(), "New") && !strings.HasSuffix(t.Name(), "Change") &&
		!strings.HasSuffix(t.Name(), "Request") {
		suffix = "Input"
	}
	return s.name(t, suffix, func() any { return s.object(t, d) })
}

// object is the schema of a struct with its description.
func (s *schemas) object(t reflect.Type, d direction) Object {
	return s.objectWith(s.describe(t), t, d)
}

func (s *schemas) objectWith(description string, t reflect.Type, d direction) Object {
	schema := Object{{"type", "object"}}
	if description != "" {
		schema.Set("description", description)
	}
	properties, required := s.members(t, d)
	schema.Set("properties", properties)
	if len(required) > 0 {
		schema.Set("required", required)
	}
	schema.Set("additionalProperties", false)
	return schema
}

// members returns the schemas of the JSON members of a struct, and the names of the
// required ones.
func (s *schemas) members(t reflect.Type, d direction) (Object, []string) {
	var required []string
	properties := Object{}
	for _, f := range fieldsOf(t) {
		if f.from != "json" {
			continue
		}
		properties.Set(f.name, s.member(f, d))
		if d == sent && f.required || d == given && !f.omitted {
			required = append(required, f.name)
		}
	}
	return properties, required
}

// describe returns the description of the schema of a type.
func (s *schemas) describe(t reflect.Type) string { return s.checks.ofType(t, s.source.comment(t)) }

// member is the schema of one field, with its rules and its comment.
func (s *schemas) member(f field, d direction) Object {
	if f.field.Type == typeExpanded {
		return s.expanded(f)
	}
	schema, nullable := s.of(f.field.Type, d)
	if d == sent {
		schema = constrained(schema, f.rules)
		nullable = nullable && !f.required && f.from == "json"
	} else {
		nullable = nullable && !f.omitted || f.nullable
	}
	if nullable {
		schema = orNull(schema)
	}
	text, ok := sharedParameters[f.name]
	if !ok || f.from == "json" {
		text = s.checks.ofField(f, s.source.fieldComment(f.owner, f.field))
	}
	if needed := f.field.Tag.Get("needs"); needed != "" && d == given {
		text = sentences(text, "Null without the permission `"+needed+"` for all records that the answer may concern.")
	} else if needed != "" {
		text = sentences(text, "Can only be given with the permission `"+needed+"`, because the field is hidden without it.")
	}
	if text != "" {
		schema.Set("description", text)
	}
	return schema
}

// expanded is the schema of the record to which an id refers.
func (s *schemas) expanded(f field) Object {
	kind, id, _ := strings.Cut(f.field.Tag.Get("refers"), ",")
	t, ok := s.records[kind]
	if !ok {
		panic(fmt.Sprintf("openapi: %s.%s refers to the unknown kind %q", f.owner, f.field.Name, kind))
	}
	record := orNull(Object{{"$ref", s.structure(t, given)}})
	if single, many := strings.CutSuffix(f.name, "s"); many && id == "" {
		return Object{
			{"type", "array"},
			{"items", record},
			{"description", "The records of `" + single + "Ids`, with `expand=" + f.name + "`."},
		}
	}
	if id == "" {
		id = f.name + "Id"
	}
	record.Set("description", "The record of `"+id+"`, with `expand="+f.name+"`. Null if the caller may not read it.")
	return record
}

// sentences joins the source's comment on a field with further text.
func sentences(text, more string) string {
	if text == "" {
		return more
	}
	return strings.TrimSuffix(text, ".") + ". " + more
}

func orNull(schema Object) Object {
	if schema.Get("$ref") != nil {
		return Object{{"oneOf", []Object{schema, {{"type", "null"}}}}}
	}
	if kind, ok := schema.Get("type").(string); ok {
		schema.Set("type", []string{kind, "null"})
	}
	if values, ok := schema.Get("enum").([]string); ok {
		with := make([]any, 0, len(values)+1)
		for _, v := range values {
			with = append(with, v)
		}
		schema.Set("enum", append(with, nil))
	}
	return schema
}

// constrained adds the meaning of validation rules to the schema. Rules that compare
// fields, and rules of modules, are described in words.
func constrained(schema Object, rules []rule) Object {
	kind, _ := schema.Get("type").(string)
	limits := map[string][2]string{
		"string": {"minLength", "maxLength"}, "array": {"minItems", "maxItems"},
		"integer": {"minimum", "maximum"}, "number": {"minimum", "maximum"},
	}[kind]
	for i, r := range rules {
		if r.name == "dive" { // the remaining rules apply to the entries
			if items, ok := schema.Get("items").(Object); ok {
				schema.Set("items", constrained(items, rules[i+1:]))
			}
			break
		}
		switch r.name {
		case "min", "gte":
			schema.Set(limits[0], number(r.parameter))
		case "max", "lte":
			schema.Set(limits[1], number(r.parameter))
		case "oneof":
			schema.Set("enum", strings.Fields(r.parameter))
		case "text":
			schema.Set("pattern", `\S`)
		case "printascii":
			schema.Set("pattern", `^[\x20-\x7e]*$`)
		case "email":
			schema.Set("format", "email")
		case "required":
			if kind == "string" && schema.Get("format") == nil && schema.Get("minLength") == nil {
				schema.Set("minLength", 1)
			}
		}
	}
	return schema
}

func number(text string) any {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		panic(fmt.Sprintf("openapi: the rule's parameter %q is not a whole number", text))
	}
	return n
}

// name adds a schema to the named schemas, once, and returns the reference.
func (s *schemas) name(t reflect.Type, suffix string, make func() any) string {
	name := publicName(t) + suffix
	if other, taken := s.types[name]; !taken {
		s.types[name] = t
		s.named.Set(name, nil) // a type may contain itself
		s.named.Set(name, make())
	} else if other != t {
		panic(fmt.Sprintf("openapi: %s and %s would both be called %s", other, t, name))
	}
	return "#/components/schemas/" + name
}

// publicName is the Go name without the suffix Body, which only distinguishes Go types. A type Body
// is named after its package. The name of a list is derived from its element.
func publicName(t reflect.Type) string {
	name := typeName(t)
	if name == "" {
		panic(fmt.Sprintf("openapi: a struct in a body needs a name: %s", t))
	}
	if list, ok := t.FieldByName("Data"); ok && name == "Page" {
		return publicName(list.Type.Elem()) + "Page"
	}
	if name == "Body" {
		name = path.Base(t.PkgPath())
	}
	return capital(strings.TrimSuffix(name, "Body"))
}

// components returns the named schemas, ordered by name.
func (s *schemas) components() Object { return s.named.sorted() }

func bodyFields(t reflect.Type) []field {
	return slices.DeleteFunc(fieldsOf(t), func(f field) bool { return f.from != "json" })
}
