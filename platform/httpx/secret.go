package httpx

import (
	"encoding/json"
	"fmt"
	"reflect"
)

// Secret is a text that an answer shows only once: a token, a key or the path of a
// link. It is null in answers stored for an Idempotency-Key, so that no secret is
// stored. It encodes to JSON as its text, or null if empty. All other ways to print it
// hide the text.
//
// A Secret must be a field of the answer itself or of a struct embedded there.
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

// Secrets are several [Secret] shown together, such as recovery codes. An empty list
// encodes as null.
type Secrets []Secret

var (
	typeSecret  = reflect.TypeFor[Secret]()
	typeSecrets = reflect.TypeFor[Secrets]()
)

// secretsOf returns the secret fields of the struct. It panics if one is nested deeper
// than [withoutSecrets] supports.
func secretsOf(t reflect.Type) [][]int {
	if t.Kind() != reflect.Struct {
		if hasSecret(t, map[reflect.Type]bool{}) {
			panic(fmt.Sprintf("httpx: %s has a Secret that is not a field of the answer itself", t))
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
			panic(fmt.Sprintf("httpx: %s.%s has a Secret that is not a field of the answer itself", t, f.Name))
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

// withoutSecrets returns a copy of the answer with the fields cleared.
func withoutSecrets[Out any](answer Out, fields [][]int) Out {
	v := reflect.ValueOf(&answer).Elem()
	for _, index := range fields {
		v.FieldByIndex(index).SetZero()
	}
	return answer
}
