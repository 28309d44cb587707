package httpx

import (
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strconv"

	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/patch"
)

// maxFieldErrors bounds the number of invalid fields reported for a request.
const maxFieldErrors = 100

// maxElements bounds every list in a body. Validation rules may set lower bounds.
const maxElements = 10_000

// maxName bounds how much of an unknown field name is repeated in an error, in bytes.
const maxName = 64

// Messages for invalid values, as a form can show them next to the field.
const (
	wordsBool    = "must be true or false"
	wordsInt     = "must be a whole number"
	numberText   = "must be a number"
	wordsText    = "must be text"
	wordsChars   = "must be text without invalid characters"
	uuidText     = "must be a UUID"
	wordsInstant = "must be a date and time with a time zone (RFC 3339), such as 2026-01-31T14:00:00Z"
	wordsDate    = string(calendar.ErrDate)
	wordsObject  = "must be an object"
	wordsList    = "must be a list"
	wordsNull    = "must not be null"
	wordsTwice   = "must be given once"
	wordsUnknown = "is not a known field"
	wordsEmpty   = "must not be empty"
	otherText    = "is not valid"
)

// reading collects the invalid fields of a request while it is read. The current path
// is a stack of bytes, converted to a string only for an error.
type reading struct {
	path        []byte
	fieldErrors []fault.Field
	rules       *rules
}

func (r *reading) fail(code, message string) {
	if len(r.fieldErrors) < maxFieldErrors {
		r.fieldErrors = append(r.fieldErrors, fault.Field{Field: string(r.path), Code: code, Message: message})
	}
}

func (r *reading) full() bool { return len(r.fieldErrors) >= maxFieldErrors }

// enter appends a level to the path. Pass its result to leave to restore the path.
func (r *reading) enter(name string) (outer int) {
	outer = len(r.path)
	if outer > 0 {
		r.path = append(r.path, '.')
	}
	r.path = append(r.path, name...)
	return outer
}

func (r *reading) enterIndex(i int) (outer int) {
	outer = len(r.path)
	r.path = append(r.path, '[')
	r.path = strconv.AppendInt(r.path, int64(i), 10)
	r.path = append(r.path, ']')
	return outer
}

func (r *reading) enterKey(key string) (outer int) {
	outer = len(r.path)
	r.path = append(r.path, '[')
	r.path = append(r.path, shortened(key)...)
	r.path = append(r.path, ']')
	return outer
}

func (r *reading) leave(outer int) { r.path = r.path[:outer] }

// shortened truncates text from the client to maxName bytes, at a character boundary.
func shortened(name string) string {
	if len(name) <= maxName {
		return name
	}
	end := maxName
	for end > 0 && name[end]&0xC0 == 0x80 {
		end--
	}
	return name[:end] + "…"
}

// object reads a JSON object into a struct.
func (r *reading) object(raw []byte, s *shape, v reflect.Value) {
	if raw[0] != '{' {
		r.fail("type", wordsObject)
		return
	}
	var few [64]bool
	seen := few[:]
	if len(s.members) > len(few) {
		seen = make([]bool, len(s.members))
	}
	eachMember(raw, func(name, value []byte) bool {
		i, ok := s.find(name)
		if !ok {
			text, _ := textOf(name)
			outer := r.enter(shortened(text))
			r.fail("unknown", wordsUnknown)
			r.leave(outer)
			return !r.full()
		}
		m := &s.members[i]
		outer := r.enter(m.name)
		if seen[i] {
			r.fail("duplicate", wordsTwice)
		} else {
			seen[i] = true
			r.member(value, m, v.FieldByIndex(m.index))
		}
		r.leave(outer)
		return !r.full()
	})
}

// find returns the index of the member with the raw name, which may be written with escapes.
func (s *shape) find(raw []byte) (int, bool) {
	if i, ok := s.byName[string(raw[1:len(raw)-1])]; ok {
		return i, true
	}
	text, ok := textOf(raw)
	if !ok {
		return 0, false
	}
	i, ok := s.byName[text]
	return i, ok
}

func (r *reading) member(raw []byte, m *member, v reflect.Value) {
	before := len(r.fieldErrors)
	r.value(raw, m.shape, v)
	if len(r.fieldErrors) == before {
		r.zero(m, v)
	}
}

// zero applies the rules to a given value that equals Go's zero value. The validator's
// omitempty and required would treat it as absent.
func (r *reading) zero(m *member, v reflect.Value) {
	if m.whenZero == "" && !m.required || !v.IsZero() {
		return
	}
	switch m.shape.kind {
	case kindBool, kindInt, kindUint, kindFloat, kindText:
		if m.whenZero != "" && r.rules.one(r, m.whenZero, v) {
			return
		}
		if m.required {
			r.fail("required", wordsEmpty)
		}
	case kindList, kindMap, kindJSON, kindString, kindInstant, kindDate:
		if m.required {
			r.fail("required", wordsEmpty)
		}
	}
}

// value reads one JSON value according to its shape.
func (r *reading) value(raw []byte, s *shape, v reflect.Value) {
	if raw[0] == 'n' && r.null(s, v) {
		return
	}
	switch s.kind {
	case kindBool:
		if raw[0] != 't' && raw[0] != 'f' {
			r.fail("type", wordsBool)
			return
		}
		v.SetBool(raw[0] == 't')
	case kindInt, kindUint, kindFloat:
		if !isNumber(raw) {
			r.fail("type", wordsOf(s.kind))
			return
		}
		r.number(string(raw), s, v)
	case kindText:
		if text, ok := r.text(raw, wordsText); ok {
			v.SetString(text)
		}
	case kindUUID:
		if text, ok := r.text(raw, uuidText); ok {
			r.uuid(text, v)
		}
	case kindInstant:
		if text, ok := r.text(raw, wordsInstant); ok {
			r.instant(text, v)
		}
	case kindDate:
		if text, ok := r.text(raw, wordsDate); ok {
			r.date(text, v)
		}
	case kindString:
		if text, ok := r.text(raw, wordsText); ok {
			r.parseError(v.Addr().Interface().(encoding.TextUnmarshaler).UnmarshalText([]byte(text)))
		}
	case kindJSON:
		before := len(r.fieldErrors)
		r.parseError(v.Addr().Interface().(json.Unmarshaler).UnmarshalJSON(raw))
		if len(r.fieldErrors) == before {
			r.ranges(v)
		}
	case kindStruct:
		r.object(raw, s, v)
	case kindPointer:
		v.Set(reflect.New(s.typ.Elem()))
		r.value(raw, s.elem, v.Elem())
	case kindPatch:
		r.patch(raw, s, v)
	case kindList:
		r.list(raw, s, v)
	case kindMap:
		r.mapping(raw, s, v)
	default:
		if json.Unmarshal(raw, v.Addr().Interface()) != nil {
			r.fail("type", otherText)
		}
	}
}

// null handles null and reports whether the value is complete.
func (r *reading) null(s *shape, v reflect.Value) bool {
	switch s.kind {
	case kindJSON, kindAny:
		return false // the type handles null itself
	case kindPatch:
		r.parseError(v.Addr().Interface().(json.Unmarshaler).UnmarshalJSON([]byte("null")))
	case kindPointer, kindDate:
		v.SetZero() // the zero date is invalid
	default:
		r.fail("null", wordsNull)
	}
	return true
}

// parseError records the error of a type that parses itself.
func (r *reading) parseError(err error) {
	if err == nil {
		return
	}
	words, ok := errors.AsType[fault.Words](err)
	switch {
	case !ok:
		r.fail("format", otherText)
	case words == patch.ErrNull:
		r.fail("null", words.Error())
	default:
		r.fail("format", words.Error())
	}
}

func (r *reading) text(raw []byte, words string) (string, bool) {
	if raw[0] != '"' {
		r.fail("type", words)
		return "", false
	}
	text, ok := textOf(raw)
	if !ok {
		r.fail("characters", wordsChars)
	}
	return text, ok
}

// patch reads the value into a patch.Field or patch.Clearable: sets Given and Value.
func (r *reading) patch(raw []byte, s *shape, v reflect.Value) {
	given, value := v.Field(0), v.Field(1)
	if value.Kind() == reflect.Pointer {
		value.Set(reflect.New(value.Type().Elem()))
		value = value.Elem()
	}
	given.SetBool(true)
	r.value(raw, s.elem, value)
}

func (r *reading) list(raw []byte, s *shape, v reflect.Value) {
	if raw[0] != '[' {
		r.fail("type", wordsList)
		return
	}
	v.Set(reflect.MakeSlice(s.typ, 0, 0))
	i := 0
	eachElement(raw, func(value []byte) bool {
		if i == maxElements {
			r.fail("max", fmt.Sprintf("must have at most %d entries", maxElements))
			return false
		}
		v.Grow(1) // grown step by step, so a short body cannot allocate much memory
		v.SetLen(i + 1)
		outer := r.enterIndex(i)
		r.value(value, s.elem, v.Index(i))
		r.leave(outer)
		i++
		return !r.full()
	})
}

func (r *reading) mapping(raw []byte, s *shape, v reflect.Value) {
	if raw[0] != '{' {
		r.fail("type", wordsObject)
		return
	}
	m := reflect.MakeMap(s.typ)
	eachMember(raw, func(name, value []byte) bool {
		text, ok := textOf(name)
		key := reflect.ValueOf(text).Convert(s.typ.Key())
		outer := r.enterKey(text)
		defer r.leave(outer)
		switch {
		case !ok:
			r.fail("characters", wordsChars)
		case m.MapIndex(key).IsValid():
			r.fail("duplicate", wordsTwice)
		default:
			element := reflect.New(s.typ.Elem()).Elem()
			r.value(value, s.elem, element)
			m.SetMapIndex(key, element)
		}
		return !r.full()
	})
	v.Set(m)
}
