package authorization

import (
	"context"
	"sync"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/record"
)

// VerificationService checks the ledgers of authorizations.
type VerificationService struct {
	base
	units *UnitService // releases expired holds first
}

// A part of a verification is read in one snapshot, which one connection keeps for some milliseconds. An
// authorization with more entries is a part of its own.
const (
	maxPartAuthorizations = 500
	maxPartEntries        = 10_000
)

// maxVerifiers is the maximum number of parts that are verified at the same time.
const maxVerifiers = 4

// VerificationScope says which books [VerificationService.Verify] checks.
type VerificationScope struct {
	Organization uuid.UUID // [uuid.Nil]: all
	// Since limits the check to authorizations with ledger entries since that time. The zero time means
	// all. It requires an organization.
	Since time.Time
}

// Verify checks the books of authorizations, and reports every disagreement:
//
//   - sequence: the entries are numbered 1, 2, 3, … up to LastSequence
//   - chain: every entry carries the hash of the one before it
//   - hash: every entry's hash is that of its fields
//   - head: the authorization has the hash of its newest entry
//   - balance-after: every entry's counters follow from those before it
//   - total, used, scheduled: the counters are the sums of the entries
//   - reservations-used, reservations-scheduled: the counters are the sums of the reservations
//   - booked-by-date: if a cap counts by date, the units by date are the sums of the reservations
//   - reservation: every reservation is the sum of its entries
//   - age: every reservation has the sequence number of its first entry
//   - service-date: every reservation has the day of its last reserving entry
//   - next-expiry: NextExpiry is not after the expiry of an open hold
//   - overdue: no hold stays open past its expiry for longer than the sweeper's grace
//     period, if a sweeper runs
//
// Verify first releases expired holds, like the sweeper, so that holds that expired while
// no program ran are not reported. Holds that cannot be released are logged and reported
// as overdue.
//
// Each authorization is read in one snapshot, so bookings can continue meanwhile. Several parts are
// verified at the same time, if the pool of connections is large enough. Entries are streamed; the
// memory that a verification needs does not depend on the number of authorizations. Verify checks no
// permissions and reads across organizations.
//
// After each part it calls progress, if not nil, with the number of checked authorizations
// and their total. The report includes the problems that the comparisons find.
func (s *VerificationService) Verify(
	ctx context.Context, scope VerificationScope, progress func(checked, total int64), comparisons ...Comparison,
) (Report, error) {
	organization := scope.Organization
	if _, err := s.units.sweep(ctx, organization); err != nil {
		s.Logger.WithField("event", "holds_not_swept").WithError(err).
			Warn("some expired holds could not be released before the verification")
	}
	now := s.Clock().UTC()
	v := verifier{
		VerificationService: s, organization: organization, comparisons: comparisons, rest: selectionOf(organization),
		total: total{Report: Report{CheckedAt: now, Problems: []Discrepancy{}}},
	}
	if s.SweeperGrace > 0 {
		v.overdue = now.Add(-s.SweeperGrace)
	}
	if progress == nil {
		progress = func(int64, int64) {}
	}
	count, err := v.count(ctx, scope.Since)
	if err != nil {
		return v.total.Report, err
	}
	progress(0, count)
	v.advance = func(checked int) { progress(int64(checked), max(count, int64(checked))) }
	group, ctx := errgroup.WithContext(ctx)
	for range s.Database.Readers(maxVerifiers) {
		group.Go(func() error { return v.run(ctx) })
	}
	if err := group.Wait(); err != nil {
		return v.total.Report, err
	}
	report := v.total.report()
	s.OnVerified(organization, report)
	return report, nil
}

// verifier verifies authorizations, part by part. Several goroutines share it.
type verifier struct {
	*VerificationService
	organization uuid.UUID // [uuid.Nil]: all
	comparisons  []Comparison
	overdue      time.Time // holds that expired before are reported; zero without a sweeper
	advance      func(checked int)

	claiming sync.Mutex
	rest     selection // not yet claimed
	claimed  int       // the number of parts

	adding sync.Mutex
	total  total
}

// run verifies parts until none is left.
func (v *verifier) run(ctx context.Context) error {
	for {
		var p part
		result, err := db.Snapshot(ctx, v.Database, "authorization.verify", func(ctx context.Context) (verified, error) {
			return v.verifyPart(ctx, &p)
		}, organizationOptions(v.organization)...)
		if err != nil || result.Authorizations == 0 {
			return err
		}
		v.adding.Lock()
		v.total.add(result)
		v.advance(v.total.Authorizations)
		v.adding.Unlock()
	}
}

// count returns the number of authorizations. With a time it selects the authorizations with later
// entries. The verification also checks authorizations that are created meanwhile, so the number may grow.
func (v *verifier) count(ctx context.Context, since time.Time) (int64, error) {
	return db.Snapshot(ctx, v.Database, "authorization.verify", func(ctx context.Context) (int64, error) {
		if since.IsZero() {
			return v.store.countAuthorizations(ctx, v.organization)
		}
		ids, err := v.store.changedSince(ctx, v.organization, since)
		v.rest = listed(v.organization, ids)
		return int64(len(ids)), err
	}, organizationOptions(v.organization)...)
}

// part is authorizations that one goroutine verifies.
type part struct {
	selection
	number int // from 1; 0: not claimed
}

// claim reads the next authorizations and makes them the part. If the snapshot is made again, it reads
// the same ones.
func (v *verifier) claim(ctx context.Context, p *part) ([]Snapshot, error) {
	if p.number > 0 {
		return v.store.snapshots(ctx, p.selection, maxPartEntries)
	}
	v.claiming.Lock()
	defer v.claiming.Unlock()
	snapshots, err := v.store.snapshots(ctx, v.rest, maxPartAuthorizations)
	if err != nil || len(snapshots) == 0 {
		return nil, err
	}
	var entries int64
	for i := range snapshots {
		entries += snapshots[i].LastSequence
		if i > 0 && (entries > maxPartEntries || snapshots[i].OrganizationID != snapshots[0].OrganizationID) {
			snapshots = snapshots[:i]
			break
		}
	}
	v.claimed++
	p.number = v.claimed
	p.selection, v.rest = v.rest.cut(snapshots)
	return snapshots, nil
}

// verifyPart verifies the next part in the snapshot of the context.
func (v *verifier) verifyPart(ctx context.Context, p *part) (verified, error) {
	snapshots, err := v.claim(ctx, p)
	if err != nil || len(snapshots) == 0 {
		return verified{}, err
	}
	found, err := v.replay(ctx, p.selection, snapshots)
	if err != nil {
		return verified{}, err
	}
	compared, err := compare(ctx, snapshots, v.comparisons)
	return verified{reportOf(snapshots, found, compared), p.number}, err
}

// replay adds the reservations and the movements to the snapshots of a selection, and returns the problems
// of each ledger.
func (v *verifier) replay(ctx context.Context, of selection, snapshots []Snapshot) ([]problems, error) {
	at := make(map[record.Key]int, len(snapshots))
	for i := range snapshots {
		at[snapshots[i].key()] = i
	}
	err := v.store.reservationsOf(ctx, of, func(r *Reservation) {
		if i, exists := at[record.Of(r.OrganizationID, r.AuthorizationID)]; exists {
			snapshots[i].Reservations = append(snapshots[i].Reservations, *r)
		}
	})
	if err != nil {
		return nil, err
	}
	found := make([]problems, len(snapshots))
	sums := map[uuid.UUID]reservationSum{}
	next := 0
	check := startCheck(&snapshots[0], sums)
	finishUpTo := func(i int) {
		for ; next < i; next++ {
			found[next] = check.finish(v.overdue)
			if next+1 < len(snapshots) {
				check = startCheck(&snapshots[next+1], sums)
			}
		}
	}
	err = v.store.entriesOf(ctx, of, func(e *Entry) {
		if i, exists := at[record.Of(e.OrganizationID, e.AuthorizationID)]; exists {
			finishUpTo(i)
			check.replay(e)
		}
	})
	finishUpTo(len(snapshots))
	return found, err
}

// compare returns the results of all comparisons.
func compare(ctx context.Context, snapshots []Snapshot, comparisons []Comparison) (Compared, error) {
	var all Compared
	for _, comparison := range comparisons {
		one, err := comparison(ctx, snapshots)
		if err != nil {
			return all, err
		}
		all.Appointments += one.Appointments
		all.Problems = append(all.Problems, one.Problems...)
	}
	return all, nil
}
