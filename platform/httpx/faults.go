package httpx

import (
	"omnirapeutic/platform/fault"
)

// What can be wrong with a request before any rule of a module is asked.
// Wrong fields are [fault.ErrInvalid].
var (
	// ErrMalformed: the request cannot be read, or asks with a query parameter that there is not.
	ErrMalformed = fault.Define(fault.Malformed, "malformed-request", "The request cannot be understood.").Carrying(unknownParameters{})
	// ErrBodyTooLarge: the body is larger than what is accepted.
	ErrBodyTooLarge = fault.Define(fault.TooLarge, "body-too-large", "The body of the request is too large.")
	// ErrUnsupported: the body is not JSON by its Content-Type, or is compressed.
	ErrUnsupported = fault.Define(fault.Unsupported, "unsupported-media-type", "The body must be JSON, with Content-Type: application/json.")
)

// unknownParameters are the details of [ErrMalformed] where the query has
// parameters that the endpoint does not know.
type unknownParameters struct {
	Errors []fault.Field `json:"errors,omitempty"`
}
