package httpx

import (
	"encoding/json"
	"fmt"
	"reflect"
)

// Secret is what an answer tells once and never again: a token, a key, the path of
// a link. An answer that is kept for those who repeat a request with an
// Idempotency-Key has null in its place, so that what opens doors lies nowhere. As
// JSON it is its text, null where it is empty; any other way to print it hides it.
//
// It stands directly in the struct that is answered, or in one embedded there.
type Secret string

// Reveal returns the text.
func (s Secret) Reveal() string { return string(s) }

// String hides the text.
func (s Secret) String() string { return "[secret]" }

// GoString hides the text.
func (s Secret) GoString() string { return s.String() }

// MarshalJSON writes the text, null for none.
func (s Secret) MarshalJSON() ([]byte, error) {
	if s == "" {
		return []byte("null"), nil
	}
	return json.Marshal(string(s))
}

// Secrets are several [Secret] that are told together, such as recovery codes; null
// where there are none.
type Secrets []Secret

var (
	typeSecret  = reflect.TypeFor[Secret]()
	typeSecrets = reflect.TypeFor[Secrets]()
)

// secretsOf returns where the struct has secrets. It panics where one lies deeper
// than [withoutSecrets] reaches.
func secretsOf(t reflect.Type) [][]int {
	if t.Kind() != reflect.Struct {
		if hasSecret(t, map[reflect.Type]bool{}) {
			panic(fmt.Sprintf("httpx: %s has a Secret that is no field of what is answered", t))
		}
		return nil
	}
	var found [][]int
	for i := range t.NumField() {
		f := t.Field(i)
		switch {
		case f.Type == typeSecret || f.Type == typeSecrets:
			found = append(found, []int{i})
		case f.Anonymous && f.Type.Kind() == reflect.Struct:
			for _, deeper := range secretsOf(f.Type) {
				found = append(found, append([]int{i}, deeper...))
			}
		case hasSecret(f.Type, map[reflect.Type]bool{}):
			panic(fmt.Sprintf("httpx: %s.%s has a Secret that is no field of what is answered", t, f.Name))
		}
	}
	return found
}

func hasSecret(t reflect.Type, seen map[reflect.Type]bool) bool {
	if t == typeSecret {
		return true
	}
	if seen[t] {
		return false
	}
	seen[t] = true
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Array, reflect.Map:
		return hasSecret(t.Elem(), seen)
	case reflect.Struct:
		for f := range t.Fields() {
			if hasSecret(f.Type, seen) {
				return true
			}
		}
	}
	return false
}

// withoutSecrets returns a copy of the answer that has none where the fields are.
func withoutSecrets[Out any](answer Out, fields [][]int) Out {
	v := reflect.ValueOf(&answer).Elem()
	for _, index := range fields {
		v.FieldByIndex(index).SetZero()
	}
	return answer
}
