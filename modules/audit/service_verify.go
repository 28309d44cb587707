package audit

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
)

// maxUnsealedTime is how long an event may be unsealed before [Service.Verify] reports it.
const maxUnsealedTime = time.Minute

// maxSealTransactions limits the transactions of the sealer before a verification, because busy trails
// always have unsealed events.
const maxSealTransactions = 100

// verifyBatch is the number of seals or events that are read in one snapshot.
const verifyBatch = 2000

// maxKnownLists limits the checked lists that a verification remembers, so that each is read once.
const maxKnownLists = 20_000

// Verify checks the trail of one organization or, with everything, all trails and the events
// without an organization. It reports:
//
//   - position: positions are 1, 2, 3, … up to the last one of the head, or continue from
//     the newest checkpoint
//   - event: every seal and every unsealed marker has its event
//   - hash: every seal has the hash of its event and the previous hash
//   - head: the chain's head has the hash of its last position
//   - unsealed: every event is sealed, or has been marked as unsealed for a short time
//   - list: every event of a read has its list, with the hash in the event, and the list's rows
//     for the search are those of its records and patients
//
// Verify first seals events as the sealer does, so that events left behind while no program was
// running are not reported. The caller checks the permission; Verify reads across organizations.
//
// After each part of a chain it calls progress, if not nil, with the number of checked events of
// the chain and their total.
func (s *Service) Verify(ctx context.Context, organization uuid.UUID, everything bool,
	progress func(checked, total int64),
) (Findings, error) {
	if progress == nil {
		progress = func(int64, int64) {}
	}
	r := Findings{Heads: []Head{}, Problems: []Finding{}}
	if _, err := s.seal(ctx, maxSealTransactions); err != nil {
		return r, err
	}
	organizations := []uuid.UUID{organization}
	if everything {
		var err error
		organizations, err = db.Snapshot(ctx, s.database, "audit.verify", s.store.organizations, db.AllOrganizations())
		if err != nil {
			return r, err
		}
	}
	for _, organization := range organizations {
		if err := s.verifyChain(ctx, organization, &r, progress); err != nil {
			return r, err
		}
		if err := s.verifyEvents(ctx, organization, &r); err != nil {
			return r, err
		}
	}
	r.OK = r.ProblemCount == 0
	return r, nil
}

// verifyChain checks a chain, part by part in separate snapshots. If old events are removed
// meanwhile, it continues from the new checkpoint.
func (s *Service) verifyChain(
	ctx context.Context, organization uuid.UUID, r *Findings, progress func(checked, total int64),
) error {
	at := head{organization, 0, genesis(organization)}
	before := int64(r.Events) // of the other chains
	lists := map[uuid.UUID]Hash{}
	for {
		part, err := db.Snapshot(ctx, s.database, "audit.verify", func(ctx context.Context) (chainPart, error) {
			if err := db.Admit(ctx, organization); err != nil {
				return chainPart{}, err
			}
			part, err := s.store.part(ctx, organization, at.Position, verifyBatch)
			if err == nil {
				part.lists, err = s.store.lists(ctx, organization, part.listIDs(lists))
			}
			return part, err
		})
		if err != nil {
			return err
		}
		if c := part.checkpoint; c != nil && c.Position > at.Position {
			at = *c
		}
		at = part.check(at, r)
		part.checkLists(organization, lists, r)
		if len(lists) > maxKnownLists {
			clear(lists)
		}
		checked := int64(r.Events) - before
		progress(checked, max(checked, part.chainHead.Position-part.firstPosition()))
		if len(part.links) < verifyBatch {
			part.checkHead(at, r)
			r.Removed += part.removed
			r.Waiting += part.waiting
			if part.chainHead.Position > 0 {
				r.Heads = append(r.Heads, Head{organization, part.chainHead.Position, part.chainHead.Hash.String()})
			}
			return nil
		}
	}
}

// verifyEvents reports events without a seal, missing events that are marked as unsealed, and
// contradictory rows for the search.
func (s *Service) verifyEvents(ctx context.Context, organization uuid.UUID, r *Findings) error {
	var missing []int64
	var wrong []contradiction
	loose, err := db.Snapshot(ctx, s.database, "audit.verify", func(ctx context.Context) (_ []overdueEvent, err error) {
		if err := db.Admit(ctx, organization); err != nil {
			return nil, err
		}
		if missing, err = s.store.missing(ctx, organization); err != nil {
			return nil, err
		}
		if wrong, err = s.store.contradictions(ctx, organization); err != nil {
			return nil, err
		}
		return s.store.overdue(ctx, organization, maxUnsealedTime)
	})
	for _, sequence := range missing {
		r.add(Finding{organization, "event", 0, sequence, "an event, because it is marked as unsealed", "none"})
	}
	for _, c := range wrong {
		expected := "none, because there is no list " + c.ListID.String()
		if c.Size != nil {
			expected = fmt.Sprintf("%d rows of the list %s for the search", *c.Size, c.ListID)
		}
		r.add(Finding{organization, "list", 0, 0, expected, fmt.Sprint(c.Rows)})
	}
	for _, e := range loose {
		found := "none, and it is not marked as unsealed"
		if e.Marked {
			found = "none, since " + e.Since.UTC().Format(time.RFC3339)
		}
		r.add(Finding{organization, "unsealed", 0, e.Sequence, "a seal within " + maxUnsealedTime.String(), found})
	}
	return err
}
