package httpx

import (
	"omnirapeutic/platform/fault"
)

// Errors of requests that fail before a module sees them. Invalid fields are
// [fault.ErrInvalid].
var (
	// ErrMalformed is returned for an unreadable request or an unknown query parameter.
	ErrMalformed = fault.Define(fault.Malformed, "malformed-request", "The request is "+
		"malformed.").Carrying(unknownParameters{})
	// ErrBodyTooLarge is returned for a body above the size limit.
	ErrBodyTooLarge = fault.Define(fault.TooLarge, "body-too-large", "The body of the request is too large.")
	// ErrUnsupported is returned for a body that is compressed or not JSON by its
	// Content-Type.
	ErrUnsupported = fault.Define(fault.Unsupported, "unsupported-media-type",
		"The body must be JSON, with Content-Type: application/json.")
)

// unknownParameters are the details of [ErrMalformed] for a query with unknown
// parameters.
type unknownParameters struct {
	Errors []fault.Field `json:"errors,omitempty"` // The unknown parameters of the query.
}
