package audit

import (
	"context"
	"errors"

	"github.com/google/uuid"
	"github.com/sirupsen/logrus"

	"omnirapeutic/platform/db"
)

// maxReplayBatch is the maximum number of events that one transaction enters.
const maxReplayBatch = 1000

// queueOnDisk queues rows on disk that the database did not accept; cause is its error. It queues only if
// the database has certainly written nothing, because an event must not be in the trail twice.
func (s *Service) queueOnDisk(rows []eventRow, cause error) error {
	if _, unavailable := errors.AsType[*db.UnavailableError](cause); !unavailable || s.diskQueue == nil {
		return cause
	}
	first := s.diskQueue.queued() == 0
	if err := s.diskQueue.add(rows); err != nil {
		return errors.Join(cause, err)
	}
	if first {
		s.logger.WithFields(logrus.Fields{"event": "audit_queued", "error": cause}).
			Warn("the database accepts no audit events; they are queued on disk until it does")
	}
	return nil
}

// Prepare checks that the service can queue events on disk, if it has a folder for that.
func (s *Service) Prepare() error {
	if s.diskQueue == nil {
		return nil
	}
	return s.diskQueue.Prepare()
}

// CanQueue reports whether the service queues events on disk that the database does not accept.
func (s *Service) CanQueue() bool { return s.diskQueue != nil && s.diskQueue.acceptsEvents() }

// Queued returns the number of events that this process has queued on disk.
func (s *Service) Queued() int {
	if s.diskQueue == nil {
		return 0
	}
	return s.diskQueue.queued()
}

// Replay enters the events that are queued on disk in the trail, with their original times, and
// returns their number. It includes the files of ended processes. Each event is entered exactly
// once, even after interruptions, because the number of entered lines of a file is written in the
// same transaction.
func (s *Service) Replay(ctx context.Context) (int, error) {
	if s.diskQueue == nil {
		return 0, nil
	}
	var total int
	seen := map[uuid.UUID]bool{}
	if f := s.diskQueue.rotate(); f != nil {
		entered, err := s.enterFile(ctx, f)
		total += entered
		if err != nil {
			s.diskQueue.restore(f)
			return total, err
		}
		seen[f.id] = true
	}
	for {
		f, err := s.diskQueue.abandoned(seen)
		if err != nil || f == nil {
			return total, err
		}
		seen[f.id] = true
		entered, err := s.enterFile(ctx, f)
		total += entered
		if err != nil {
			return total, errors.Join(err, f.close())
		}
	}
}

// enterFile enters the remaining rows of a file and removes the file.
func (s *Service) enterFile(ctx context.Context, f *queueFile) (int, error) {
	if _, _, err := s.enterBatch(ctx, f.id, nil); err != nil {
		return 0, err // the database accepts no writes: do not read the file
	}
	rows, damage := f.read()
	if damage != nil && !errors.Is(damage, errDamagedFile) {
		return 0, damage
	}
	total := 0
	for more := true; more; {
		entered, done, err := s.enterBatch(ctx, f.id, rows)
		if err != nil {
			return total, err
		}
		total += entered
		more = done < len(rows)
	}
	if damage != nil {
		s.logger.WithFields(logrus.Fields{
			"event": "audit_queue_damaged", "file": f.file.Name() + damagedSuffix, "entries": len(rows),
		}).
			Error("a file of queued audit events is damaged: the events before the damage are entered, and the file is kept")
	}
	s.logger.WithFields(logrus.Fields{"event": "audit_replayed", "entries": total}).Info("queued audit events were " +
		"entered in the trail")
	return total, s.diskQueue.remove(f, damage != nil)
}

// enterBatch enters the next rows of a file. It returns their number and the number of entered
// lines.
func (s *Service) enterBatch(ctx context.Context, file uuid.UUID, rows []eventRow) (entered, done int, err error) {
	done, err = db.ReadCommitted(ctx, s.database, "audit.replay", func(ctx context.Context) (int, error) {
		before, err := s.store.lockEnteredLines(ctx, file)
		if err != nil {
			return 0, err
		}
		next := rows[min(before, len(rows)):min(before+maxReplayBatch, len(rows))]
		entered = len(next)
		if entered == 0 {
			return before, nil
		}
		owners := make([]uuid.UUID, len(next))
		for i, r := range next {
			owners[i] = r.OrganizationID
		}
		if err := db.Admit(ctx, owners...); err != nil {
			return 0, err
		}
		if err := db.AfterCommit(ctx, func(context.Context) { s.signalSealer() }); err != nil {
			return 0, err
		}
		if err := s.store.insert(ctx, next); err != nil {
			return 0, err
		}
		return before + entered, s.store.setEnteredLines(ctx, file, before+entered)
	})
	return entered, done, err
}
