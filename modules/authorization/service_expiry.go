package authorization

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/record"
)

// sweepBatch is the number of holds that the sweeper reads at once.
const sweepBatch = 500

// SweepHolds writes the entries of expired holds, in all organizations, and returns the number of
// entries. The units were already free; this brings the ledger up to date. Several instances may
// sweep at once: the second one finds nothing to do.
func (s *UnitService) SweepHolds(ctx context.Context) (int64, error) { return s.sweep(ctx, uuid.Nil) }

// organizationOptions returns the option to access all organizations if organization is [uuid.Nil], and no
// option otherwise.
func organizationOptions(organization uuid.UUID) []db.Option {
	if organization == uuid.Nil {
		return []db.Option{db.AllOrganizations()}
	}
	return nil
}

// sweep sweeps one organization or, with [uuid.Nil], all. It tries each due hold once, so a hold
// that cannot be released does not block the others.
func (s *UnitService) sweep(ctx context.Context, organization uuid.UUID) (written int64, err error) {
	now := s.Clock()
	var failed []error
	var last dueHold
	tried := map[record.Key]bool{} // all holds of an authorization are released together
	for {
		due, err := db.Snapshot(ctx, s.Database, "units.due-holds", func(ctx context.Context) ([]dueHold, error) {
			return s.store.due(ctx, organization, now, last, sweepBatch)
		}, organizationOptions(organization)...)
		if err != nil {
			return written, errors.Join(append(failed, err)...)
		}
		for _, hold := range due {
			if tried[hold.key()] {
				continue
			}
			tried[hold.key()] = true
			n, err := s.expire(ctx, hold)
			written += int64(n)
			if err != nil {
				failed = append(failed, fmt.Errorf("authorization %s: %w", hold.AuthorizationID, err))
			}
		}
		if len(due) < sweepBatch || ctx.Err() != nil {
			return written, errors.Join(failed...)
		}
		last = due[len(due)-1]
	}
}

// expire releases the expired holds of one authorization, as the system user. It recovers from
// panics: otherwise the same hold would crash the program again after every restart.
func (s *UnitService) expire(ctx context.Context, hold dueHold) (written int, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	caller := identity.System(hold.OrganizationID)
	ctx = identity.With(ctx, caller)
	op := Operation{Kind: Expire, AuthorizationID: hold.AuthorizationID}
	outcomes, err := s.run(ctx, s.newCommand(caller, string(Expire), "", op))
	if err != nil {
		return 0, err
	}
	return len(outcomes[0].Entries), nil
}
