package httpx

import (
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

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
	boolText       = "must be true or false"
	intText        = "must be a whole number"
	numberText     = "must be a number"
	stringText     = "must be text"
	charactersText = "must be text without invalid characters"
	uuidText       = "must be a UUID"
	instantText    = "must be a date and time with a time zone (RFC 3339), such as 2026-01-31T14:00:00Z"
	dateText       = string(calendar.ErrDate)
	objectText     = "must be an object"
	listText       = "must be a list"
	nullText       = "must not be null"
	duplicateText  = "must be given once"
	unknownText    = "is not a known field"
	emptyText      = "must not be empty"
	otherText      = "is not valid"
)

// reading collects the invalid fields of a request while it is read. The current path
// is a stack of bytes, converted to a string only for an error.
type reading struct {
	body        *tokens
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

// refuse records an error for the next value and passes over it.
func (r *reading) refuse(code, message string) {
	r.fail(code, message)
	r.body.skip()
}

// object reads a JSON object into a struct.
func (r *reading) object(s *shape, v reflect.Value) {
	if r.body.PeekKind() != jsontext.KindBeginObject {
		r.refuse("type", objectText)
		return
	}
	var few [64]bool
	seen := few[:]
	if len(s.members) > len(few) {
		seen = make([]bool, len(s.members))
	}
	r.body.within(jsontext.KindEndObject, func() bool {
		name := r.body.value()
		i, ok := s.find(name)
		if !ok {
			text, _ := textOf(name)
			outer := r.enter(shortened(text))
			r.refuse("unknown", unknownText)
			r.leave(outer)
			return !r.full()
		}
		m := &s.members[i]
		outer := r.enter(m.name)
		if seen[i] {
			r.refuse("duplicate", duplicateText)
		} else {
			seen[i] = true
			r.member(m, v.FieldByIndex(m.index))
		}
		r.leave(outer)
		return !r.full()
	})
}

// find returns the index of the member with the name, which may be written with escapes.
func (s *shape) find(name jsontext.Value) (int, bool) {
	if i, ok := s.byName[string(name[1:len(name)-1])]; ok {
		return i, true
	}
	text, ok := textOf(name)
	if !ok {
		return 0, false
	}
	i, ok := s.byName[text]
	return i, ok
}

func (r *reading) member(m *member, v reflect.Value) {
	before := len(r.fieldErrors)
	r.value(m.shape, v)
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
			r.fail("required", emptyText)
		}
	case kindList, kindMap, kindJSON, kindString, kindInstant, kindDate:
		if m.required {
			r.fail("required", emptyText)
		}
	}
}

// value reads one JSON value according to its shape.
func (r *reading) value(s *shape, v reflect.Value) {
	given := r.body.PeekKind()
	if given == jsontext.KindNull && r.null(s, v) {
		r.body.skip()
		return
	}
	switch s.kind {
	case kindBool:
		if given != jsontext.KindTrue && given != jsontext.KindFalse {
			r.refuse("type", boolText)
			return
		}
		r.body.skip()
		v.SetBool(given == jsontext.KindTrue)
	case kindInt, kindUint, kindFloat:
		if given != jsontext.KindNumber {
			r.refuse("type", textOfNumber(s.kind))
			return
		}
		r.number(string(r.body.value()), s, v)
	case kindText:
		if text, ok := r.text(stringText); ok {
			v.SetString(text)
		}
	case kindUUID:
		if text, ok := r.text(uuidText); ok {
			r.uuid(text, v)
		}
	case kindInstant:
		if text, ok := r.text(instantText); ok {
			r.instant(text, v)
		}
	case kindDate:
		if text, ok := r.text(dateText); ok {
			r.date(text, v)
		}
	case kindString:
		if text, ok := r.text(stringText); ok {
			r.parseError(v.Addr().Interface().(encoding.TextUnmarshaler).UnmarshalText([]byte(text)))
		}
	case kindJSON:
		before := len(r.fieldErrors)
		r.parseError(v.Addr().Interface().(json.Unmarshaler).UnmarshalJSON(r.body.value()))
		if len(r.fieldErrors) == before {
			r.ranges(v)
		}
	case kindStruct:
		r.object(s, v)
	case kindPointer:
		v.Set(reflect.New(s.typ.Elem()))
		r.value(s.elem, v.Elem())
	case kindPatch:
		r.patch(s, v)
	case kindList:
		r.list(s, v)
	case kindMap:
		r.mapping(s, v)
	default:
		if json.Unmarshal(r.body.value(), v.Addr().Interface()) != nil {
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
		r.fail("null", nullText)
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

func (r *reading) text(message string) (string, bool) {
	if r.body.PeekKind() != jsontext.KindString {
		r.refuse("type", message)
		return "", false
	}
	text, ok := textOf(r.body.value())
	if !ok {
		r.fail("characters", charactersText)
	}
	return text, ok
}

// patch reads the value into a patch.Field or patch.Clearable: sets Given and Value.
func (r *reading) patch(s *shape, v reflect.Value) {
	given, value := v.Field(0), v.Field(1)
	if value.Kind() == reflect.Pointer {
		value.Set(reflect.New(value.Type().Elem()))
		value = value.Elem()
	}
	given.SetBool(true)
	r.value(s.elem, value)
}

func (r *reading) list(s *shape, v reflect.Value) {
	if r.body.PeekKind() != jsontext.KindBeginArray {
		r.refuse("type", listText)
		return
	}
	v.Set(reflect.MakeSlice(s.typ, 0, 0))
	i := 0
	r.body.within(jsontext.KindEndArray, func() bool {
		if i++; i > maxElements {
			if i == maxElements+1 {
				r.fail("max", fmt.Sprintf("must have at most %d entries", maxElements))
			}
			r.body.skip()
			return !r.full()
		}
		v.Grow(1) // grown step by step, so a short body cannot allocate much memory
		v.SetLen(i)
		outer := r.enterIndex(i - 1)
		r.value(s.elem, v.Index(i-1))
		r.leave(outer)
		return !r.full()
	})
}

func (r *reading) mapping(s *shape, v reflect.Value) {
	if r.body.PeekKind() != jsontext.KindBeginObject {
		r.refuse("type", objectText)
		return
	}
	m := reflect.MakeMap(s.typ)
	r.body.within(jsontext.KindEndObject, func() bool {
		text, ok := textOf(r.body.value())
		key := reflect.ValueOf(text).Convert(s.typ.Key())
		outer := r.enterKey(text)
		defer r.leave(outer)
		switch {
		case !ok:
			r.refuse("characters", charactersText)
		case m.MapIndex(key).IsValid():
			r.refuse("duplicate", duplicateText)
		default:
			element := reflect.New(s.typ.Elem()).Elem()
			r.value(s.elem, element)
			m.SetMapIndex(key, element)
		}
		return !r.full()
	})
	v.Set(m)
}
