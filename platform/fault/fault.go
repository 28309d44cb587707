// Package fault is the vocabulary of errors that a caller may act on.
//
// A module defines each of its errors once, as a package variable:
//
//	var ErrInsufficientUnits = fault.Define(fault.Conflict, "insufficient-units",
//		"The authorization does not have enough units available.")
//
// and returns it as it is, or with the details of the moment:
//
//	return ErrInsufficientUnits.With(Shortage{Available: 5, Requested: 6},
//		"Insufficient units available. Available: %d, Requested: %d", 5, 6)
//
// Both can be tested for with errors.Is(err, ErrInsufficientUnits). Nothing here
// knows HTTP: the app turns a [Kind] into a status in one table.
package fault

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
)

// Kind says what sort of thing went wrong. The zero value is not a valid kind.
type Kind int

// The kinds, from the caller's point of view.
const (
	_               Kind = iota
	Malformed            // the request cannot be read at all
	Invalid              // the request can be read, and breaks a rule of its own, whatever the state
	Unauthenticated      // nobody is signed in
	Forbidden            // somebody is, and may not do this
	NotFound             // there is no such thing, or not for this caller
	Conflict             // the state of things does not allow it now
	Stale                // the thing is no longer the version that the caller means
	TooLarge             // the request is bigger than what is accepted
	Unsupported          // the request's media type is not understood
	TooMany              // the caller asks more often than is allowed
	Contention           // every attempt was overtaken by a concurrent transaction
	Unavailable          // a part of the system that is needed does not answer; it may soon
)

// Error is a domain error: a stable code, a kind, a text for people, and
// optionally typed details and a cause. Values are immutable and safe to share.
type Error struct {
	kind    Kind
	code    string
	title   string
	advice  string
	text    string
	carries any
	details any
	reasons []Reason
	cause   error

	alternatives any
}

var defined []*Error

// Define makes a domain error with a stable code and registers it for [All].
// It is meant for package variables; a code defined twice panics at start.
func Define(kind Kind, code, title string) *Error {
	if _, ok := ByCode(code); ok {
		panic("fault: the code " + code + " is defined twice")
	}
	e := &Error{kind: kind, code: code, title: title, text: title}
	defined = append(defined, e)
	return e
}

// All returns every defined error, ordered by code. Documents are made from it.
func All() []*Error {
	all := slices.Clone(defined)
	slices.SortFunc(all, func(a, b *Error) int { return cmp.Compare(a.code, b.code) })
	return all
}

// Advising notes what a client should do about the error, for documents, and
// returns it. It belongs to the definition.
func (e *Error) Advising(advice string) *Error {
	e.advice = advice
	return e
}

// Carrying notes of which type the details are that [Error.With] gives to errors
// of this code, for documents, and returns it: details is a zero value. It belongs
// to the definition.
func (e *Error) Carrying(details any) *Error {
	e.carries = details
	return e
}

// Carries returns a zero value of the type of the details, or nil.
func (e *Error) Carries() any { return e.carries }

// Advice returns what a client should do about the error, where that is more
// than its kind says.
func (e *Error) Advice() string { return e.advice }

// ByCode returns the error defined with the code.
func ByCode(code string) (*Error, bool) {
	for _, e := range defined {
		if e.code == code {
			return e, true
		}
	}
	return nil, false
}

// With returns a copy of e that carries details and a text of the moment.
// Details is a struct with json tags, or nil; its fields become members of the
// problem document, so it must not hold secrets or health data.
func (e *Error) With(details any, format string, args ...any) *Error {
	c := *e
	c.details = details
	c.text = fmt.Sprintf(format, args...)
	return &c
}

// Reason is one of several rules that stand against a request.
type Reason struct {
	Code    string `json:"code"`
	Detail  string `json:"detail"`
	Details any    `json:"details"` // as in the problem document of that code
}

// Among returns a copy of e, which is the refusal of a request that breaks several
// rules, or but one: all of them, e included, in the order in which they are to be told.
func (e *Error) Among(all []*Error) *Error {
	c := *e
	c.reasons = make([]Reason, len(all))
	for i, each := range all {
		c.reasons[i] = Reason{each.code, each.text, each.details}
	}
	return &c
}

// Reasons returns what [Error.Among] was given, and nil for an error that stands alone.
func (e *Error) Reasons() []Reason { return e.reasons }

// Offering returns a copy of e that tells what would work instead: a struct with
// json tags. It is of the moment, and not stored with the error.
func (e *Error) Offering(alternatives any) *Error {
	c := *e
	c.alternatives = alternatives
	return &c
}

// Alternatives returns what [Error.Offering] was given, or nil.
func (e *Error) Alternatives() any { return e.alternatives }

// Because returns a copy of e that wraps cause. The cause is for logs and for
// errors.Is and errors.As; it never becomes part of the text.
func (e *Error) Because(cause error) *Error {
	c := *e
	c.cause = cause
	return &c
}

// Error returns the text for people.
func (e *Error) Error() string { return e.text }

// Kind returns what sort of thing went wrong.
func (e *Error) Kind() Kind { return e.kind }

// Code returns the stable code, such as "insufficient-units".
func (e *Error) Code() string { return e.code }

// Title returns the text that is the same for every error of this code.
func (e *Error) Title() string { return e.title }

// Details returns the struct given to [Error.With], or nil.
func (e *Error) Details() any { return e.details }

// Unwrap returns the cause, or nil.
func (e *Error) Unwrap() error { return e.cause }

// Is reports whether target is a domain error with the same code; of nil it is not.
func (e *Error) Is(target error) bool {
	other, ok := target.(*Error)
	return ok && e != nil && other.code == e.code
}

// From returns the first domain error in err's tree.
func From(err error) (*Error, bool) {
	return errors.AsType[*Error](err)
}

// Field is one wrong field of a request, by its JSON path.
type Field struct {
	Field   string `json:"field"`
	Code    string `json:"code"`
	Message string `json:"message"`
}

// Words is the error of a type that reads itself: what the value must be, in words
// that a form can show beside its field, without what was given. Any other error
// of reading is not for people, and they are not shown it.
type Words string

// Error returns the words.
func (w Words) Error() string { return string(w) }

// Fields are the details of [ErrInvalid]: every wrong field at once.
type Fields struct {
	Errors []Field `json:"errors"`
}

// ErrInvalid is the refusal of a request whose fields do not validate.
var ErrInvalid = Define(Invalid, "validation-failed", "Some fields are not valid.").Carrying(Fields{}).
	Advising("Show each of `errors` at the field that it names.")

// InvalidFields returns [ErrInvalid] for the given fields, at least one.
func InvalidFields(fields ...Field) *Error {
	if len(fields) == 1 {
		return ErrInvalid.With(Fields{fields}, "%s %s.", fields[0].Field, fields[0].Message)
	}
	return ErrInvalid.With(Fields{fields}, "%d fields are not valid: see errors.", len(fields))
}
