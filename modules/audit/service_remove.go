package audit

import (
	"context"
	"errors"
	"fmt"
	"io"
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
	// Kept are trails that keep more: their events since a time, or all events if the time is zero. The other
	// trails keep the months in which such a trail has events.
	Kept map[uuid.UUID]time.Time
	// Archive opens an archive that must have all removed events; nil: none is required.
	Archive func() (io.ReadCloser, error)
}

// checkArchive returns an error unless the required archive has the events of the plan.
func (r Removal) checkArchive(p removalPlan) error {
	if r.Archive == nil || len(p.cuts) == 0 {
		return nil
	}
	from, err := r.Archive()
	if err != nil {
		return err
	}
	return errors.Join(covers(from, p.cuts), from.Close())
}

// before returns the time before which events of an organization may be removed.
func (r Removal) before(organization uuid.UUID) time.Time {
	since, isKept := r.Kept[organization]
	if isKept && since.Before(r.Before) {
		return since
	}
	return r.Before
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

// ErrDamaged is returned if a trail does not verify. Nothing is removed, because the checkpoint would hide the
// damage.
var ErrDamaged = errors.New("audit: the trail does not verify, so nothing is removed")

const maxRemovedBy = 200

// Remove removes the oldest months of all trails. It leaves a checkpoint for each trail, from which its chain
// continues, and drops the partitions. It must run as the owner of the tables; the program's role lacks the right.
// The removal is itself recorded. The error is [ErrDamaged] if a trail does not verify.
//
// A month is removed if it has ended before the given time, and if all events up to its last position are older
// than that time, in every trail. Some of these events may belong to the next month, because positions are not
// exactly in the order of times; their rows are deleted. If the tables have no partitions, Remove deletes the
// rows of all events up to the first one that is not older.
//
// An interrupted removal is finished by the next one. Until then, for up to an hour, a verification does not
// report the rows that remain.
func (s *Service) Remove(ctx context.Context, r Removal) ([]Checkpoint, error) {
	if n := len(r.By); n == 0 || n > maxRemovedBy {
		return nil, fmt.Errorf("audit: the name of the operator must have 1 to %d bytes", maxRemovedBy)
	}
	if err := s.finishRemoval(ctx); err != nil {
		return nil, err
	}
	organizations, err := db.Snapshot(ctx, s.database, "audit.remove", s.store.organizations, db.AllOrganizations())
	if err != nil {
		return nil, err
	}
	for _, organization := range organizations {
		findings, err := s.Verify(ctx, VerificationScope{Organization: organization, Removing: true}, nil)
		if err == nil && !findings.OK {
			err = fmt.Errorf("%w: %s", ErrDamaged, findings.Problems[0])
		}
		if err != nil {
			return nil, err
		}
	}
	p, err := s.planRemoval(ctx, organizations, r)
	if err == nil {
		err = r.checkArchive(p)
	}
	if err != nil {
		return nil, err
	}
	var checkpoints []Checkpoint
	for _, cut := range p.cuts {
		c, err := s.removeFrom(ctx, cut, p.bound, r)
		if err != nil {
			return checkpoints, err
		}
		if c != nil {
			checkpoints = append(checkpoints, *c)
		}
	}
	for _, name := range p.dropped {
		if err := s.detach(ctx, eventsTable, name); err != nil {
			return checkpoints, err
		}
	}
	if err := s.finishRemoval(ctx); err != nil {
		return checkpoints, err
	}
	for _, organization := range organizations {
		if err := s.removeLists(ctx, organization, r.Before); err != nil {
			return checkpoints, err
		}
	}
	return checkpoints, nil
}

// removalPlan is what a removal removes.
type removalPlan struct {
	cuts    []Checkpoint // the last removed position of each trail, with its hash
	dropped []string     // partitions of the events
	bound   time.Time    // end of the last of them; zero: there are none
}

// planRemoval decides what to remove.
func (s *Service) planRemoval(ctx context.Context, organizations []uuid.UUID, r Removal) (removalPlan, error) {
	return db.Snapshot(ctx, s.database, "audit.remove", func(ctx context.Context) (p removalPlan, err error) {
		events, err := s.store.partitions(ctx, eventsTable)
		if err != nil {
			return p, err
		}
		seals, err := s.store.partitions(ctx, sealsTable)
		if err != nil {
			return p, err
		}
		limits := make([]Checkpoint, 0, len(organizations))
		for _, organization := range organizations {
			limit, err := s.store.lastBefore(ctx, organization, r.before(organization))
			if err != nil {
				return p, err
			}
			if limit == nil {
				limit = &Checkpoint{OrganizationID: organization}
			}
			limits = append(limits, *limit)
		}
		if p = (removalPlan{cuts: limits}); len(events) > 0 {
			p, err = s.choosePartitions(ctx, pairsOf(events, seals), limits, r.Before)
		}
		if err == nil {
			p.cuts, err = s.addRemoved(ctx, p.cuts)
		}
		return p, err
	}, db.AllOrganizations())
}

// addRemoved returns the cuts that remove events, with their number.
func (s *Service) addRemoved(ctx context.Context, cuts []Checkpoint) (removing []Checkpoint, err error) {
	for _, cut := range cuts {
		state, err := s.store.chainState(ctx, cut.OrganizationID)
		if err != nil {
			return nil, err
		}
		if cut.Removed = cut.Position - state.firstPosition(); cut.Removed > 0 {
			removing = append(removing, cut)
		}
	}
	return removing, nil
}

// pairsOf returns the oldest partitions of the events that have a partition of seals for the same time.
func pairsOf(events, seals []partition) []partition {
	for i, e := range events {
		if i >= len(seals) || e.EndsAt == nil || seals[i].EndsAt == nil || !e.EndsAt.Equal(*seals[i].EndsAt) ||
			e.suffix(eventsTable) != seals[i].suffix(sealsTable) {
			return events[:i]
		}
	}
	return events
}

// choosePartitions chooses the oldest partitions that can be dropped: none has an event beyond the limit of its
// trail, or without a seal.
func (s *Service) choosePartitions(
	ctx context.Context, partitions []partition, limits []Checkpoint, before time.Time,
) (p removalPlan, err error) {
	var names []string
	for _, candidate := range partitions {
		if candidate.EndsAt.After(before) {
			break
		}
		unsealed, err := s.store.hasUnsealedBefore(ctx, *candidate.EndsAt)
		if err != nil || unsealed {
			return p, err
		}
		cuts, isEmpty := make([]Checkpoint, 0, len(limits)), true
		for _, limit := range limits {
			cut, err := s.store.lastIn(ctx, limit.OrganizationID, *candidate.EndsAt)
			if err != nil || cut.Position > limit.Position {
				return p, err
			}
			isEmpty = isEmpty && cut.Position == 0
			cuts = append(cuts, cut)
		}
		if names = append(names, candidate.Name); !isEmpty {
			p = removalPlan{cuts: cuts, dropped: names, bound: *candidate.EndsAt}
		}
	}
	return p, nil
}

// removeFrom writes the checkpoint of one trail, and deletes rows of events up to it that occurred at the bound or
// later, because these are in partitions that remain. It returns nil if the trail has no events to remove. It
// locks the chain's row, so nothing is sealed meanwhile.
func (s *Service) removeFrom(ctx context.Context, cut Checkpoint, bound time.Time, r Removal) (*Checkpoint, error) {
	return db.ReadCommitted(ctx, s.database, "audit.remove", func(ctx context.Context) (*Checkpoint, error) {
		if err := db.Admit(ctx, cut.OrganizationID); err != nil {
			return nil, err
		}
		if err := s.store.lockChain(ctx, cut.OrganizationID); err != nil {
			return nil, err
		}
		state, err := s.store.chainState(ctx, cut.OrganizationID)
		if err != nil || cut.Position <= state.firstPosition() {
			return nil, err
		}
		c := cut
		c.Removed = cut.Position - state.firstPosition()
		c.RemovedBy, c.RemovedAt = r.By, s.now()
		if err := s.store.remove(ctx, c, bound); err != nil {
			return nil, err
		}
		e := trail.By(identity.System(c.OrganizationID))
		e.Action, e.SubjectType, e.OccurredAt = "audit.remove", "audit", c.RemovedAt
		e.After = removalRecord{c.Position, c.Hash.String(), c.Removed, r.Before}
		return &c, s.Record(ctx, []trail.Event{e})
	})
}

// removeLists deletes the lists that no event of an organization names any more.
func (s *Service) removeLists(ctx context.Context, organization uuid.UUID, before time.Time) error {
	_, err := db.ReadCommitted(ctx, s.database, "audit.remove-lists", func(ctx context.Context) (struct{}, error) {
		if err := db.Admit(ctx, organization); err != nil {
			return struct{}{}, err
		}
		return struct{}{}, s.store.removeLists(ctx, organization, before)
	})
	return err
}
