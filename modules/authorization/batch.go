package authorization

import (
	"bytes"
	"crypto/sha256"
	"slices"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/operation"
)

// batch is what somebody asks for in one call: a single operation, or many. They
// are decided in their order, each on the state that the one before it left, and
// each has its own outcome.
type batch struct {
	organization uuid.UUID
	zone         *time.Location // the organization's, in which its dates begin and end
	ops          []Operation    // at least one
	// atomic: where one of them is refused, none of them takes effect.
	atomic bool
}

// bind ties the operations to each other and to atomic, so that a repetition with
// the same ids is known to ask for all of the same things.
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

// authorizations returns the ids of the authorizations that it is about, each
// once, in the order in which all batches enter their lanes, so that no two wait
// for each other.
func (b batch) authorizations() []uuid.UUID {
	all := make([]uuid.UUID, len(b.ops))
	for i, op := range b.ops {
		all[i] = op.AuthorizationID
	}
	slices.SortFunc(all, func(x, y uuid.UUID) int { return bytes.Compare(x[:], y[:]) })
	return slices.Compact(all)
}

// key returns which authorization one of its operations is about.
func (b batch) key(op Operation) authorizationKey {
	return authorizationKey{b.organization, op.AuthorizationID}
}

// operationKey names one of its operations.
func (b batch) operationKey(op Operation) operation.Key {
	return operation.Key{OrganizationID: b.organization, ID: op.ID}
}

// authorizationKey tells authorizations of several organizations apart.
type authorizationKey struct{ organization, id uuid.UUID }

// result is what a batch came to: an outcome for each of its operations, refusals
// included, or an error that is its own and no answer to be remembered.
type result struct {
	outcomes []Outcome
	err      error
}

// undone reports whether nothing took effect because something was refused.
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
