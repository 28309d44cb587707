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

// maxWrong bounds how many wrong fields are told of one request.
const maxWrong = 100

// maxElements bounds every list in a body; rules set tighter bounds.
const maxElements = 10_000

// maxName bounds how much of a client's own name for a field is repeated, in bytes.
const maxName = 64

// What is wrong with a value, in words that a form can show beside its field.
const (
	wordsBool    = "must be true or false"
	wordsInt     = "must be a whole number"
	wordsNumber  = "must be a number"
	wordsText    = "must be text"
	wordsChars   = "must be text without NUL or broken characters"
	wordsUUID    = "must be a UUID"
	wordsInstant = "must be an instant as in RFC 3339, such as 2026-01-31T14:00:00Z"
	wordsDate    = string(calendar.ErrDate)
	wordsObject  = "must be an object"
	wordsList    = "must be a list"
	wordsNull    = "must not be null"
	wordsTwice   = "must be given once"
	wordsUnknown = "is not known here"
	wordsEmpty   = "must not be empty"
	wordsOther   = "is not valid"
)

// reading collects what is wrong while a request is read. path is where it is:
// a stack of bytes, made a string only when something is wrong.
type reading struct {
	path  []byte
	wrong []fault.Field
	rules *rules
}

func (r *reading) fail(code, message string) {
	if len(r.wrong) < maxWrong {
		r.wrong = append(r.wrong, fault.Field{Field: string(r.path), Code: code, Message: message})
	}
}

func (r *reading) full() bool { return len(r.wrong) >= maxWrong }

// enter goes one level deeper in the path; leave goes back with what it returned.
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

// shortened bounds what is repeated of a client's own words, at a whole character.
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
	before := len(r.wrong)
	r.value(raw, m.shape, v)
	if len(r.wrong) == before {
		r.zero(m, v)
	}
}

// zero applies the rules to a value that was given and is Go's zero value, which
// validator's omitempty and required would take for absent.
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

// value reads one JSON value by its plan.
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
		if text, ok := r.text(raw, wordsUUID); ok {
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
			r.told(v.Addr().Interface().(encoding.TextUnmarshaler).UnmarshalText([]byte(text)))
		}
	case kindJSON:
		before := len(r.wrong)
		r.told(v.Addr().Interface().(json.Unmarshaler).UnmarshalJSON(raw))
		if len(r.wrong) == before {
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
			r.fail("type", wordsOther)
		}
	}
}

// null handles null, and reports whether that is all there is to do.
func (r *reading) null(s *shape, v reflect.Value) bool {
	switch s.kind {
	case kindJSON, kindAny:
		return false // knows itself what null means
	case kindPatch:
		r.told(v.Addr().Interface().(json.Unmarshaler).UnmarshalJSON([]byte("null")))
	case kindPointer, kindDate:
		v.SetZero() // the zero date is invalid
	default:
		r.fail("null", wordsNull)
	}
	return true
}

// told notes the error of a type that reads itself.
func (r *reading) told(err error) {
	if err == nil {
		return
	}
	words, ok := errors.AsType[fault.Words](err)
	switch {
	case !ok:
		r.fail("format", wordsOther)
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

// patch reads the value into a patch.Field or patch.Clearable: both are Given and Value.
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
		v.Grow(1) // grown as it is read: a short body must not ask for much memory
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
