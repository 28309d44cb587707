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

// decoder collects the invalid fields of a request while it is read. The current path
// is a stack of bytes, converted to a string only for an error.
type decoder struct {
	body        *tokenReader
	path        []byte
	fieldErrors []fault.Field
	rules       *rules
}

func (d *decoder) fail(code, message string) {
	d.failWith(fault.Field{Field: string(d.path), Code: code, Message: message})
}

func (d *decoder) failWith(f fault.Field) {
	if !d.full() {
		d.fieldErrors = append(d.fieldErrors, f)
	}
}

func (d *decoder) full() bool { return len(d.fieldErrors) >= maxFieldErrors }

// enter appends a level to the path. Pass its result to leave to restore the path.
func (d *decoder) enter(name string) (outer int) {
	outer = len(d.path)
	if outer > 0 {
		d.path = append(d.path, '.')
	}
	d.path = append(d.path, name...)
	return outer
}

func (d *decoder) enterIndex(i int) (outer int) {
	outer = len(d.path)
	d.path = append(d.path, '[')
	d.path = strconv.AppendInt(d.path, int64(i), 10)
	d.path = append(d.path, ']')
	return outer
}

func (d *decoder) enterKey(key string) (outer int) {
	outer = len(d.path)
	d.path = append(d.path, '[')
	d.path = append(d.path, shortened(key)...)
	d.path = append(d.path, ']')
	return outer
}

func (d *decoder) leave(outer int) { d.path = d.path[:outer] }

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
func (d *decoder) refuse(code, message string) {
	d.fail(code, message)
	d.body.skip()
}

// object reads a JSON object into a struct.
func (d *decoder) object(s *plan, v reflect.Value) {
	if d.body.PeekKind() != jsontext.KindBeginObject {
		d.refuse("type", objectText)
		return
	}
	var few [64]bool
	seen := few[:]
	if len(s.members) > len(few) {
		seen = make([]bool, len(s.members))
	}
	d.body.forEach(jsontext.KindEndObject, func() bool {
		name := d.body.value()
		i, ok := s.find(name)
		if !ok {
			text, _ := textOf(name)
			outer := d.enter(shortened(text))
			d.failWith(unknownField(string(d.path), text, s.namesFrom("json")))
			d.body.skip()
			d.leave(outer)
			return !d.full()
		}
		m := &s.members[i]
		outer := d.enter(m.name)
		if seen[i] {
			d.refuse("duplicate", duplicateText)
		} else {
			seen[i] = true
			d.member(m, v.FieldByIndex(m.index))
		}
		d.leave(outer)
		return !d.full()
	})
}

// find returns the index of the member with the name, which may be written with escapes.
func (s *plan) find(name jsontext.Value) (int, bool) {
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

func (d *decoder) member(m *member, v reflect.Value) {
	before := len(d.fieldErrors)
	d.value(m.plan, v)
	if len(d.fieldErrors) == before {
		d.checkZero(m, v)
	}
}

// checkZero applies the rules to a given value that equals Go's zero value. The validator's
// omitempty and required would treat it as absent.
func (d *decoder) checkZero(m *member, v reflect.Value) {
	if m.whenZero == "" && !m.required || !v.IsZero() {
		return
	}
	switch m.plan.kind {
	case kindBool, kindInt, kindUint, kindFloat, kindText:
		if m.whenZero != "" && d.rules.checkValue(d, m.whenZero, v) {
			return
		}
		if m.required {
			d.fail("required", emptyText)
		}
	case kindList, kindMap, kindJSON, kindString, kindInstant, kindDate:
		if m.required {
			d.fail("required", emptyText)
		}
	}
}

// value reads one JSON value according to its plan.
func (d *decoder) value(s *plan, v reflect.Value) {
	given := d.body.PeekKind()
	if given == jsontext.KindNull && d.null(s, v) {
		d.body.skip()
		return
	}
	switch s.kind {
	case kindBool:
		d.boolean(given, v)
	case kindInt, kindUint, kindFloat:
		if given != jsontext.KindNumber {
			d.refuse("type", textOfNumber(s.kind))
			return
		}
		d.number(string(d.body.value()), s, v)
	case kindText:
		if text, ok := d.text(stringText); ok {
			v.SetString(text)
		}
	case kindUUID:
		if text, ok := d.text(uuidText); ok {
			d.uuid(text, v)
		}
	case kindInstant:
		if text, ok := d.text(instantText); ok {
			d.instant(text, v)
		}
	case kindDate:
		if text, ok := d.text(dateText); ok {
			d.date(text, v)
		}
	case kindString:
		if text, ok := d.text(stringText); ok {
			d.parseError(v.Addr().Interface().(encoding.TextUnmarshaler).UnmarshalText([]byte(text)))
		}
	case kindJSON:
		before := len(d.fieldErrors)
		d.parseError(v.Addr().Interface().(json.Unmarshaler).UnmarshalJSON(d.body.value()))
		if len(d.fieldErrors) == before {
			d.ranges(v)
		}
	case kindStruct:
		d.object(s, v)
	case kindPointer:
		v.Set(reflect.New(s.typ.Elem()))
		d.value(s.elem, v.Elem())
	case kindPatch:
		d.patch(s, v)
	case kindList:
		d.list(s, v)
	case kindMap:
		d.mapObject(s, v)
	default:
		if json.Unmarshal(d.body.value(), v.Addr().Interface()) != nil {
			d.fail("type", otherText)
		}
	}
}

func (d *decoder) boolean(given jsontext.Kind, v reflect.Value) {
	if given != jsontext.KindTrue && given != jsontext.KindFalse {
		d.refuse("type", boolText)
		return
	}
	d.body.skip()
	v.SetBool(given == jsontext.KindTrue)
}

// null handles null and reports whether the value is complete.
func (d *decoder) null(s *plan, v reflect.Value) bool {
	switch s.kind {
	case kindJSON, kindAny:
		return false // the type handles null itself
	case kindPatch:
		d.parseError(v.Addr().Interface().(json.Unmarshaler).UnmarshalJSON([]byte("null")))
	case kindPointer, kindDate:
		v.SetZero() // the zero date is invalid
	default:
		d.fail("null", nullText)
	}
	return true
}

// parseError records the error of a type that parses itself.
func (d *decoder) parseError(err error) {
	if err == nil {
		return
	}
	format, ok := errors.AsType[fault.FormatError](err)
	switch {
	case !ok:
		d.fail("format", otherText)
	case format == patch.ErrNull:
		d.fail("null", format.Error())
	default:
		d.fail("format", format.Error())
	}
}

func (d *decoder) text(message string) (string, bool) {
	if d.body.PeekKind() != jsontext.KindString {
		d.refuse("type", message)
		return "", false
	}
	text, ok := textOf(d.body.value())
	if !ok {
		d.fail("characters", charactersText)
	}
	return text, ok
}

// patch reads the value into a patch.Field or patch.Clearable: sets Given and Value.
func (d *decoder) patch(s *plan, v reflect.Value) {
	given, value := v.Field(0), v.Field(1)
	if value.Kind() == reflect.Pointer {
		value.Set(reflect.New(value.Type().Elem()))
		value = value.Elem()
	}
	given.SetBool(true)
	d.value(s.elem, value)
}

func (d *decoder) list(s *plan, v reflect.Value) {
	if d.body.PeekKind() != jsontext.KindBeginArray {
		d.refuse("type", listText)
		return
	}
	v.Set(reflect.MakeSlice(s.typ, 0, 0))
	i := 0
	d.body.forEach(jsontext.KindEndArray, func() bool {
		if i++; i > maxElements {
			if i == maxElements+1 {
				d.fail("max", fmt.Sprintf("must have at most %d entries", maxElements))
			}
			d.body.skip()
			return !d.full()
		}
		v.Grow(1) // grown step by step, so a short body cannot allocate much memory
		v.SetLen(i)
		outer := d.enterIndex(i - 1)
		d.value(s.elem, v.Index(i-1))
		d.leave(outer)
		return !d.full()
	})
}

func (d *decoder) mapObject(s *plan, v reflect.Value) {
	if d.body.PeekKind() != jsontext.KindBeginObject {
		d.refuse("type", objectText)
		return
	}
	m := reflect.MakeMap(s.typ)
	d.body.forEach(jsontext.KindEndObject, func() bool {
		text, ok := textOf(d.body.value())
		key := reflect.ValueOf(text).Convert(s.typ.Key())
		outer := d.enterKey(text)
		defer d.leave(outer)
		switch {
		case !ok:
			d.refuse("characters", charactersText)
		case m.MapIndex(key).IsValid():
			d.refuse("duplicate", duplicateText)
		default:
			element := reflect.New(s.typ.Elem()).Elem()
			d.value(s.elem, element)
			m.SetMapIndex(key, element)
		}
		return !d.full()
	})
	v.Set(m)
}
