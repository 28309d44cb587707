package authorization

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/idempotency"
	"omnirapeutic/platform/identity"
)

// MaxBulk is the most operations that [Service.Bulk] carries out at once.
const MaxBulk = 200

// permissions are what a caller needs for each kind of operation that can be part
// of a bulk.
var permissions = map[EntryKind]identity.Permission{
	Reserve: PermissionReserve,
	Release: PermissionRelease,
	Consume: PermissionConsume,
}

// Bulk carries out operations of any authorizations in one transaction. Each has
// its outcome, at its own place; refusals are in the outcomes, [ErrNotFound]
// included. Operations on one authorization are decided in their order, each on
// the state that the one before it left. Those that are accepted take effect
// though others are refused; atomic, either all of them do or none, and then the
// error is [ErrBulkRefused], beside the outcomes.
//
// All of it takes effect once per key. Other errors: [identity.ErrForbidden] where
// the caller may not do one of them, [idempotency.ErrReused], [fault.ErrInvalid].
func (s *Service) Bulk(ctx context.Context, ops []NewOperation, atomic bool, key Key) ([]Outcome, error) {
	caller, err := identity.From(ctx)
	if err != nil {
		return nil, err
	}
	b := batch{organization: caller.OrganizationID, ops: make([]Operation, len(ops)), atomic: atomic}
	for i, n := range ops {
		b.ops[i] = n.operation().by(caller, s.operationID(caller, key, i), s.newID(), key)
	}
	if err := b.permitted(caller); err != nil {
		return nil, err
	}
	if err := b.check(); err != nil {
		return nil, err
	}
	b.bind()
	outcomes, err := s.carryOut(ctx, "units.bulk", b)
	switch {
	case err != nil:
		return nil, err
	case outcomes[0].Refusal.Is(idempotency.ErrReused):
		return nil, idempotency.ErrReused
	case b.undone(outcomes):
		return outcomes, ErrBulkRefused
	}
	return outcomes, nil
}

// NewOperation is one of the operations of a bulk: the fields of its kind count.
type NewOperation struct {
	Kind          EntryKind // Reserve, Release or Consume
	Authorization uuid.UUID
	Reservation   NewReservation // of Reserve
	Settlement    Settlement     // of Release and Consume
}

func (n NewOperation) operation() Operation {
	if n.Kind == Reserve {
		return n.Reservation.operation(n.Authorization)
	}
	return n.Settlement.operation(n.Kind, n.Authorization)
}

// permitted refuses the whole batch for the first operation that the caller may
// not do, and names it.
func (b batch) permitted(caller identity.Caller) error {
	for i, op := range b.ops {
		if needed := permissions[op.Kind]; caller.RequireWhole(needed) != nil {
			return identity.ErrForbidden.With(identity.Denial{Permission: needed},
				"operations[%d] needs the permission %s for the whole organization, which none of your roles holds.", i, needed)
		}
	}
	return nil
}

// check refuses what is wrong whatever the state, all of it at once.
func (b batch) check() error {
	var wrong []fault.Field
	for i, op := range b.ops {
		for _, f := range op.wrong() {
			f.Field = fmt.Sprintf("operations[%d].%s", i, f.Field)
			wrong = append(wrong, f)
		}
	}
	if len(b.ops) == 0 || len(b.ops) > MaxBulk {
		wrong = append(wrong, fault.Field{
			Field: "operations", Code: "range", Message: fmt.Sprintf("must have between 1 and %d entries", MaxBulk),
		})
	}
	if len(wrong) > 0 {
		return fault.InvalidFields(wrong...)
	}
	return nil
}
