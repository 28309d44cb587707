package httpx

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"time"

	"github.com/google/uuid"
)

func isNumber(raw []byte) bool { return raw[0] == '-' || raw[0] >= '0' && raw[0] <= '9' }

func wordsOf(k kind) string {
	if k == kindFloat {
		return wordsNumber
	}
	return wordsInt
}

// number reads the text of a number, as JSON writes it.
func (r *reading) number(text string, s *shape, v reflect.Value) {
	var err error
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
		r.fail("type", wordsOf(s.kind))
		return
	}
	switch s.kind {
	case kindInt:
		r.fail("range", fmt.Sprintf("must be a whole number from %d to %d", int64(math.MinInt64)>>(64-bits), int64(math.MaxInt64)>>(64-bits)))
	case kindUint:
		r.fail("range", fmt.Sprintf("must be a whole number from 0 to %d", uint64(math.MaxUint64)>>(64-bits)))
	default:
		r.fail("range", "must be a smaller number")
	}
}

func isWhole(text string) bool {
	_, err := strconv.ParseInt(text, 10, 64)
	return err == nil || errors.Is(err, strconv.ErrRange)
}

const uuidLength = 36

// uuid takes the canonical form only. The nil UUID is no id: programs take it for
// "not given", and a filter by it would be no filter.
func (r *reading) uuid(text string, v reflect.Value) {
	id, err := uuid.Parse(text)
	if err != nil || len(text) != uuidLength || id == uuid.Nil {
		r.fail("format", wordsUUID)
		return
	}
	*v.Addr().Interface().(*uuid.UUID) = id
}

// instant takes what can be written again, here and in UTC. Go reads offsets of a day and
// more, and years in UTC past 9999, but does not write them.
func (r *reading) instant(text string, v reflect.Value) {
	var t time.Time
	err := t.UnmarshalText([]byte(text))
	for _, each := range []time.Time{t, t.UTC()} {
		if err == nil {
			_, err = each.MarshalText()
		}
	}
	if err != nil {
		r.fail("format", wordsInstant)
		return
	}
	*v.Addr().Interface().(*time.Time) = t
}
