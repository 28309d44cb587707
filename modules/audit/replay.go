package audit

import (
	"context"
	"errors"

	"github.com/google/uuid"
	"github.com/sirupsen/logrus"

	"omnirapeutic/platform/db"
)

// maxReplayed is the most events that one transaction enters.
const maxReplayed = 1000

// queue queues rows on the disk that the database did not take: cause says why. Only where
// it is certain that nothing was written: an event must not be in the trail twice.
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
			Warn("the database takes no audit events; they are queued on disk until it does")
	}
	return nil
}

// Prepare checks that events can be queued on the disk, where the service has a folder for that.
func (s *Service) Prepare() error {
	if s.spool == nil {
		return nil
	}
	return s.spool.Prepare()
}

// Queues reports whether events that the database does not take are queued on the disk.
func (s *Service) Queues() bool { return s.spool != nil && s.spool.takes() }

// Queued returns how many events this process has queued on the disk.
func (s *Service) Queued() int {
	if s.spool == nil {
		return 0
	}
	return s.spool.waiting()
}

// Replay enters in the trail what is queued on the disk, with the times at which it
// happened, and returns how many events those were: what this process has queued, and what
// others have left behind. Each event is entered once, whatever is interrupted: how many
// lines of a file are entered is written with them.
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

// enter enters the rows of a file that are not entered yet, and removes it.
func (s *Service) enter(ctx context.Context, f *spoolFile) (int, error) {
	if _, _, err := s.enterSome(ctx, f.id, nil); err != nil {
		return 0, err // the database takes no writes: the file need not be read
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
			Error("a file of queued audit events cannot be read to its end: what comes before is entered, and the file is kept")
	}
	s.logger.WithFields(logrus.Fields{"event": "audit_replayed", "entries": total}).Info("queued audit events are in the trail")
	return total, s.spool.remove(f, damage != nil)
}

// enterSome enters the next rows of a file, and returns how many, and how many are done.
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
