// Package fault defines the errors that a caller can act on.
//
// A module defines each of its errors once, as a package variable:
//
//	var ErrInsufficientUnits = fault.Define(fault.Conflict, "insufficient-units",
//		"The authorization does not have enough units available.")
//
// and returns it unchanged, or with the details of this occurrence:
//
//	return ErrInsufficientUnits.With(Shortage{Available: 5, Requested: 6},
//		"Insufficient units available. Available: %d, Requested: %d", 5, 6)
//
// Both match errors.Is(err, ErrInsufficientUnits). The package knows nothing of HTTP:
// the app maps each [Kind] to a status in one table.
package fault

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
)

// Kind classifies an error. The zero value is not a valid kind.
type Kind int

// The kinds, from the caller's point of view.
const (
	_               Kind = iota
	Malformed            // the request cannot be read at all
	Invalid              // the request is readable but breaks a rule that does not depend on stored data
	Unauthenticated      // the request has no valid credentials
	Forbidden            // the caller lacks a permission
	NotFound             // the record does not exist, or the caller may not see it
	Conflict             // the current state does not allow the request
	Stale                // the record has changed since the caller read it
	TooLarge             // the request exceeds a size limit
	Unsupported          // the media type of the request is not supported
	TooMany              // the caller exceeded a rate limit
	Contention           // every attempt lost to a concurrent transaction
	Unavailable          // a required part of the system does not answer; a retry may succeed
)

// Error is a domain error: a stable code, a kind, a text for people, and optional typed
// details and cause. Values are immutable and safe to share.
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

	isReason, listsReasons bool
}

var defined []*Error

// Define creates a domain error with a stable code and registers it for [All]. It is
// meant for package variables. It panics if the code is already defined.
func Define(kind Kind, code, title string) *Error {
	if _, ok := ByCode(code); ok {
		panic("fault: the code " + code + " is defined twice")
	}
	e := &Error{kind: kind, code: code, title: title, text: title}
	defined = append(defined, e)
	return e
}

// All returns every defined error, ordered by code. The error reference is generated
// from it.
func All() []*Error {
	all := slices.Clone(defined)
	slices.SortFunc(all, func(a, b *Error) int { return cmp.Compare(a.code, b.code) })
	return all
}

// Advising sets what a client should do about the error, for generated documents, and
// returns e. Call it in the definition only.
func (e *Error) Advising(advice string) *Error {
	e.advice = advice
	return e
}

// Carrying sets the type of the details of this error, for generated documents, and
// returns e. The argument is a zero value of that type. Call it in the definition only.
func (e *Error) Carrying(details any) *Error {
	e.carries = details
	return e
}

// Carries returns a zero value of the type of the details, or nil.
func (e *Error) Carries() any { return e.carries }

// Advice returns what a client should do about the error, beyond what its kind implies.
func (e *Error) Advice() string { return e.advice }

// AsReason marks an error that occurs as a [Reason], for generated documents, and returns e. Call it in
// the definition only.
func (e *Error) AsReason() *Error {
	e.isReason = true
	return e
}

// ListingReasons is [Error.AsReason] for an error that also lists all broken rules and offers
// alternatives. Call it in the definition only.
func (e *Error) ListingReasons() *Error {
	e.listsReasons = true
	return e.AsReason()
}

// IsReason reports whether the error occurs as a [Reason].
func (e *Error) IsReason() bool { return e.isReason }

// ListsReasons reports whether the error can have [Error.Reasons] and [Error.Alternatives].
func (e *Error) ListsReasons() bool { return e.listsReasons }

// ByCode returns the error defined with the code.
func ByCode(code string) (*Error, bool) {
	for _, e := range defined {
		if e.code == code {
			return e, true
		}
	}
	return nil, false
}

// With returns a copy of e with details and a text for this occurrence. Details is a
// struct with json tags, or nil. Its fields become members of the problem document, so
// it must not hold secrets or health data.
func (e *Error) With(details any, format string, args ...any) *Error {
	c := *e
	c.details = details
	c.text = fmt.Sprintf(format, args...)
	return &c
}

// Reason is a rule that a request breaks. It is one of several, or that of a part of the request.
type Reason struct {
	Code    string `json:"code"`    // The code of the broken rule.
	Detail  string `json:"detail"`  // The text for people.
	Details any    `json:"details"` // The members that a problem document of this code adds, or null.
}

// Among returns a copy of e that lists all rules the request breaks, in display order
// and including e itself.
func (e *Error) Among(all []*Error) *Error {
	c := *e
	c.reasons = make([]Reason, len(all))
	for i, each := range all {
		c.reasons[i] = each.Reason()
	}
	return &c
}

// Reason returns e as a list of reasons contains it.
func (e *Error) Reason() Reason { return Reason{e.code, e.text, e.details} }

// Reasons returns the reasons set by [Error.Among], or nil.
func (e *Error) Reasons() []Reason { return e.reasons }

// Offering returns a copy of e with alternatives that would be accepted: a struct with
// json tags. Alternatives are not stored with the error.
func (e *Error) Offering(alternatives any) *Error {
	c := *e
	c.alternatives = alternatives
	return &c
}

// Alternatives returns the value set by [Error.Offering], or nil.
func (e *Error) Alternatives() any { return e.alternatives }

// Because returns a copy of e that wraps cause. The cause is for logs, errors.Is and
// errors.As. It never becomes part of the text.
func (e *Error) Because(cause error) *Error {
	c := *e
	c.cause = cause
	return &c
}

// Error returns the text for people.
func (e *Error) Error() string { return e.text }

// Kind returns the kind of the error.
func (e *Error) Kind() Kind { return e.kind }

// Code returns the stable code, such as "insufficient-units".
func (e *Error) Code() string { return e.code }

// Title returns the text that all errors of this code share.
func (e *Error) Title() string { return e.title }

// Details returns the struct given to [Error.With], or nil.
func (e *Error) Details() any { return e.details }

// Unwrap returns the cause, or nil.
func (e *Error) Unwrap() error { return e.cause }

// Is reports whether target is a domain error with the same code. It returns false for
// a nil e.
func (e *Error) Is(target error) bool {
	other, ok := target.(*Error)
	return ok && e != nil && other.code == e.code
}

// From returns the first domain error in err's tree.
func From(err error) (*Error, bool) {
	return errors.AsType[*Error](err)
}

// Field is one invalid field of a request, identified by its JSON path.
type Field struct {
	Field   string `json:"field"`   // The path of the field, such as `patients[0].units`.
	Code    string `json:"code"`    // The broken rule, such as `required`.
	Message string `json:"message"` // The text for people; it continues a sentence that begins with the field.
	// The known names, for a field or parameter that is unknown.
	Known []string `json:"known,omitempty"`
	// The known name that was probably meant.
	Nearest *string `json:"nearest,omitempty"`
}

// FormatError is the error of a type that parses itself: it says what the value must be, as
// text for a form, without repeating the value. Other parse errors are not shown to
// users.
type FormatError string

// Error returns the text.
func (e FormatError) Error() string { return string(e) }

// Fields are the details of [ErrInvalid]: all invalid fields.
type Fields struct {
	Errors []Field `json:"errors"` // All invalid fields.
}

// ErrInvalid is returned for a request with invalid fields.
var ErrInvalid = Define(Invalid, "validation-failed", "Some fields are not valid.").Carrying(Fields{}).
	Advising("Show each of `errors` at the field that it names.")

// InvalidFields returns [ErrInvalid] for the fields. There must be at least one.
func InvalidFields(fields ...Field) *Error {
	if len(fields) == 1 {
		return ErrInvalid.With(Fields{fields}, "%s %s.", fields[0].Field, fields[0].Message)
	}
	return ErrInvalid.With(Fields{fields}, "%d fields are not valid: see errors.", len(fields))
}
