package authorization

import (
	"bytes"
	"crypto/sha256"
	"slices"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/operation"
)

// batch is the operations of one call: a single operation, or many. They are decided in order, each
// on the state that the previous one left, and each has its own outcome.
type batch struct {
	organization uuid.UUID
	zone         *time.Location // the organization's time zone
	ops          []Operation    // at least one
	// If atomic is set and one operation is refused, none takes effect.
	atomic bool
}

// bind stores a hash of all operations and of atomic in each operation. A repeated request with the
// same ids is therefore recognized only if it is identical.
func (b batch) bind() {
	sum := sha256.New()
	if b.atomic {
		sum.Write([]byte("atomic"))
	}
	for _, op := range b.ops {
		sum.Write(op.fingerprint())
	}
	for i := range b.ops {
		b.ops[i].Bound = sum.Sum(nil)
	}
}

// authorizations returns the ids of the batch's authorizations, each once, sorted. All batches lock
// them in this order, so they cannot deadlock.
func (b batch) authorizations() []uuid.UUID {
	all := make([]uuid.UUID, len(b.ops))
	for i, op := range b.ops {
		all[i] = op.AuthorizationID
	}
	slices.SortFunc(all, func(x, y uuid.UUID) int { return bytes.Compare(x[:], y[:]) })
	return slices.Compact(all)
}

// key returns the key of the operation's authorization.
func (b batch) key(op Operation) authorizationKey {
	return authorizationKey{b.organization, op.AuthorizationID}
}

// operationKey returns the key of one of the batch's operations.
func (b batch) operationKey(op Operation) operation.Key {
	return operation.Key{OrganizationID: b.organization, ID: op.ID}
}

// authorizationKey identifies an authorization across organizations.
type authorizationKey struct{ organization, id uuid.UUID }

// result is the result of a batch: an outcome for each operation, refusals included, or an error of
// the batch itself, which is not stored.
type result struct {
	outcomes []Outcome
	err      error
}

// undone reports whether nothing takes effect because an operation was refused.
func (b batch) undone(outcomes []Outcome) bool { return b.atomic && refused(outcomes) > 0 }

func refused(outcomes []Outcome) int {
	n := 0
	for _, o := range outcomes {
		if o.Refusal != nil {
			n++
		}
	}
	return n
}
