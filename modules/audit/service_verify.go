package audit

import (
	"context"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"omnirapeutic/platform/db"
)

// maxUnsealedTime is how long an event may be unsealed before [Service.Verify] reports it.
const maxUnsealedTime = time.Minute

// maxSealTransactions limits the transactions of the sealer before a verification, because busy trails
// always have unsealed events.
const maxSealTransactions = 100

// maxRemovalTime is how long rows up to a checkpoint may remain before [Service.Verify] reports them. A removal
// writes its checkpoints before it drops the partitions.
const maxRemovalTime = time.Hour

// sectionLength is the number of links that are read in one snapshot.
const sectionLength = 5000

// maxVerifiers is the maximum number of sections that are verified at the same time.
const maxVerifiers = 4

// maxKnownLists limits the checked lists that a verification remembers, so that each is read once.
const maxKnownLists = 20_000

// VerificationScope says which trails [Service.Verify] checks.
type VerificationScope struct {
	Organization uuid.UUID
	Everything   bool  // all trails, and the events without an organization
	Verified     *Head // a position that was verified before, with its hash; nil: nothing
	// Incremental limits the check to the events after that position, and to unsealed events since a time.
	Incremental bool
	Since       time.Time
	// Removing ignores rows up to the checkpoint, which an interrupted removal has left.
	Removing bool
}

// Verify checks trails. It reports:
//
//   - position: positions are 1, 2, 3, … up to the last one of the head, or continue from
//     the newest checkpoint
//   - event: every seal and every unsealed marker has its event
//   - hash: every seal has the hash of its event and the previous hash
//   - head: the chain's head has the hash of its last position
//   - checkpoint: the seal at the position that was verified before has the same hash
//   - unsealed: every event is sealed, or has been marked as unsealed for a short time
//   - list: every event of a read has its list, with the hash in the event, and the list has
//     a row for the search for each of its records and patients; after a position, only the lists of the
//     events after it
//
// Verify first seals events as the sealer does, so that events left behind while no program was
// running are not reported. The caller checks the permission; Verify reads across organizations.
//
// After each part of a chain it calls progress, if not nil, with the number of checked events of
// the chain and their total.
func (s *Service) Verify(
	ctx context.Context, scope VerificationScope, progress func(checked, total int64),
) (Findings, error) {
	if progress == nil {
		progress = func(int64, int64) {}
	}
	r := Findings{Heads: []Head{}, Problems: []Finding{}}
	if _, err := s.seal(ctx, maxSealTransactions); err != nil {
		return r, err
	}
	organizations := []uuid.UUID{scope.Organization}
	if scope.Everything {
		var err error
		if organizations, err = s.Organizations(ctx); err != nil {
			return r, err
		}
	}
	for _, organization := range organizations {
		v := chainVerifier{Service: s, organization: organization, progress: progress, scope: scope}
		found, err := v.verify(ctx)
		if err == nil {
			err = s.verifyEvents(ctx, organization, scope, &found)
		}
		if err != nil {
			return r, err
		}
		r.addAll(found)
	}
	r.OK = r.ProblemCount == 0
	return r, nil
}

// Organizations returns the organizations with a trail, in order. Events without an organization are
// the trail of [uuid.Nil].
func (s *Service) Organizations(ctx context.Context) ([]uuid.UUID, error) {
	return db.Snapshot(ctx, s.database, "audit.verify", s.store.organizations, db.AllOrganizations())
}

// chainVerifier verifies the chain of an organization. Several goroutines share it.
type chainVerifier struct {
	*Service
	organization uuid.UUID
	progress     func(checked, total int64)
	scope        VerificationScope
	known        knownLists

	mu      sync.Mutex
	checked int64
	total   int64
}

// verify checks the chain, section by section in separate snapshots. Several sections are verified at
// the same time, if the pool of connections is large enough. A section begins with the stored hash of
// the last seal before it, which the section before it checks. If old events are removed meanwhile, it
// continues from the new checkpoint.
func (v *chainVerifier) verify(ctx context.Context) (Findings, error) {
	var all Findings
	var verified int64
	state, err := db.Snapshot(ctx, v.database, "audit.verify", func(ctx context.Context) (chainState, error) {
		if err := db.Admit(ctx, v.organization); err != nil {
			return chainState{}, err
		}
		state, err := v.store.chainState(ctx, v.organization)
		last := v.scope.Verified
		if err != nil || last == nil || last.Position <= state.firstPosition() {
			return state, err
		}
		if v.scope.Incremental {
			verified = last.Position
		}
		seal, err := v.store.lastSeal(ctx, v.organization, last.Position)
		all = compareVerified(*last, seal)
		return state, err
	})
	if err != nil {
		return Findings{}, err
	}
	v.total = max(0, state.chainHead.Position-max(state.firstPosition(), verified))
	v.progress(0, v.total)
	sections := sectionsOf(verified, state.chainHead.Position)
	found := make([]Findings, len(sections))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(v.database.Readers(maxVerifiers))
	for i, of := range sections {
		group.Go(func() (err error) {
			found[i], err = v.verifySection(ctx, of, i == len(sections)-1)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return Findings{}, err
	}
	for _, one := range found {
		all.addAll(one)
	}
	return all, nil
}

// sectionsOf divides the positions of a chain after the given one. Each section but the first one begins
// where the one before it ends. The last one has no end, so it includes later links.
func sectionsOf(first, last int64) []section {
	sections := []section{{first, math.MaxInt64}}
	for after := first + sectionLength; after < last; after += sectionLength {
		sections[len(sections)-1].last = after
		sections = append(sections, section{after, math.MaxInt64})
	}
	return sections
}

// verifySection checks a section and, if it is the last one, the head of the chain.
func (v *chainVerifier) verifySection(ctx context.Context, of section, isLast bool) (Findings, error) {
	found, err := db.Snapshot(ctx, v.database, "audit.verify", func(ctx context.Context) (Findings, error) {
		if err := db.Admit(ctx, v.organization); err != nil {
			return Findings{}, err
		}
		state, err := v.store.chainState(ctx, v.organization)
		if err != nil {
			return Findings{}, err
		}
		seal, err := v.store.lastSeal(ctx, v.organization, of.after)
		if err != nil {
			return Findings{}, err
		}
		check := sectionCheck{
			chainState: state, at: state.start(seal),
			isRemoving: v.scope.Removing || v.now().Sub(state.checkpointAt).Abs() < maxRemovalTime,
		}
		if err := v.store.links(ctx, v.organization, of, check.add); err != nil {
			return Findings{}, err
		}
		lists, err := v.store.lists(ctx, v.organization, v.known.unknown(check.named))
		if err != nil {
			return Findings{}, err
		}
		checkLists(v.organization, check.named, lists, &v.known, &check.findings)
		if isLast {
			check.finish()
		}
		return check.findings, nil
	})
	if err == nil {
		v.advance(int64(found.Events))
	}
	return found, err
}

// advance reports the number of checked links.
func (v *chainVerifier) advance(checked int64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.checked += checked
	v.progress(v.checked, max(v.checked, v.total))
}

// verifyEvents reports events without a seal, missing events that are marked as unsealed, and
// contradictory rows for the search.
func (s *Service) verifyEvents(
	ctx context.Context, organization uuid.UUID, scope VerificationScope, r *Findings,
) error {
	var missing []int64
	var wrong []contradiction
	loose, err := db.Snapshot(ctx, s.database, "audit.verify", func(ctx context.Context) (_ []overdueEvent, err error) {
		if err := db.Admit(ctx, organization); err != nil {
			return nil, err
		}
		if missing, err = s.store.missing(ctx, organization); err != nil {
			return nil, err
		}
		if scope.Incremental {
			return s.store.overdue(ctx, organization, maxUnsealedTime, scope.Since)
		}
		if wrong, err = s.store.contradictions(ctx, organization); err != nil {
			return nil, err
		}
		if r.ProblemCount == 0 && len(missing) == 0 {
			if ok, err := s.store.allSealed(ctx, organization, maxUnsealedTime); ok || err != nil {
				return nil, err
			}
		}
		return s.store.overdue(ctx, organization, maxUnsealedTime, time.Time{})
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
