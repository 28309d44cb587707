package audit

import (
	"context"
	"math"
	"time"

	"github.com/google/uuid"
	"github.com/sirupsen/logrus"

	"omnirapeutic/platform/db"
)

// Bounds of one transaction of the sealer.
const (
	maxChains = 20
	maxBatch  = 1000 // events of one chain, and what was recorded together with the last of them
)

// Times of the sealer.
const (
	sealEvery = time.Second
	// gather is how long it waits for more once it was woken: it bounds how often it
	// commits, and so how often others wait for its flush.
	gather = 250 * time.Millisecond
)

// Run enters queued events from disk and seals recorded events, until the context ends. Any number of instances may
// do so at once. It is woken by this process after a commit, and looks by itself
// for what others have left behind that were killed.
func (s *Service) Run(ctx context.Context) {
	poll := time.NewTicker(sealEvery)
	defer poll.Stop()
	for {
		if _, err := s.Replay(ctx); err != nil && ctx.Err() == nil {
			s.logger.WithFields(logrus.Fields{"event": "replay_failed", "error": err}).Debug("queued audit events are waiting for the database")
		}
		wake := s.recorded
		if _, err := s.Seal(ctx); err != nil && ctx.Err() == nil {
			s.logger.WithFields(logrus.Fields{"event": "seal_failed", "error": err}).Warn("audit events could not be sealed; they wait")
			wake = nil // not before the next look, however much is recorded
		}
		select {
		case <-ctx.Done():
			return
		case <-poll.C:
		case <-wake:
			select {
			case <-ctx.Done():
				return
			case <-time.After(gather):
			}
		}
	}
}

// Seal gives every event that waits, and that no other instance is working on, its
// position and its hash, and returns how many those were.
//
// Its transactions are READ COMMITTED, as those of the relay of events are and for
// the same reasons: it decides nothing, it takes rows in the order of their
// sequence numbers while it holds the row of the chain, and it must not make the
// transactions fail that add them.
func (s *Service) Seal(ctx context.Context) (int, error) { return s.seal(ctx, math.MaxInt) }

// seal does so in at most that many transactions.
func (s *Service) seal(ctx context.Context, transactions int) (total int, err error) {
	var stuck []unsealedRow // they wait for ever, and must not keep others from their turn
	for range transactions {
		more, broken := false, []unsealedRow(nil)
		sealed, err := db.ReadCommitted(ctx, s.database, "audit.seal", func(ctx context.Context) (int, error) {
			more, broken = false, nil
			heads, err := s.store.lockChains(ctx, maxChains, stuck)
			if err != nil || len(heads) == 0 {
				return 0, err
			}
			waiting, err := s.store.unsealed(ctx, heads, maxBatch, stuck)
			if err != nil {
				return 0, err
			}
			events, rows, missed := whole(waiting)
			more = len(heads) == maxChains || len(waiting) >= maxBatch || len(missed) > 0 // what comes meanwhile wakes the sealer again
			broken = missed
			seals := extend(heads, events)
			return len(seals), s.store.insertSeals(ctx, heads, seals, rows, s.now())
		}, db.AllOrganizations())
		total += sealed
		stuck = append(stuck, broken...)
		if err != nil || !more {
			return total, err
		}
	}
	return total, nil
}

// unsealedRow names a row of audit_unsealed: what one statement has recorded of an
// organization.
type unsealedRow struct {
	OrganizationID uuid.UUID
	First          int64
}

// whole returns the events of those rows of which all are there, these rows, and those of
// which one is missing: somebody has deleted it. Then the others of its row keep waiting,
// which is reported: sealed, they would say that there were no more of them.
func whole(waiting []noted) (events []row, rows, missed []unsealedRow) {
	broken := map[unsealedRow]bool{}
	for _, w := range waiting {
		if r := w.row(); w.Event.Sequence == 0 && !broken[r] {
			broken[r] = true
			missed = append(missed, r)
		}
	}
	events = make([]row, 0, len(waiting))
	for _, w := range waiting {
		r := w.row()
		if broken[r] {
			continue
		}
		events = append(events, w.Event)
		if w.Event.Sequence == w.First {
			rows = append(rows, r)
		}
	}
	return events, rows, missed
}

// extend gives the events the next positions of their chains, and moves the heads.
func extend(heads []head, waiting []row) []seal {
	seals := make([]seal, len(waiting))
	at := map[string]*head{}
	for i := range heads {
		at[heads[i].OrganizationID.String()] = &heads[i]
	}
	for i, r := range waiting {
		h := at[r.OrganizationID.String()]
		h.Position++
		h.Hash = hashOf(h.Hash, h.Position, r)
		seals[i] = seal{r.OrganizationID, h.Position, r.OccurredAt, r.Sequence, h.Hash}
	}
	return seals
}

// now is the moment as the database can keep it: in whole microseconds.
func (s *Service) now() time.Time { return s.clock().UTC().Truncate(time.Microsecond) }

// Backlog says what has no seal yet.
type Backlog struct {
	Waiting int
	Oldest  time.Duration // how long the oldest of them has waited
}

// Backlog returns what has no seal yet, of all organizations.
func (s *Service) Backlog(ctx context.Context) (Backlog, error) {
	return db.Snapshot(ctx, s.database, "audit.backlog", func(ctx context.Context) (Backlog, error) {
		return s.store.backlog(ctx)
	}, db.AllOrganizations())
}

// LogHeads logs the last position and hash of each chain, and returns the number of chains. A
// rewritten chain can be detected by comparison with a log on another machine.
func (s *Service) LogHeads(ctx context.Context) (int64, error) {
	heads, err := db.Snapshot(ctx, s.database, "audit.heads", s.store.heads, db.AllOrganizations())
	for _, h := range heads {
		s.logger.WithFields(logrus.Fields{
			"event": "audit_head", "organization_id": h.OrganizationID, "position": h.Position, "hash": h.Hash.String(),
		}).Info("so far the audit trail has come")
	}
	return int64(len(heads)), err
}
