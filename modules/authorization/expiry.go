package authorization

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/sirupsen/logrus"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/identity"
)

// sweepBatch is how many authorizations one look of the sweeper takes.
const sweepBatch = 100

// SweepHolds writes the entries of holds whose time is over, in all
// organizations, and returns how many entries it wrote. Their units were free
// already; this brings the ledger up to date. Any number of instances may sweep
// at once: whoever comes second finds nothing left to do.
func (s *Service) SweepHolds(ctx context.Context) (int, error) { return s.sweep(ctx, uuid.Nil) }

// across lets a transaction reach all organizations where it is about all, [uuid.Nil],
// and nobody's otherwise but its caller's.
func across(organization uuid.UUID) []db.Option {
	if organization == uuid.Nil {
		return []db.Option{db.AllOrganizations()}
	}
	return nil
}

// sweep sweeps one organization or, with [uuid.Nil], all.
func (s *Service) sweep(ctx context.Context, organization uuid.UUID) (int, error) {
	written := 0
	var failed []error
	stuck := map[dueHold]bool{} // they stay due and must not keep others from their turn
	for {
		limit := sweepBatch + len(stuck)
		due, err := db.Snapshot(ctx, s.database, "units.due-holds", func(ctx context.Context) ([]dueHold, error) {
			return s.store.due(ctx, organization, s.clock(), limit)
		}, across(organization)...)
		if err != nil {
			return written, errors.Join(append(failed, err)...)
		}
		for _, hold := range due {
			if stuck[hold] {
				continue
			}
			n, err := s.expire(ctx, hold)
			written += n
			if err != nil {
				failed = append(failed, fmt.Errorf("authorization %s: %w", hold.AuthorizationID, err))
			}
			if n == 0 {
				stuck[hold] = true
			}
		}
		if len(due) < limit || ctx.Err() != nil {
			return written, errors.Join(failed...)
		}
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

// RunSweeper sweeps at once, for what fell due while nothing ran, and then once
// per interval until the context ends. A sweep that fails is logged, and the next
// one does its work.
func (s *Service) RunSweeper(ctx context.Context, interval time.Duration) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		written, err := s.SweepHolds(ctx)
		log := s.logger.WithFields(logrus.Fields{"event": "holds_swept", "entries": written})
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			log.WithError(err).Warn("some expired holds could not be swept; the next sweep tries again")
		case written > 0:
			log.Info("expired holds were released")
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}
