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

// Removal is an operator's request to remove old events.
type Removal struct {
	Before time.Time // remove events before this time
	By     string    // the operator: 1 to 200 bytes
}

// Checkpoint is the start of a chain whose oldest events were removed.
type Checkpoint struct {
	OrganizationID uuid.UUID
	Position       int64 // of the last removed event
	Hash           Hash  // of its seal
	Removed        int64 // number of removed events
	RemovedBy      string
	RemovedAt      time.Time
}

// removalRecord is the After value of a removal.
type removalRecord struct {
	Position int64     `json:"position"`
	Hash     string    `json:"hash"`
	Removed  int64     `json:"removed"`
	Before   time.Time `json:"before"`
}

// ErrDamaged is returned if a trail does not verify. Nothing is removed from it, because the
// checkpoint would hide the damage.
var ErrDamaged = errors.New("audit: the trail does not verify, so nothing is removed from it")

const maxRemovedBy = 200

// Remove removes the oldest events of every trail, up to the first event that is not older than
// the given time. It leaves a checkpoint for each, from which its chain continues. It must run as
// the owner of the tables; the program's role lacks the right. The removal is itself recorded.
// The error is [ErrDamaged] if a trail does not verify; the result then contains the trails
// before it, which are done.
func (s *Service) Remove(ctx context.Context, r Removal) ([]Checkpoint, error) {
	if n := len(r.By); n == 0 || n > maxRemovedBy {
		return nil, fmt.Errorf("audit: the name of the operator must have 1 to %d bytes", maxRemovedBy)
	}
	organizations, err := db.Snapshot(ctx, s.database, "audit.remove", s.store.organizations, db.AllOrganizations())
	if err != nil {
		return nil, err
	}
	var checkpoints []Checkpoint
	for _, organization := range organizations {
		findings, err := s.Verify(ctx, VerificationScope{Organization: organization}, nil)
		if err == nil && !findings.OK {
			err = fmt.Errorf("%w: %s", ErrDamaged, findings.Problems[0])
		}
		if err != nil {
			return checkpoints, err
		}
		c, err := s.removeFrom(ctx, organization, r)
		if err != nil {
			return checkpoints, err
		}
		if c != nil {
			checkpoints = append(checkpoints, *c)
		}
	}
	return checkpoints, nil
}

// removeFrom removes old events from one trail and returns its checkpoint, nil if no event is old
// enough. It locks the chain's row, so nothing is sealed meanwhile.
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
		if err := s.store.remove(ctx, c, r.Before); err != nil {
			return nil, err
		}
		e := trail.By(identity.System(organization))
		e.Action, e.SubjectType, e.OccurredAt = "audit.remove", "audit", c.RemovedAt
		e.After = removalRecord{c.Position, c.Hash.String(), c.Removed, r.Before}
		return c, s.Record(ctx, []trail.Event{e})
	})
}
