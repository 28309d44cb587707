package audit

import (
	"context"
	"errors"

	"github.com/google/uuid"
	"github.com/sirupsen/logrus"

	"omnirapeutic/platform/db"
)

// maxReplayed is the maximum number of events that one transaction enters.
const maxReplayed = 1000

// queue queues rows on disk that the database did not accept; cause is its error. It queues only if
// the database has certainly written nothing, because an event must not be in the trail twice.
func (s *Service) queue(rows []row, cause error) error {
	if _, unavailable := errors.AsType[*db.UnavailableError](cause); !unavailable || s.spool == nil {
		return cause
	}
	first := s.spool.waiting() == 0
	if err := s.spool.add(rows); err != nil {
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
	if s.spool == nil {
		return nil
	}
	return s.spool.Prepare()
}

// Queues reports whether the service queues events on disk that the database does not accept.
func (s *Service) Queues() bool { return s.spool != nil && s.spool.takes() }

// Queued returns the number of events that this process has queued on disk.
func (s *Service) Queued() int {
	if s.spool == nil {
		return 0
	}
	return s.spool.waiting()
}

// Replay enters the events that are queued on disk in the trail, with their original times, and
// returns their number. It includes the files of ended processes. Each event is entered exactly
// once, even after interruptions, because the number of entered lines of a file is written in the
// same transaction.
func (s *Service) Replay(ctx context.Context) (int, error) {
	if s.spool == nil {
		return 0, nil
	}
	var total int
	seen := map[uuid.UUID]bool{}
	if f := s.spool.rotate(); f != nil {
		entered, err := s.enter(ctx, f)
		total += entered
		if err != nil {
			s.spool.putBack(f)
			return total, err
		}
		seen[f.id] = true
	}
	for {
		f, err := s.spool.abandoned(seen)
		if err != nil || f == nil {
			return total, err
		}
		seen[f.id] = true
		entered, err := s.enter(ctx, f)
		total += entered
		if err != nil {
			return total, errors.Join(err, f.close())
		}
	}
}

// enter enters the remaining rows of a file and removes the file.
func (s *Service) enter(ctx context.Context, f *spoolFile) (int, error) {
	if _, _, err := s.enterSome(ctx, f.id, nil); err != nil {
		return 0, err // the database accepts no writes: do not read the file
	}
	rows, damage := f.read()
	if damage != nil && !errors.Is(damage, errDamaged) {
		return 0, damage
	}
	total := 0
	for more := true; more; {
		entered, done, err := s.enterSome(ctx, f.id, rows)
		if err != nil {
			return total, err
		}
		total += entered
		more = done < len(rows)
	}
	if damage != nil {
		s.logger.WithFields(logrus.Fields{"event": "audit_queue_damaged", "file": f.file.Name() + damagedSuffix, "entries": len(rows)}).
			Error("a file of queued audit events is damaged: the events before the damage are entered, and the file is kept")
	}
	s.logger.WithFields(logrus.Fields{"event": "audit_replayed", "entries": total}).Info("queued audit events were entered in the trail")
	return total, s.spool.remove(f, damage != nil)
}

// enterSome enters the next rows of a file. It returns their number and the number of entered
// lines.
func (s *Service) enterSome(ctx context.Context, file uuid.UUID, rows []row) (entered, done int, err error) {
	done, err = db.ReadCommitted(ctx, s.database, "audit.replay", func(ctx context.Context) (int, error) {
		before, err := s.store.lockSpool(ctx, file)
		if err != nil {
			return 0, err
		}
		next := rows[min(before, len(rows)):min(before+maxReplayed, len(rows))]
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
		if err := db.AfterCommit(ctx, func(context.Context) { s.wake() }); err != nil {
			return 0, err
		}
		if err := s.store.insert(ctx, next); err != nil {
			return 0, err
		}
		return before + entered, s.store.advanceSpool(ctx, file, before+entered)
	})
	return entered, done, err
}
