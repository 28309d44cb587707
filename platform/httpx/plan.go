package httpx

import (
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/patch"
)

type kind int

const (
	kindBool kind = iota + 1
	kindInt
	kindUint
	kindFloat
	kindText
	kindUUID
	kindInstant
	kindDate
	kindStruct
	kindPointer
	kindList
	kindMap
	kindPatch  // patch.Field and patch.Clearable
	kindJSON   // parses itself as json.Unmarshaler
	kindString // parses itself from a JSON string as encoding.TextUnmarshaler
	kindAny    // decoded by encoding/json
)

// plan describes how values of a type are read. Shapes are built when an endpoint is
// created, and are read-only afterwards.
type plan struct {
	kind    kind
	typ     reflect.Type
	elem    *plan // of a pointer, list, map or patch
	members []member
	byName  map[string]int // index into members by JSON name
}

// member is one field of a struct as it appears in JSON or in the rest of the request.
type member struct {
	name   string
	goName string
	from   string // json, param, query, header or cookie
	index  []int  // through embedded structs
	plan   *plan
	rules  string
	// whenZero are the rules for a given value that equals Go's zero value, which
	// omitempty and required treat as absent.
	whenZero string
	required bool
	needs    identity.Permission // permission required to give the field in a merge patch
}

var (
	typeUUID    = reflect.TypeFor[uuid.UUID]()
	typeInstant = reflect.TypeFor[time.Time]()
	typeDate    = reflect.TypeFor[calendar.Date]()
	typeRaw     = reflect.TypeFor[json.RawMessage]()
	readsJSON   = reflect.TypeFor[json.Unmarshaler]()
	readsText   = reflect.TypeFor[encoding.TextUnmarshaler]()
	isPatch     = reflect.TypeFor[patch.Checker]()
)

// plans builds plans. The map done handles types that contain themselves.
type plans struct {
	plans map[reflect.Type]*plan
}

func (p *plans) of(t reflect.Type) *plan {
	if s, ok := p.plans[t]; ok {
		return s
	}
	s := &plan{typ: t}
	p.plans[t] = s
	s.kind = kindOf(t)
	switch s.kind {
	case kindPointer, kindList, kindMap:
		s.elem = p.of(t.Elem())
	case kindPatch:
		value := t.Field(1).Type
		if value.Kind() == reflect.Pointer {
			value = value.Elem()
		}
		s.elem = p.of(value)
	case kindStruct:
		s.members = p.membersOf(t, nil)
		s.byName = make(map[string]int, len(s.members))
		for i, m := range s.members {
			if m.from == "json" {
				s.byName[m.name] = i
			}
		}
	}
	return s
}

func kindOf(t reflect.Type) kind {
	pointer := reflect.PointerTo(t)
	switch {
	case t == typeUUID:
		return kindUUID
	case t == typeInstant:
		return kindInstant
	case t == typeDate:
		return kindDate
	case t == typeRaw:
		return kindAny
	case t.Implements(isPatch) && isPatchStruct(t):
		return kindPatch
	case t.Kind() != reflect.Pointer && pointer.Implements(readsJSON):
		return kindJSON
	case t.Kind() != reflect.Pointer && pointer.Implements(readsText):
		return kindString
	}
	switch t.Kind() {
	case reflect.Bool:
		return kindBool
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return kindInt
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return kindUint
	case reflect.Float32, reflect.Float64:
		return kindFloat
	case reflect.String:
		return kindText
	case reflect.Struct:
		return kindStruct
	case reflect.Pointer:
		return kindPointer
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			return kindAny // base64 text
		}
		return kindList
	case reflect.Map:
		if t.Key().Kind() == reflect.String {
			return kindMap
		}
	}
	return kindAny
}

// isPatchStruct reports whether the type is patch.Field or patch.Clearable, among types
// that implement patch.Checker.
func isPatchStruct(t reflect.Type) bool {
	return t.Kind() == reflect.Struct && t.NumField() == 2 && t.Field(0).Name == "Given" && t.Field(1).Name == "Value"
}

var sources = []string{"json", "param", "query", "header", "cookie"}

// membersOf lists the fields of a struct, including the fields of embedded structs. It
// panics on a field without a source and on a duplicate name.
func (p *plans) membersOf(t reflect.Type, prefix []int) []member {
	var all []member
	for i := range t.NumField() {
		f := t.Field(i)
		index := append(slices.Clone(prefix), i)
		from, name := sourceOf(t, f)
		if from == "" {
			if f.Anonymous && f.Type.Kind() == reflect.Struct {
				all = append(all, p.membersOf(f.Type, index)...)
			}
			continue
		}
		rules := f.Tag.Get("validate")
		m := member{name: name, goName: f.Name, from: from, index: index, plan: p.of(f.Type), rules: rules}
		m.whenZero, m.required = zeroRules(rules, m.plan.kind), isRequired(rules)
		if m.plan.kind == kindPatch && rules != "" && rules != "-" && !strings.HasPrefix(rules, "omitempty") {
			panic(fmt.Sprintf("httpx: the rules of %s.%s, a field of a merge patch, must begin with omitempty", t, f.Name))
		}
		if f.Type.Kind() == reflect.Bool && from == "query" {
			panic(fmt.Sprintf("httpx: %s.%s must be a *bool: a filter is true, false or absent", t, f.Name))
		}
		if m.needs = identity.Permission(f.Tag.Get(tagNeeds)); m.needs != "" && m.plan.kind != kindPatch {
			m.needs = "" // an answer's field: see redactionOf
		}
		all = append(all, m)
	}
	if prefix == nil {
		mustBeUnique(t, all)
	}
	return all
}

// sourceOf returns the source of the field and its name there. The name is empty for
// fields that are not read: unexported, embedded, or tagged json:"-".
func sourceOf(t reflect.Type, f reflect.StructField) (from, name string) {
	for _, source := range sources {
		tag, ok := f.Tag.Lookup(source)
		if !ok || !f.IsExported() {
			continue
		}
		if from != "" {
			panic(fmt.Sprintf("httpx: %s.%s has two sources, %s and %s", t, f.Name, from, source))
		}
		from = source
		name, _, _ = strings.Cut(tag, ",")
		if name == "" {
			panic(fmt.Sprintf("httpx: %s.%s has no name in its %s tag", t, f.Name, source))
		}
	}
	switch {
	case from == "json" && name == "-":
		return "", ""
	case from != "" || !f.IsExported() && !f.Anonymous:
		return from, name
	case f.Anonymous && f.Type.Kind() == reflect.Struct:
		return "", ""
	}
	panic(fmt.Sprintf("httpx: %s.%s has no source: tag it json, param, query, header or cookie", t, f.Name))
}

func mustBeUnique(t reflect.Type, all []member) {
	seen := map[string]bool{}
	for _, m := range all {
		if key := m.from + " " + m.name; seen[key] {
			panic(fmt.Sprintf("httpx: %s has two fields named %s", t, m.name))
		} else {
			seen[key] = true
		}
	}
}

// isRequired reports whether the value is required regardless of other fields.
func isRequired(rules string) bool {
	return rules == "required" || strings.HasPrefix(rules, "required,")
}

// zeroRules returns the rules that apply to a given zero value: those after omitempty
// or required. It omits rules that compare with other fields, because they cannot run
// on a single value.
func zeroRules(rules string, k kind) string {
	switch k {
	case kindBool, kindInt, kindUint, kindFloat, kindText:
	default:
		return ""
	}
	first, rest, _ := strings.Cut(rules, ",")
	if first != "omitempty" && first != "required" {
		return ""
	}
	alone := strings.Split(rest, ",")
	alone = slices.DeleteFunc(alone, func(rule string) bool {
		tag, _, _ := strings.Cut(rule, "=")
		return tag == "" || comparesFields(tag)
	})
	return strings.Join(alone, ",")
}

// comparesFields reports whether a rule compares its field with others.
func comparesFields(tag string) bool {
	return strings.HasSuffix(tag, "field") || strings.HasPrefix(tag, "required_") || strings.HasPrefix(tag, "excluded_")
}
