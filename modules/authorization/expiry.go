package authorization

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/identity"
)

// sweepBatch is the number of holds that the sweeper reads at once.
const sweepBatch = 500

// SweepHolds writes the entries of holds whose time is over, in all
// organizations, and returns how many entries it wrote. Their units were free
// already; this brings the ledger up to date. Any number of instances may sweep
// at once: whoever comes second finds nothing left to do.
func (s *Service) SweepHolds(ctx context.Context) (int64, error) { return s.sweep(ctx, uuid.Nil) }

// across lets a transaction reach all organizations where it is about all, [uuid.Nil],
// and nobody's otherwise but its caller's.
func across(organization uuid.UUID) []db.Option {
	if organization == uuid.Nil {
		return []db.Option{db.AllOrganizations()}
	}
	return nil
}

// sweep sweeps one organization or, with [uuid.Nil], all. It tries each due hold once, so a hold
// that cannot be released does not block the others.
func (s *Service) sweep(ctx context.Context, organization uuid.UUID) (written int64, err error) {
	now := s.clock()
	var failed []error
	var last dueHold
	tried := map[authorizationKey]bool{} // an authorization's holds are released together
	for {
		due, err := db.Snapshot(ctx, s.database, "units.due-holds", func(ctx context.Context) ([]dueHold, error) {
			return s.store.due(ctx, organization, now, last, sweepBatch)
		}, across(organization)...)
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

// expire releases the expired holds of one authorization as the program itself.
// A panic ends with it, and not with the program: the hold would still be due after
// the next start.
func (s *Service) expire(ctx context.Context, hold dueHold) (written int, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	caller := identity.System(hold.OrganizationID)
	ctx = identity.With(ctx, caller)
	op := Operation{ID: s.newID(), Kind: Expire, AuthorizationID: hold.AuthorizationID, ActorID: caller.UserID}
	outcomes, err := s.carryOut(ctx, "units."+string(Expire), batch{organization: hold.OrganizationID, ops: []Operation{op}})
	if err != nil {
		return 0, err
	}
	return len(outcomes[0].Entries), nil
}
