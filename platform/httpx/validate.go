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

// rules validates values of one request type. Each type has its own validator, so that
// types are registered before its first use only.
type rules struct {
	validate *validator.Validate
	prefix   string            // validator begins each path with the type's name
	names    map[string]string // JSON names by Go names, for rules that name another field
}

// embedded marks embedded structs in the validator's paths. JSON paths do not contain
// them.
const embedded = "\x01"

func newRules(in reflect.Type, plans *plans) *rules {
	r := &rules{validate: validator.New(validator.WithRequiredStructEnabled()), names: map[string]string{}}
	if in.Name() != "" {
		r.prefix = in.Name() + "."
	}
	r.validate.RegisterTagNameFunc(nameOf)
	if err := r.validate.RegisterValidation("text", isText); err != nil {
		panic(err) // only for an empty name
	}
	r.validate.RegisterCustomTypeFunc(dateChecked, calendar.Date{})
	for t, s := range plans.plans {
		if s.kind == kindPatch {
			r.validate.RegisterCustomTypeFunc(patchChecked, reflect.Zero(t).Interface())
		}
		for _, m := range s.members {
			if _, ok := r.names[m.goName]; !ok {
				r.names[m.goName] = m.name
			}
		}
	}
	for t, s := range plans.plans { // parses every tag now, so that an invalid one panics at startup
		if s.kind == kindStruct {
			_ = r.validate.Struct(reflect.New(t).Interface())
			r.parseAlone(s)
		}
	}
	return r
}

func (r *rules) parseAlone(s *plan) {
	for _, m := range s.members {
		if m.whenZero != "" {
			_ = r.validate.Var(reflect.Zero(m.plan.typ).Interface(), m.whenZero)
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

// dateChecked presents a date to the validator as a time, which its rules can compare.
// The zero date becomes the zero time.
func dateChecked(v reflect.Value) any {
	d := v.Interface().(calendar.Date)
	if d.IsZero() {
		return time.Time{}
	}
	return d.Time()
}

// patchChecked presents the value of a merge patch to the validator, or nil if absent.
// It is a pointer, so that omitempty skips absent values but not zero values.
func patchChecked(v reflect.Value) any {
	value := v.Interface().(patch.Checker).Checked()
	if value == nil {
		return nil
	}
	p := reflect.New(reflect.TypeOf(value))
	p.Elem().Set(reflect.ValueOf(value))
	return p.Interface()
}

// isText is the rule "text": one line of valid UTF-8 that is not blank, without control
// characters and invisible characters that change the writing direction.
func isText(f validator.FieldLevel) bool {
	s := f.Field().String()
	if !utf8.ValidString(s) || strings.TrimSpace(s) == "" {
		return false
	}
	return !strings.ContainsFunc(s, func(c rune) bool {
		return unicode.IsControl(c) || c == '\u2028' || c == '\u2029' || c >= '\u202a' && c <= '\u202e' ||
			c >= '\u2066' && c <= '\u2069'
	})
}

// check runs the validator and adds its findings. It skips fields that could not be
// read and comparisons with such fields.
func (r *rules) check(d *decoder, v reflect.Value) {
	found := violations(r.validate.Struct(v.Addr().Interface()))
	if len(found) == 0 {
		return
	}
	reported := make(map[string]bool, len(d.fieldErrors))
	for _, f := range d.fieldErrors {
		reported[f.Field] = true
	}
	var compared []validator.FieldError
	for _, e := range found {
		path := r.pathOf(e)
		switch {
		case covered(reported, path):
		case comparesFields(e.Tag()):
			compared = append(compared, e)
		default:
			r.report(d, path, e)
			reported[path] = true
		}
	}
	for _, e := range compared {
		if path := r.pathOf(e); !covered(reported, path) && !reported[r.siblingOf(path, e)] {
			r.report(d, path, e)
		}
	}
}

// checkValue checks a single value by rules that use no other field, and reports whether it is
// invalid.
func (r *rules) checkValue(d *decoder, tag string, v reflect.Value) bool {
	found := violations(r.validate.Var(v.Interface(), tag))
	for _, e := range found {
		code, message := r.text(e)
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
		panic(err) // not a struct: Handle rejects it
	}
	return found
}

func (r *rules) report(d *decoder, path string, e validator.FieldError) {
	if d.full() {
		return
	}
	code, message := r.text(e)
	d.fieldErrors = append(d.fieldErrors, fault.Field{Field: path, Code: code, Message: message})
}

// pathOf converts the validator's path to the JSON path.
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

// covered reports whether an error for the field, or for a parent of it, is already
// recorded.
func covered(reported map[string]bool, path string) bool {
	if len(reported) == 0 {
		return false
	}
	for i := range len(path) {
		if (path[i] == '.' || path[i] == '[') && reported[path[:i]] {
			return true
		}
	}
	return reported[path]
}
