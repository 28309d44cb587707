// Package operation records the outcomes of operations, so that each takes effect once.
// An operation has an id before its transaction begins. Its row is written in that
// transaction, under the primary key of a table of its module. The row shows whether a
// COMMIT without a reply took effect, provides the answer for repeated requests, and
// decides which of several concurrent requests was first.
package operation

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/fault"
)

// Key identifies an operation within an organization.
type Key struct{ OrganizationID, ID uuid.UUID }

// Done is the row of an executed operation.
type Done struct {
	Key
	Kind        string
	Fingerprint []byte          // shows whether a repeated request is the same request
	Outcome     json.RawMessage // the stored answer: an object that embeds [Answer]
	CreatedAt   time.Time
}

// Answer is the common part of all outcomes. Modules embed it in their own outcome
// types.
type Answer struct {
	// Call distinguishes the request that executed the operation from others with the
	// same key. After a COMMIT without a reply, only the request that wrote the row may
	// use the outcome it computed.
	Call    uuid.UUID     `json:"call"`
	Refusal *fault.Frozen `json:"refusal,omitempty"` // nil: accepted
}

// Recall decodes the outcome into the value that outcome points to.
func (d Done) Recall(outcome any) error {
	if err := json.Unmarshal(d.Outcome, outcome); err != nil {
		return fmt.Errorf("operation: the outcome of a %s cannot be decoded: %w", d.Kind, err)
	}
	return nil
}
