package audit

import (
	"context"
	"errors"
	"math"
	"time"

	"omnirapeutic/platform/db"
)

// Limits of one transaction of the sealer.
const (
	maxChains = 20
	maxBatch  = 1000 // events of one chain, plus those recorded together with the last one
)

// Recorded signals that this process has recorded events, after their commit.
func (s *Service) Recorded() <-chan struct{} { return s.sealSignal }

// EnterAndSeal enters queued events from disk ([Service.Replay]), seals recorded events
// ([Service.Seal]), and returns the number of both. It includes the events of killed instances. Any
// number of instances may run it at once.
func (s *Service) EnterAndSeal(ctx context.Context) (int64, error) {
	entered, replayErr := s.Replay(ctx)
	sealed, sealErr := s.Seal(ctx)
	return int64(entered + sealed), errors.Join(replayErr, sealErr)
}

// Seal seals all unsealed events of chains that no other instance is working on, and returns their
// number.
//
// Like the relay of package events, it uses READ COMMITTED transactions: it makes no
// decisions, reads rows in the order of their sequence numbers under the lock of the chain, and
// must not make the transactions that insert them fail.
func (s *Service) Seal(ctx context.Context) (int, error) { return s.seal(ctx, math.MaxInt) }

// seal is [Service.Seal] with a limit of transactions.
func (s *Service) seal(ctx context.Context, transactions int) (total int, err error) {
	var unsealable []unsealedRow // these wait forever, and must not block others
	for range transactions {
		more, incomplete := false, []unsealedRow(nil)
		sealed, err := db.ReadCommitted(ctx, s.database, "audit.seal", func(ctx context.Context) (int, error) {
			more, incomplete = false, nil
			heads, err := s.store.lockChains(ctx, maxChains, unsealable)
			if err != nil || len(heads) == 0 {
				return 0, err
			}
			waiting, err := s.store.unsealed(ctx, heads, maxBatch, unsealable)
			if err != nil {
				return 0, err
			}
			events, rows, missed := completeRows(waiting)
			// a signal follows for events that arrive meanwhile
			more = len(heads) == maxChains || len(waiting) >= maxBatch || len(missed) > 0
			incomplete = missed
			seals := assignSeals(heads, events)
			return len(seals), s.store.insertSeals(ctx, heads, seals, rows, s.now())
		}, db.AllOrganizations())
		total += sealed
		unsealable = append(unsealable, incomplete...)
		if err != nil || !more {
			return total, err
		}
	}
	return total, nil
}

// Backlog is the number and age of unsealed events.
type Backlog struct {
	Waiting int
	Oldest  time.Duration // the age of the oldest one
}

// Backlog returns the backlog of all organizations.
func (s *Service) Backlog(ctx context.Context) (Backlog, error) {
	return db.Snapshot(ctx, s.database, "audit.backlog", func(ctx context.Context) (Backlog, error) {
		return s.store.backlog(ctx)
	}, db.AllOrganizations())
}
