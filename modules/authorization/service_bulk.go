package authorization

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"omnirapeutic/platform/command"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/permission"
)

// MaxBulk is the maximum number of operations of one [UnitService.Bulk] call.
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
// permission for one of the operations, [command.ErrReused], [fault.ErrInvalid].
func (s *UnitService) Bulk(ctx context.Context, ops []NewOperation, atomic bool, key command.Key) ([]Outcome, error) {
	caller, err := identity.From(ctx)
	if err != nil {
		return nil, err
	}
	all := make([]Operation, len(ops))
	for i, n := range ops {
		all[i] = n.operation()
	}
	if err := requirePermissions(caller, all); err != nil {
		return nil, err
	}
	if err := checkAll(all); err != nil {
		return nil, err
	}
	c := s.newCommand(caller, "bulk", key, all...)
	c.atomic = atomic
	c.Fingerprint = c.bulkFingerprint()
	outcomes, err := s.run(ctx, c)
	if err == nil && c.isRolledBack(outcomes) {
		err = ErrBulkRefused
	}
	return outcomes, err
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

// requirePermissions returns an error that names the first operation for which the caller lacks the
// permission.
func requirePermissions(caller identity.Caller, ops []Operation) error {
	for i, op := range ops {
		if needed := permissions[op.Kind]; caller.RequireForOrganization(needed) != nil {
			return identity.ErrForbidden.With(identity.Denial{Permission: needed},
				"operations[%d] requires the permission %s for the whole organization. None of your roles grants it.", i, needed)
		}
	}
	return nil
}

// checkAll returns all errors that do not depend on stored state.
func checkAll(ops []Operation) error {
	var fieldErrors []fault.Field
	for i, op := range ops {
		for _, f := range op.fieldErrors() {
			f.Field = fmt.Sprintf("operations[%d].%s", i, f.Field)
			fieldErrors = append(fieldErrors, f)
		}
	}
	if len(ops) == 0 || len(ops) > MaxBulk {
		fieldErrors = append(fieldErrors, fault.Field{
			Field: "operations", Code: "range", Message: fmt.Sprintf("must have between 1 and %d entries", MaxBulk),
		})
	}
	if len(fieldErrors) > 0 {
		return fault.InvalidFields(fieldErrors...)
	}
	return nil
}
