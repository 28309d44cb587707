package command

import (
	"net/http"
)

// The headers of repeated requests.
const (
	HeaderKey      = "Idempotency-Key"
	HeaderReplayed = "Idempotency-Replayed"
)

// MaxKey is the maximum length of a key.
const MaxKey = 255

// Keyed is embedded in the requests of endpoints that execute commands by a [Handler]. All others
// are executed by [Engine.Once].
type Keyed struct {
	Key Key `header:"Idempotency-Key" validate:"omitempty,max=255,printascii"`
}

// Replayed is embedded in their answers. It reports whether the answer is a stored one.
type Replayed bool

// Header marks a stored answer.
func (r Replayed) Header(h http.Header) {
	if r {
		h.Set(HeaderReplayed, "true")
	}
}

// ParseKey returns the key of a request's headers, and false for an invalid one.
func ParseKey(h http.Header) (key Key, ok bool) {
	given := h.Values(HeaderKey)
	switch {
	case len(given) == 0:
		return "", true
	case len(given) > 1 || given[0] == "" || len(given[0]) > MaxKey:
		return "", false
	}
	for _, b := range []byte(given[0]) {
		if b < ' ' || b > '~' {
			return "", false
		}
	}
	return Key(given[0]), true
}
