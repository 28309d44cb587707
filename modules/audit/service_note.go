package audit

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/command"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/trail"
)

// Limits of transactions for events without a change.
const (
	maxBatchEvents = 512 // events
	maxWaiting     = 10_000
	noteTimeout    = 10 * time.Second
)

// newNotes returns the queue in which requests share transactions.
func (s *Service) newNotes(metrics *command.Metrics) *command.Queue[[]trail.Event, struct{}] {
	return command.NewQueue(command.QueueOptions[[]trail.Event]{
		Limit: maxBatchEvents, Waiting: maxWaiting, Timeout: noteTimeout, Metrics: metrics,
		Name:   func([]trail.Event) string { return "audit" },
		Weight: weight,
	}, func(ctx context.Context, batch command.Batch[[]trail.Event]) ([]struct{}, error) {
		noted, err := db.ReadCommitted(ctx, s.database, "audit.note", func(ctx context.Context) ([]struct{}, error) {
			requests := batch.All()
			events := slices.Concat(requests...)
			if err := db.Admit(ctx, organizationsOf(events)...); err != nil {
				return nil, err
			}
			return make([]struct{}, len(requests)), s.Record(ctx, events)
		}, db.WritesWithCommit())
		if err == nil {
			return noted, nil
		}
		requests := batch.All()
		all := slices.Concat(requests...)
		events, refused := s.attempts.separate(all)
		rows, badEvent := eventRows(events)
		if badEvent != nil {
			return nil, badEvent
		}
		for key, count := range refused {
			s.attempts.add(key, count)
		}
		if len(rows) > 0 {
			if err := s.queueOnDisk(rows, err); err != nil {
				return make([]struct{}, len(requests)), err
			}
		}
		s.observe(all)
		return make([]struct{}, len(requests)), nil
	})
}

// Note records events that change nothing: reads, sign-ins, denials. It returns after they are
// committed. Concurrent requests share a transaction, so that many readers cost one flush of the
// disk. In a transaction of the context it is [Service.Record]. If the database accepts no writes
// and the service has a folder, the events are queued on disk until [Service.Replay] enters them.
//
// The error is [trail.ErrNotRecorded], or the error of an ended context: the events may be missing, so
// the caller must not show the records. After a COMMIT without an answer they may be stored
// nevertheless; they are true in any case.
func (s *Service) Note(ctx context.Context, events []trail.Event) error {
	if len(events) == 0 {
		return nil
	}
	_, err := s.notes.Do(ctx, command.QueueKey{Organization: events[0].OrganizationID}, events)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	}
	// The cause is for the log only: its advice about a change that may have been made does not apply
	// to the caller's request.
	return trail.ErrNotRecorded.Because(errors.New(err.Error()))
}

// weight returns how much of a transaction's limit events take. A list has a fraction of the weight of as many events.
func weight(events []trail.Event) int {
	const recordsPerEvent = 16
	total := len(events)
	for _, e := range events {
		total += len(e.Records) / recordsPerEvent
	}
	return total
}

func organizationsOf(events []trail.Event) []uuid.UUID {
	organizations := make([]uuid.UUID, len(events))
	for i, e := range events {
		organizations[i] = e.OrganizationID
	}
	return organizations
}

// Close waits for running notes and refuses further ones.
func (s *Service) Close() {
	s.notes.Close()
	if s.diskQueue != nil {
		s.diskQueue.close()
	}
}
