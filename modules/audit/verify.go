package audit

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
)

// Finding is one way in which a trail is not what it should be.
type Finding struct {
	OrganizationID uuid.UUID `json:"organizationId"`
	Check          string    `json:"check"`              // which rule is broken, see [Service.Verify]
	Position       int64     `json:"position,omitempty"` // in the chain, where it is about one
	Sequence       int64     `json:"sequence,omitempty"` // of the event, where it is about one
	Expected       string    `json:"expected"`
	Found          string    `json:"found"`
}

// String tells the problem in one line.
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

// maxProblems bounds how many problems a report lists; all of them are counted.
const maxProblems = 100

// Head is how far a chain has come. Keep a copy elsewhere: a trail that still has
// this hash at this position has not been changed up to there.
type Head struct {
	OrganizationID uuid.UUID `json:"organizationId"`
	Position       int64     `json:"position"`
	Hash           string    `json:"hash"`
}

// Findings says what a verification looked at and found.
type Findings struct {
	OK           bool      `json:"ok"`
	Events       int       `json:"events"`  // that are sealed
	Waiting      int       `json:"waiting"` // for their seal
	Removed      int64     `json:"removed"` // by the retention, up to the newest checkpoints
	Heads        []Head    `json:"heads"`
	ProblemCount int       `json:"problemCount"`
	Problems     []Finding `json:"problems"` // the first 100
}

func (r *Findings) add(p Finding) {
	r.ProblemCount++
	if len(r.Problems) < maxProblems {
		r.Problems = append(r.Problems, p)
	}
}

// sealWithin is how long an event may wait for its seal before [Service.Verify]
// calls that a problem.
const sealWithin = time.Minute

// sealFirst bounds the transactions of the sealer before a verification: while many
// write there is always something left.
const sealFirst = 100

// verifyBatch is how many seals, or events, are read in one snapshot.
const verifyBatch = 2000

// Verify checks the trail of one organization, or, with everything, all of them and
// what belongs to none, and reports:
//
//   - position: positions are 1, 2, 3, … up to the last one noted, or go on from
//     the newest checkpoint
//   - event: every seal has its event, and so has whatever waits for one
//   - hash: every seal's hash is that of its event, after the hash before
//   - head: the chain notes the hash of its last position
//   - unsealed: every event has its seal, or waits for it, and not for long
//
// What waits is sealed first, as the sealer does it, so that what was left behind
// while no program ran is not held against the trail. The caller decides on
// permission; this reads across organizations.
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

// verifyChain goes along a chain, a part of it in each snapshot. The retention may
// remove some of what was still to come: then it goes on from the checkpoint.
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
		progress(checked, max(checked, part.noted.Position-part.firstPosition()))
		if len(part.links) < verifyBatch {
			part.checkHead(at, r)
			r.Removed += part.removed
			r.Waiting += part.waiting
			if part.noted.Position > 0 {
				r.Heads = append(r.Heads, Head{organization, part.noted.Position, part.noted.Hash.String()})
			}
			return nil
		}
	}
}

// part is a stretch of a chain as it was at one moment.
type part struct {
	checkpoint *head // the newest one
	removed    int64 // events, up to the checkpoint
	noted      head  // how far the chain says that it has come
	waiting    int
	links      []link // after the position that was asked for
}

// firstPosition is the position before the first entry of the chain.
func (p part) firstPosition() int64 {
	if p.checkpoint == nil {
		return 0
	}
	return p.checkpoint.Position
}

// link is a seal with its event, if that is there.
type link struct {
	Position     int64
	SealSequence int64
	Hash         Hash
	There        bool
	Event        row `gorm:"embedded"` // named, since gorm passes over embedded types that are not exported
}

// check goes along the links and returns where that led.
func (p part) check(at head, r *Findings) head {
	for _, l := range p.links {
		if l.Position <= at.Position { // before the checkpoint: what a retention has left behind
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
	if p.noted.Position != at.Position {
		r.add(Finding{at.OrganizationID, "position", 0, 0, fmt.Sprintf("%d as the last one", p.noted.Position), fmt.Sprint(at.Position)})
	}
	if p.noted.Hash != at.Hash {
		r.add(Finding{at.OrganizationID, "head", 0, 0, at.Hash.String(), p.noted.Hash.String()})
	}
}

// verifyEvents looks for events without a seal, and for what waits for a seal without
// being there.
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
		r.add(Finding{organization, "event", 0, sequence, "an event that waits for its seal", "none"})
	}
	for _, e := range loose {
		found := "none, and it does not wait for one"
		if e.Waits {
			found = "none, since " + e.Since.UTC().Format(time.RFC3339)
		}
		r.add(Finding{organization, "unsealed", 0, e.Sequence, "a seal within " + sealWithin.String(), found})
	}
	return err
}
