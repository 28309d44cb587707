// Package operation remembers what operations came to, so that each is done once. An
// operation has an id before its transaction begins, and its row is written in that
// transaction, under the primary key of a table that its module has for it. The row
// tells whether a COMMIT without an answer was carried out, what to answer whoever asks
// again, and who of several that ask at once was first.
package operation

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/fault"
)

// Key names an operation: ids are looked up in their organization.
type Key struct{ OrganizationID, ID uuid.UUID }

// Done is the row of an operation that has been carried out.
type Done struct {
	Key
	Kind        string
	Fingerprint []byte          // tells whether who asks again asks for the same thing
	Outcome     json.RawMessage // what a repetition must answer: an object, with what [Answer] has
	CreatedAt   time.Time
}

// Answer is the part that all outcomes have, embedded in what a module keeps of its own.
type Answer struct {
	// Call tells the request that carried the operation out from others with the same
	// key: after a COMMIT without an answer, only the one whose row it is may answer
	// with what it had decided.
	Call    uuid.UUID     `json:"call"`
	Refusal *fault.Frozen `json:"refusal,omitempty"` // nil: accepted
}

// Recall reads the outcome into what outcome points to.
func (d Done) Recall(outcome any) error {
	if err := json.Unmarshal(d.Outcome, outcome); err != nil {
		return fmt.Errorf("operation: what a %s came to cannot be read: %w", d.Kind, err)
	}
	return nil
}
