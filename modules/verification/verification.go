// Package verification checks an organization's ledger and audit trail in the background.
//
// A run is a row of the table verifications, so every instance can show its progress and its
// result. An organization has one run at a time. The instance that executes it renews a lease. When
// the instance dies, the lease expires and the run has failed as interrupted. No other instance
// continues a run, because the data may have changed; a check is repeated as a whole.
package verification

import (
	"encoding/json"
	"sync"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/fault"
)

// State is the state of a run.
type State string

// The states of a run.
const (
	Running  State = "RUNNING"
	Finished State = "FINISHED" // has a result
	Failed   State = "FAILED"   // has no result
)

// Failure says why a run has no result.
type Failure string

// The reasons why a run has no result.
const (
	Interrupted Failure = "interrupted" // the program stopped before the end
	Broken      Failure = "error"       // the check failed; the error is in the log
)

// Count is the number of checked items.
type Count struct {
	Checked int64
	Total   *int64 // nil: not yet counted
}

// Run is one check of an organization's ledger and audit trail.
type Run struct {
	OrganizationID uuid.UUID
	ID             uuid.UUID
	Mode           Mode
	State          State
	StartedBy      uuid.UUID // a user, or an API key
	StartedAt      time.Time
	FinishedAt     *time.Time
	Failure        *Failure        // of a failed run
	Result         json.RawMessage // of a finished run
	Authorizations Count
	Events         Count // of the audit trail
}

// Progress is the progress of a check. Safe for concurrent use.
type Progress struct {
	mu             sync.Mutex
	authorizations Count
	events         Count
}

// Authorizations reports the number of checked authorizations and their total.
func (p *Progress) Authorizations(checked, total int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.authorizations = Count{checked, &total}
}

// Events reports the number of checked events of the audit trail and their total.
func (p *Progress) Events(checked, total int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.events = Count{checked, &total}
}

func (p *Progress) counts() (authorizations, events Count) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.authorizations, p.events
}

// ErrNotFound is returned if the organization has no such verification, or it was removed.
var ErrNotFound = fault.Define(fault.NotFound, "verification-not-found", "Verification not found.").
	Advising("List the verifications; they are kept for 90 days.")
