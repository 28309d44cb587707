package httpx

import (
	"errors"
	"reflect"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/go-playground/validator/v10"

	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/patch"
)

// rules checks values of one request type. Each has a validator of its own, so
// that types can be registered with it before it is used, and never after.
type rules struct {
	validate *validator.Validate
	prefix   string            // validator begins each path with the type's name
	names    map[string]string // JSON names by Go names, for rules that name another field
}

// embedded marks embedded structs in validator's paths; they are not there in JSON.
const embedded = "\x01"

func newRules(in reflect.Type, plans *shapes) *rules {
	r := &rules{validate: validator.New(validator.WithRequiredStructEnabled()), names: map[string]string{}}
	if in.Name() != "" {
		r.prefix = in.Name() + "."
	}
	r.validate.RegisterTagNameFunc(nameOf)
	if err := r.validate.RegisterValidation("text", isText); err != nil {
		panic(err) // only for an empty name
	}
	r.validate.RegisterCustomTypeFunc(dateChecked, calendar.Date{})
	for t, s := range plans.done {
		if s.kind == kindPatch {
			r.validate.RegisterCustomTypeFunc(patchChecked, reflect.Zero(t).Interface())
		}
		for _, m := range s.members {
			if _, ok := r.names[m.goName]; !ok {
				r.names[m.goName] = m.name
			}
		}
	}
	for t, s := range plans.done { // parses every tag now: a bad one panics at start
		if s.kind == kindStruct {
			_ = r.validate.Struct(reflect.New(t).Interface())
			r.parseAlone(s)
		}
	}
	return r
}

func (r *rules) parseAlone(s *shape) {
	for _, m := range s.members {
		if m.whenZero != "" {
			_ = r.validate.Var(reflect.Zero(m.shape.typ).Interface(), m.whenZero)
		}
	}
}

func nameOf(f reflect.StructField) string {
	for _, source := range sources {
		if tag, ok := f.Tag.Lookup(source); ok {
			name, _, _ := strings.Cut(tag, ",")
			return name
		}
	}
	if f.Anonymous {
		return embedded
	}
	return f.Name
}

// dateChecked shows rules a date as a time, which they can compare; no date is the
// zero time.
func dateChecked(v reflect.Value) any {
	d := v.Interface().(calendar.Date)
	if d.IsZero() {
		return time.Time{}
	}
	return d.Time()
}

// patchChecked shows rules the value of a merge patch, or nothing. A pointer to
// it, so that omitempty leaves out what was not given and not what is zero.
func patchChecked(v reflect.Value) any {
	value := v.Interface().(patch.Checker).Checked()
	if value == nil {
		return nil
	}
	p := reflect.New(reflect.TypeOf(value))
	p.Elem().Set(reflect.ValueOf(value))
	return p.Interface()
}

// isText is the rule "text": one line that says something. No control characters,
// no invisible ones that turn the direction of writing, valid UTF-8, not blank.
func isText(f validator.FieldLevel) bool {
	s := f.Field().String()
	if !utf8.ValidString(s) || strings.TrimSpace(s) == "" {
		return false
	}
	return !strings.ContainsFunc(s, func(c rune) bool {
		return unicode.IsControl(c) || c == '\u2028' || c == '\u2029' || c >= '\u202a' && c <= '\u202e' || c >= '\u2066' && c <= '\u2069'
	})
}

// check adds what the rules find to what is wrong already. Of a field that could
// not be read nothing more is said, nor of one that is compared with such a field.
func (r *rules) check(d *reading, v reflect.Value) {
	found := violations(r.validate.Struct(v.Addr().Interface()))
	if len(found) == 0 {
		return
	}
	told := make(map[string]bool, len(d.wrong))
	for _, f := range d.wrong {
		told[f.Field] = true
	}
	var compared []validator.FieldError
	for _, e := range found {
		path := r.pathOf(e)
		switch {
		case covered(told, path):
		case looksAtOthers(e.Tag()):
			compared = append(compared, e)
		default:
			r.tell(d, path, e)
			told[path] = true
		}
	}
	for _, e := range compared {
		if path := r.pathOf(e); !covered(told, path) && !told[r.siblingOf(path, e)] {
			r.tell(d, path, e)
		}
	}
}

// one checks a single value by rules that look at no other, and reports whether
// something was wrong.
func (r *rules) one(d *reading, tag string, v reflect.Value) bool {
	found := violations(r.validate.Var(v.Interface(), tag))
	for _, e := range found {
		code, message := r.words(e)
		d.fail(code, message)
	}
	return len(found) > 0
}

func violations(err error) validator.ValidationErrors {
	if err == nil {
		return nil
	}
	found, ok := errors.AsType[validator.ValidationErrors](err)
	if !ok {
		panic(err) // not a struct: Handle has seen to that
	}
	return found
}

func (r *rules) tell(d *reading, path string, e validator.FieldError) {
	if d.full() {
		return
	}
	code, message := r.words(e)
	d.wrong = append(d.wrong, fault.Field{Field: path, Code: code, Message: message})
}

// pathOf turns validator's path into the JSON path.
func (r *rules) pathOf(e validator.FieldError) string {
	path := strings.TrimPrefix(e.Namespace(), r.prefix)
	return strings.ReplaceAll(path, embedded+".", "")
}

// siblingOf returns the path of the field that a rule of the field at path names.
func (r *rules) siblingOf(path string, e validator.FieldError) string {
	other, _, _ := strings.Cut(e.Param(), " ")
	return path[:strings.LastIndexByte(path, '.')+1] + r.nameOf(other)
}

func (r *rules) nameOf(goName string) string {
	if name, ok := r.names[goName]; ok {
		return name
	}
	return goName
}

// covered reports whether the field, or something it is a part of, was told already.
func covered(told map[string]bool, path string) bool {
	if len(told) == 0 {
		return false
	}
	for i := range len(path) {
		if (path[i] == '.' || path[i] == '[') && told[path[:i]] {
			return true
		}
	}
	return told[path]
}
