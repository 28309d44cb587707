package authorization

import (
	"context"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
)

// VerificationService checks the ledgers of authorizations.
type VerificationService struct {
	base
	units *UnitService // releases expired holds first
}

// verifyBatch is the number of authorizations that are read in one snapshot.
const verifyBatch = 200

// Verify checks the books of all authorizations, of one organization or, with
// [uuid.Nil], of all, and reports every disagreement:
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
// Each authorization is read in one snapshot, so bookings can continue meanwhile. Verify
// checks no permissions and reads across organizations.
//
// After each batch it calls progress, if not nil, with the number of checked authorizations
// and their total. The report includes the problems that the comparisons find.
func (s *VerificationService) Verify(
	ctx context.Context, organization uuid.UUID, progress func(checked, total int64), comparisons ...Comparison,
) (Report, error) {
	if _, err := s.units.sweep(ctx, organization); err != nil {
		s.Logger.WithField("event", "holds_not_swept").WithError(err).
			Warn("some expired holds could not be released before the verification")
	}
	now := s.Clock().UTC()
	var overdue time.Time // zero without a sweeper: nothing is overdue
	if s.SweeperGrace > 0 {
		overdue = now.Add(-s.SweeperGrace)
	}
	report := Report{CheckedAt: now, Problems: []Discrepancy{}}
	advance, err := s.advance(ctx, organization, progress)
	if err != nil {
		return report, err
	}
	var last Snapshot
	for {
		found, err := db.Snapshot(ctx, s.Database, "authorization.verify", func(ctx context.Context) (verified, error) {
			snapshots, err := s.store.snapshots(ctx, organization, last.OrganizationID, last.ID, verifyBatch)
			if err != nil || len(snapshots) == 0 {
				return verified{}, err
			}
			compared, err := compare(ctx, snapshots, comparisons)
			return verified{snapshots, compared}, err
		}, organizationOptions(organization)...)
		if err != nil {
			return report, err
		}
		report.add(found, overdue)
		advance(report.Authorizations)
		if len(found.snapshots) < verifyBatch {
			report.OK = report.ProblemCount == 0
			s.OnVerified(organization, report)
			return report, nil
		}
		last = found.snapshots[len(found.snapshots)-1]
	}
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

// advance returns a function that adds to the number of checked authorizations and reports it; it
// reports zero first. The verification also checks authorizations that are created meanwhile, so
// the total may grow.
func (s *VerificationService) advance(
	ctx context.Context, organization uuid.UUID, progress func(checked, total int64),
) (func(checked int), error) {
	if progress == nil {
		return func(int) {}, nil
	}
	total, err := db.Snapshot(ctx, s.Database, "authorization.verify", func(ctx context.Context) (int64, error) {
		return s.store.countAuthorizations(ctx, organization)
	}, organizationOptions(organization)...)
	if err == nil {
		progress(0, total)
	}
	return func(checked int) { progress(int64(checked), max(total, int64(checked))) }, err
}
