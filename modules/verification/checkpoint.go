package verification

import (
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
)

// Mode is the scope of a run.
type Mode string

// The modes of runs.
const (
	Full Mode = "FULL" // everything
	// Incremental is all changes since the newest checkpoint. Without one it is everything.
	Incremental Mode = "INCREMENTAL"
)

// Hash is a hash of the chain of checkpoints.
type Hash = db.Hash

// Checkpoint says how far an organization was verified without a problem. An incremental run starts
// there.
type Checkpoint struct {
	OrganizationID uuid.UUID
	Number         int64 // 1, 2, 3, …
	Mode           Mode  // of the verification
	VerifiedAt     time.Time
	EntriesBefore  time.Time // ledger entries before this time are verified
	AuditPosition  int64     // the audit trail is verified up to this position
	AuditHash      Hash      // of the seal at the position
	Hash           Hash      // of all fields above and of the checkpoint before
}

// Damage is a checkpoint that does not follow from the one before it.
type Damage struct {
	Number   int64
	Expected string // the hash or the number that follows from the checkpoint before it
	Found    string
}

// overlap is how much earlier than its start a run counts entries as unverified: longer than a
// transaction lasts, and than the clocks of two instances differ.
const overlap = 10 * time.Minute
