package audit

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/identity"
	"omnirapeutic/platform/trail"
)

// Removal is what an operator asks of the retention.
type Removal struct {
	Before time.Time // events that are older
	By     string    // who does it: 1 to 200 characters
}

// Checkpoint is where a chain begins whose oldest events were removed.
type Checkpoint struct {
	OrganizationID uuid.UUID
	Position       int64 // of the last event that was removed
	Hash           Hash  // of its seal
	Removed        int64 // how many
	RemovedBy      string
	RemovedAt      time.Time
}

// removed are the After of a removal.
type removed struct {
	Position int64     `json:"position"`
	Hash     string    `json:"hash"`
	Removed  int64     `json:"removed"`
	Before   time.Time `json:"before"`
}

// ErrUnsound says that a trail does not verify: nothing is removed from it, since
// the checkpoint would cover up what is wrong.
var ErrUnsound = errors.New("audit: the trail does not verify; nothing is removed from it")

const maxRemovedBy = 200

// Remove removes the oldest events of every trail, as far as all of them are older,
// and leaves a checkpoint for each, from which its chain goes on. It is for the
// owner of the tables: the program's role may not. The removal is itself an event of
// the trail. The error is [ErrUnsound] where one of them does not verify; those
// before it are done then, and told.
func (s *Service) Remove(ctx context.Context, r Removal) ([]Checkpoint, error) {
	if n := len(r.By); n == 0 || n > maxRemovedBy {
		return nil, fmt.Errorf("audit: who removes events must be told, in at most %d bytes", maxRemovedBy)
	}
	organizations, err := db.Snapshot(ctx, s.database, "audit.remove", s.store.organizations, db.AllOrganizations())
	if err != nil {
		return nil, err
	}
	var made []Checkpoint
	for _, each := range organizations {
		found, err := s.Verify(ctx, each, false, nil)
		if err == nil && !found.OK {
			err = fmt.Errorf("%w: %s", ErrUnsound, found.Problems[0])
		}
		if err != nil {
			return made, err
		}
		c, err := s.removeFrom(ctx, each, r)
		if err != nil {
			return made, err
		}
		if c != nil {
			made = append(made, *c)
		}
	}
	return made, nil
}

// removeFrom removes from one trail; nil where nothing is old enough. While it holds
// the chain's row nothing is sealed.
func (s *Service) removeFrom(ctx context.Context, organization uuid.UUID, r Removal) (*Checkpoint, error) {
	return db.ReadCommitted(ctx, s.database, "audit.remove", func(ctx context.Context) (*Checkpoint, error) {
		if err := db.Admit(ctx, organization); err != nil {
			return nil, err
		}
		if err := s.store.lockChain(ctx, organization); err != nil {
			return nil, err
		}
		c, err := s.store.lastBefore(ctx, organization, r.Before)
		if err != nil || c == nil {
			return nil, err
		}
		c.RemovedBy, c.RemovedAt = r.By, s.now()
		if err := s.store.remove(ctx, c); err != nil {
			return nil, err
		}
		e := trail.By(identity.System(organization))
		e.Action, e.SubjectType, e.OccurredAt = "audit.remove", "audit", c.RemovedAt
		e.After = removed{c.Position, c.Hash.String(), c.Removed, r.Before}
		return c, s.Record(ctx, []trail.Event{e})
	})
}
