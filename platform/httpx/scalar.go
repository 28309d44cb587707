package httpx

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/calendar"
)

func textOfNumber(k kind) string {
	if k == kindFloat {
		return numberText
	}
	return intText
}

// number parses a number in JSON notation.
func (d *decoder) number(text string, s *plan, v reflect.Value) {
	var err error
	if s.kind != kindFloat {
		text = integerText(text)
	}
	bits := s.typ.Bits()
	switch s.kind {
	case kindInt:
		var n int64
		if n, err = strconv.ParseInt(text, 10, bits); err == nil {
			v.SetInt(n)
			return
		}
	case kindUint:
		var n uint64
		if n, err = strconv.ParseUint(text, 10, bits); err == nil {
			v.SetUint(n)
			return
		}
	default:
		var n float64
		if n, err = strconv.ParseFloat(text, bits); err == nil {
			v.SetFloat(n)
			return
		}
	}
	if !errors.Is(err, strconv.ErrRange) && !(s.kind == kindUint && isWhole(text)) {
		d.fail("type", textOfNumber(s.kind))
		return
	}
	switch s.kind {
	case kindInt:
		d.fail("range", fmt.Sprintf("must be a whole number from %d to %d", int64(math.MinInt64)>>(64-bits),
			int64(math.MaxInt64)>>(64-bits)))
	case kindUint:
		d.fail("range", fmt.Sprintf("must be a whole number from 0 to %d", uint64(math.MaxUint64)>>(64-bits)))
	default:
		d.fail("range", "must be a smaller number")
	}
}

func isWhole(text string) bool {
	_, err := strconv.ParseInt(text, 10, 64)
	return err == nil || errors.Is(err, strconv.ErrRange)
}

// decimal matches a number in JSON: sign and digits, decimals, exponent.
var decimal = regexp.MustCompile(`^(-?[0-9]+)(?:\.([0-9]+))?(?:[eE]([+-]?[0-9]+))?$`)

// integerText formats an integer without decimals and exponent: 1.0 and 1e2 are integers in JSON
// Schema. Any other text is returned unchanged. A number that is too large for any integer stays
// too large: it gets as many zeros as needed.
func integerText(text string) string {
	const tooLong = 20 // digits; no integer of 64 bits has more than 19
	if !strings.ContainsAny(text, ".eE") {
		return text
	}
	parts := decimal.FindStringSubmatch(text)
	if parts == nil {
		return text
	}
	digits := strings.TrimRight(parts[1]+parts[2], "0")
	if digits == "" || digits == "-" {
		return "0"
	}
	shift := float64(len(parts[1]) - len(digits)) // where the decimal point is after the last digit
	if parts[3] != "" {
		exponent, _ := strconv.ParseFloat(parts[3], 64) // infinite if it is very large
		shift += exponent
	}
	if shift < 0 {
		return text
	}
	return digits + strings.Repeat("0", int(min(shift, tooLong)))
}

const uuidLength = 36

// uuid accepts the canonical form only. It rejects the nil UUID, which the program
// treats as absent: a filter by it would not filter.
func (d *decoder) uuid(text string, v reflect.Value) {
	id, err := uuid.Parse(text)
	if err != nil || len(text) != uuidLength || id == uuid.Nil {
		d.fail("format", uuidText)
		return
	}
	*v.Addr().Interface().(*uuid.UUID) = id
}

// instant accepts an RFC 3339 time within the valid range. Go parses offsets of a day or more
// but cannot format them, so those are rejected.
func (d *decoder) instant(text string, v reflect.Value) {
	var t time.Time
	err := t.UnmarshalText([]byte(text))
	if err == nil && calendar.InstantInRange(t) {
		_, err = t.MarshalText()
	}
	if err != nil {
		d.fail("format", instantText)
		return
	}
	*v.Addr().Interface().(*time.Time) = t
	d.ranges(v)
}

// date accepts YYYY-MM-DD in the range.
func (d *decoder) date(text string, v reflect.Value) {
	date, err := calendar.ParseDate(text)
	if err != nil {
		d.fail("format", dateText)
		return
	}
	*v.Addr().Interface().(*calendar.Date) = date
	d.ranges(v)
}

var rangeText = fmt.Sprintf("must be from %s to %s", calendar.First, calendar.Last)

// ranges rejects out-of-range dates and times in a value. It checks every date and time of every
// request, including types that parse themselves.
func (d *decoder) ranges(v reflect.Value) {
	switch {
	case v.Type() == typeDate:
		if date := v.Interface().(calendar.Date); !date.IsZero() && !date.InRange() {
			d.fail("range", rangeText)
		}
	case v.Type() == typeInstant:
		if !calendar.InstantInRange(v.Interface().(time.Time)) {
			d.fail("range", rangeText)
		}
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			if f := v.Type().Field(i); f.IsExported() {
				outer := d.enter(strings.ToLower(f.Name[:1]) + f.Name[1:])
				d.ranges(v.Field(i))
				d.leave(outer)
			}
		}
	case v.Kind() == reflect.Pointer && !v.IsNil():
		d.ranges(v.Elem())
	}
}
