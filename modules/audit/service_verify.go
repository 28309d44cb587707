package audit

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
)

// Finding is a problem of an audit trail.
type Finding struct {
	OrganizationID uuid.UUID `json:"organizationId"`
	Check          string    `json:"check"`              // The broken rule.
	Position       int64     `json:"position,omitempty"` // The position in the chain, if the problem has one.
	// The sequence number of the event, if the problem has one.
	Sequence int64  `json:"sequence,omitempty"`
	Expected string `json:"expected"` // The expected value.
	Found    string `json:"found"`    // The stored value.
}

// String returns the problem in one line.
func (p Finding) String() string {
	where := "audit trail of " + p.OrganizationID.String()
	if p.Position > 0 {
		where += fmt.Sprintf(", position %d", p.Position)
	}
	if p.Sequence > 0 {
		where += fmt.Sprintf(", event %d", p.Sequence)
	}
	return fmt.Sprintf("%s: %s: expected %s, found %s", where, p.Check, p.Expected, p.Found)
}

// maxProblems limits the problems that a report lists; all of them are counted.
const maxProblems = 100

// Head is the last position and hash of a chain. Keep a copy elsewhere: if the trail still has
// this hash at this position, it is unchanged up to there.
type Head struct {
	OrganizationID uuid.UUID `json:"organizationId"`
	Position       int64     `json:"position"` // The last position.
	Hash           string    `json:"hash"`     // The hash at that position.
}

// Findings is the result of a verification.
type Findings struct {
	OK      bool `json:"ok"`      // Whether the trail has no problems.
	Events  int  `json:"events"`  // The number of sealed events.
	Waiting int  `json:"waiting"` // The number of unsealed events.
	// The number of old events that were removed, up to the newest checkpoints.
	Removed      int64     `json:"removed"`
	Heads        []Head    `json:"heads"`        // The last position of each chain.
	ProblemCount int       `json:"problemCount"` // The number of problems.
	Problems     []Finding `json:"problems"`     // The first 100 problems.
}

func (r *Findings) add(p Finding) {
	r.ProblemCount++
	if len(r.Problems) < maxProblems {
		r.Problems = append(r.Problems, p)
	}
}

// sealWithin is how long an event may be unsealed before [Service.Verify] reports it.
const sealWithin = time.Minute

// sealFirst limits the transactions of the sealer before a verification, because busy trails
// always have unsealed events.
const sealFirst = 100

// verifyBatch is the number of seals or events that are read in one snapshot.
const verifyBatch = 2000

// Verify checks the trail of one organization or, with everything, all trails and the events
// without an organization. It reports:
//
//   - position: positions are 1, 2, 3, … up to the last one of the head, or continue from
//     the newest checkpoint
//   - event: every seal and every unsealed marker has its event
//   - hash: every seal has the hash of its event and the previous hash
//   - head: the chain's head has the hash of its last position
//   - unsealed: every event is sealed, or has been marked as unsealed for a short time
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
	if _, err := s.seal(ctx, sealFirst); err != nil {
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
	for _, each := range organizations {
		if err := s.verifyChain(ctx, each, &r, progress); err != nil {
			return r, err
		}
		if err := s.verifyEvents(ctx, each, &r); err != nil {
			return r, err
		}
	}
	r.OK = r.ProblemCount == 0
	return r, nil
}

// verifyChain checks a chain, part by part in separate snapshots. If old events are removed
// meanwhile, it continues from the new checkpoint.
func (s *Service) verifyChain(ctx context.Context, organization uuid.UUID, r *Findings, progress func(checked, total int64)) error {
	at := head{organization, 0, genesis(organization)}
	before := int64(r.Events) // of the other chains
	for {
		part, err := db.Snapshot(ctx, s.database, "audit.verify", func(ctx context.Context) (part, error) {
			if err := db.Admit(ctx, organization); err != nil {
				return part{}, err
			}
			return s.store.part(ctx, organization, at.Position, verifyBatch)
		})
		if err != nil {
			return err
		}
		if c := part.checkpoint; c != nil && c.Position > at.Position {
			at = *c
		}
		at = part.check(at, r)
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

// part is a section of a chain in one snapshot.
type part struct {
	checkpoint *head // the newest one
	removed    int64 // removed events, up to the checkpoint
	chainHead  head  // the chain's head
	waiting    int
	links      []link // after the requested position
}

// firstPosition is the position before the first entry of the chain.
func (p part) firstPosition() int64 {
	if p.checkpoint == nil {
		return 0
	}
	return p.checkpoint.Position
}

// link is a seal with its event, if the event exists.
type link struct {
	Position     int64
	SealSequence int64
	Hash         Hash
	There        bool
	Event        row `gorm:"embedded"` // named, because gorm ignores unexported embedded types
}

// check verifies the links and returns the new head.
func (p part) check(at head, r *Findings) head {
	for _, l := range p.links {
		if l.Position <= at.Position { // before the checkpoint: not removed with the other seals
			r.add(Finding{at.OrganizationID, "position", l.Position, l.SealSequence, "none up to " + fmt.Sprint(at.Position), "a seal"})
			continue
		}
		r.Events++
		if l.Position != at.Position+1 {
			r.add(Finding{at.OrganizationID, "position", l.Position, l.SealSequence, fmt.Sprint(at.Position + 1), fmt.Sprint(l.Position)})
		}
		if !l.There {
			r.add(Finding{at.OrganizationID, "event", l.Position, l.SealSequence, "an event", "none"})
		} else if hash := hashOf(at.Hash, l.Position, l.Event); hash != l.Hash {
			r.add(Finding{at.OrganizationID, "hash", l.Position, l.SealSequence, hash.String(), l.Hash.String()})
		}
		at.Position, at.Hash = l.Position, l.Hash
	}
	return at
}

func (p part) checkHead(at head, r *Findings) {
	if p.chainHead.Position != at.Position {
		r.add(Finding{at.OrganizationID, "position", 0, 0, fmt.Sprintf("%d as the last one", p.chainHead.Position), fmt.Sprint(at.Position)})
	}
	if p.chainHead.Hash != at.Hash {
		r.add(Finding{at.OrganizationID, "head", 0, 0, at.Hash.String(), p.chainHead.Hash.String()})
	}
}

// verifyEvents reports events without a seal, and missing events that are marked as unsealed.
func (s *Service) verifyEvents(ctx context.Context, organization uuid.UUID, r *Findings) error {
	var missing []int64
	loose, err := db.Snapshot(ctx, s.database, "audit.verify", func(ctx context.Context) (_ []looseEvent, err error) {
		if err := db.Admit(ctx, organization); err != nil {
			return nil, err
		}
		if missing, err = s.store.missing(ctx, organization); err != nil {
			return nil, err
		}
		return s.store.loose(ctx, organization, sealWithin)
	})
	for _, sequence := range missing {
		r.add(Finding{organization, "event", 0, sequence, "an event, because it is marked as unsealed", "none"})
	}
	for _, e := range loose {
		found := "none, and it is not marked as unsealed"
		if e.Waits {
			found = "none, since " + e.Since.UTC().Format(time.RFC3339)
		}
		r.add(Finding{organization, "unsealed", 0, e.Sequence, "a seal within " + sealWithin.String(), found})
	}
	return err
}
