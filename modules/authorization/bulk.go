package authorization

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/idempotency"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/permission"
)

// MaxBulk is the maximum number of operations of one [Service.Bulk] call.
const MaxBulk = 200

// permissions has the permission for each kind of operation that a bulk can contain.
var permissions = map[EntryKind]identity.Permission{
	Reserve: permission.AuthorizationReserve,
	Release: permission.AuthorizationRelease,
	Consume: permission.AuthorizationConsume,
}

// Bulk runs operations on any authorizations of the organization in one transaction. It returns one
// outcome per operation, in the given order; refusals, including [ErrNotFound], are in the
// outcomes. Operations on one authorization are decided in order, each on the state that the
// previous one left. Accepted operations take effect even if others are refused. If atomic is set,
// either all take effect or none; then the error is [ErrBulkRefused], returned together with the
// outcomes.
//
// A bulk takes effect once per key. Other errors: [identity.ErrForbidden] if the caller lacks the
// permission for one of the operations, [idempotency.ErrReused], [fault.ErrInvalid].
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
	outcomes, err := s.run(ctx, "units.bulk", b)
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

// NewOperation is one of the operations of a bulk. Only the fields of its kind are used.
type NewOperation struct {
	Kind          EntryKind // Reserve, Release or Consume
	Authorization uuid.UUID
	Reservation   NewReservation // for Reserve
	Settlement    Settlement     // for Release and Consume
}

func (n NewOperation) operation() Operation {
	if n.Kind == Reserve {
		return n.Reservation.operation(n.Authorization)
	}
	return n.Settlement.operation(n.Kind, n.Authorization)
}

// permitted returns an error that names the first operation for which the caller lacks the
// permission.
func (b batch) permitted(caller identity.Caller) error {
	for i, op := range b.ops {
		if needed := permissions[op.Kind]; caller.RequireWhole(needed) != nil {
			return identity.ErrForbidden.With(identity.Denial{Permission: needed},
				"operations[%d] requires the permission %s for the whole organization. None of your roles grants it.", i, needed)
		}
	}
	return nil
}

// check returns all errors that do not depend on stored state.
func (b batch) check() error {
	var fieldErrors []fault.Field
	for i, op := range b.ops {
		for _, f := range op.fieldErrors() {
			f.Field = fmt.Sprintf("operations[%d].%s", i, f.Field)
			fieldErrors = append(fieldErrors, f)
		}
	}
	if len(b.ops) == 0 || len(b.ops) > MaxBulk {
		fieldErrors = append(fieldErrors, fault.Field{
			Field: "operations", Code: "range", Message: fmt.Sprintf("must have between 1 and %d entries", MaxBulk),
		})
	}
	if len(fieldErrors) > 0 {
		return fault.InvalidFields(fieldErrors...)
	}
	return nil
}
