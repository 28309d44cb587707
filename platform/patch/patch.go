// Package patch distinguishes the three states of a field in a JSON merge patch (RFC
// 7396): absent, null and given.
package patch

import (
	"encoding/json"

	"omnirapeutic/platform/fault"
)

// ErrNull is returned if a required field is set to null.
const ErrNull = fault.FormatError("must not be null")

// Field is a field of a merge patch that can be absent or set, but not cleared. The
// zero value is absent.
type Field[T any] struct {
	Given bool
	Value T
}

// Set returns a field that sets the value.
func Set[T any](v T) Field[T] { return Field[T]{Given: true, Value: v} }

// Apply assigns the value to target if one was given.
func (f Field[T]) Apply(target *T) {
	if f.Given {
		*target = f.Value
	}
}

// UnmarshalJSON reads the value; null is [ErrNull].
func (f *Field[T]) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		return ErrNull
	}
	f.Given = true
	return json.Unmarshal(b, &f.Value)
}

// Checked returns the value for validation, or nil if there is none.
func (f Field[T]) Checked() any {
	if !f.Given {
		return nil
	}
	return f.Value
}

// Clearable is a field of a merge patch that can be absent, set, or cleared with null.
// The zero value is absent.
type Clearable[T any] struct {
	Given bool
	Value *T // nil: cleared
}

// SetClearable returns a field that sets the value.
func SetClearable[T any](v T) Clearable[T] { return Clearable[T]{Given: true, Value: &v} }

// Clear returns a field that clears the value.
func Clear[T any]() Clearable[T] { return Clearable[T]{Given: true} }

// Apply assigns the value, or nil, to target if the field was given.
func (f Clearable[T]) Apply(target **T) {
	if f.Given {
		*target = f.Value
	}
}

// UnmarshalJSON reads the value, or null.
func (f *Clearable[T]) UnmarshalJSON(b []byte) error {
	f.Given = true
	if string(b) == "null" {
		f.Value = nil
		return nil
	}
	f.Value = new(T)
	return json.Unmarshal(b, f.Value)
}

// Checked returns the value for validation, or nil if there is none.
func (f Clearable[T]) Checked() any {
	if f.Value == nil {
		return nil
	}
	return *f.Value
}

// Checker is implemented by fields of a merge patch of any type.
type Checker interface{ Checked() any }
