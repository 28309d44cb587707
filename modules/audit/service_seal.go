package audit

import (
	"context"
	"errors"
	"math"
	"time"

	"github.com/google/uuid"
	"github.com/sirupsen/logrus"

	"omnirapeutic/platform/db"
)

// Limits of one transaction of the sealer.
const (
	maxChains = 20
	maxBatch  = 1000 // events of one chain, plus those recorded together with the last one
)

// Recorded signals that this process has recorded events, after their commit.
func (s *Service) Recorded() <-chan struct{} { return s.recorded }

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
// Like those of the relay of package events, its transactions are READ COMMITTED: it makes no
// decisions, reads rows in the order of their sequence numbers under the lock of the chain, and
// must not make the transactions that insert them fail.
func (s *Service) Seal(ctx context.Context) (int, error) { return s.seal(ctx, math.MaxInt) }

// seal is [Service.Seal] with a limit of transactions.
func (s *Service) seal(ctx context.Context, transactions int) (total int, err error) {
	var stuck []unsealedRow // these wait forever, and must not block others
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
			more = len(heads) == maxChains || len(waiting) >= maxBatch || len(missed) > 0 // a signal follows for events that arrive meanwhile
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

// unsealedRow names a row of audit_unsealed: the events that one statement has recorded for an
// organization.
type unsealedRow struct {
	OrganizationID uuid.UUID
	First          int64
}

// whole returns the events of the complete rows, these rows, and the rows with a missing event,
// which was deleted. The other events of such a row stay unsealed and are reported; once sealed,
// they would hide the deletion.
func whole(waiting []unsealedEvent) (events []row, rows, missed []unsealedRow) {
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

// extend assigns the next positions of their chains to the events and advances the heads.
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

// now returns the time with the precision of the database: whole microseconds.
func (s *Service) now() time.Time { return s.clock().UTC().Truncate(time.Microsecond) }

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

// LogHeads logs the last position and hash of each chain, and returns the number of chains. A
// rewritten chain can be detected by comparison with a log on another machine.
func (s *Service) LogHeads(ctx context.Context) (int64, error) {
	heads, err := db.Snapshot(ctx, s.database, "audit.heads", s.store.heads, db.AllOrganizations())
	for _, h := range heads {
		s.logger.WithFields(logrus.Fields{
			"event": "audit_head", "organization_id": h.OrganizationID, "position": h.Position, "hash": h.Hash.String(),
		}).Info("head of the audit trail")
	}
	return int64(len(heads)), err
}
