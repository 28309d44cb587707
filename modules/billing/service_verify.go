package billing

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/google/uuid"

	"omnirapeutic/modules/appointments"
	"omnirapeutic/modules/authorization"
	"omnirapeutic/platform/record"
)

// The names of the checks in discrepancies.
const (
	checkBilling        = "billing"
	checkReconciliation = "reconciliation"
)

// CompareLines compares exported lines with the books of their authorizations, and reports every
// disagreement:
//
//   - billing: the entry of the ledger that consumed the units of an exported line has the units of the
//     line, the lines add up to the totals of the export, and its files have their hashes
//   - reconciliation: the units that the ledger counts as consumed are those on lines of claims that the
//     payer has, the units that wait for a claim, and the units consumed without a session
//
// It runs in the transaction of the context and needs no caller.
func (s *Service) CompareLines(
	ctx context.Context, snapshots []authorization.Snapshot,
) (authorization.Compared, error) {
	keys := make([]record.Key, len(snapshots))
	for i, b := range snapshots {
		keys[i] = record.Of(b.OrganizationID, b.ID)
	}
	covered, err := s.Sessions.CoveredUnits(ctx, keys)
	if err != nil {
		return authorization.Compared{}, err
	}
	current, err := s.store.currentUnits(ctx, keys)
	if err != nil {
		return authorization.Compared{}, err
	}
	problems, err := s.compareExports(ctx, keys, snapshots, covered)
	return authorization.Compared{Problems: append(problems, unreconciled(snapshots, covered, current)...)}, err
}

// compareExports compares the lines and the files of all exports.
func (s *Service) compareExports(
	ctx context.Context, keys []record.Key, snapshots []authorization.Snapshot, covered []appointments.CoveredUnits,
) ([]authorization.Discrepancy, error) {
	lines, err := s.store.exportedUnits(ctx, keys)
	if err != nil || len(lines) == 0 {
		return nil, err
	}
	consumed := make(map[exportedKey]int, len(covered))
	for _, u := range covered {
		consumed[keyOf(u)] += u.Units
	}
	damaged, err := s.damageOf(ctx, lines)
	if err != nil {
		return nil, err
	}
	snapshotOf := make(map[record.Key]authorization.Snapshot, len(snapshots))
	for i, b := range snapshots {
		snapshotOf[keys[i]] = b
	}
	var problems []authorization.Discrepancy
	for _, l := range lines {
		b := snapshotOf[record.Of(l.OrganizationID, l.AuthorizationID)]
		found := consumed[exportedKey{l.OrganizationID, l.AuthorizationID, l.SessionID, l.SessionVersion}]
		if found != l.Units {
			problems = append(problems, b.Discrepancy(checkBilling,
				fmt.Sprintf("%d units consumed for version %d of session %s", found, l.SessionVersion, l.SessionID),
				fmt.Sprintf("%d units on exported lines", l.Units)))
		}
		if d, exists := damaged[l.ExportID]; exists {
			delete(damaged, l.ExportID) // reported once
			problems = append(problems, b.Discrepancy(checkBilling, "export "+l.ExportID.String()+": "+d.expected, d.found))
		}
	}
	return problems, nil
}

// damageOf finds damaged exports: a file that does not have its hash, or lines that do not add up to the
// totals of the export.
func (s *Service) damageOf(ctx context.Context, lines []exportedUnits) (map[uuid.UUID]damage, error) {
	exports := map[record.Key]bool{}
	for _, l := range lines {
		exports[record.Of(l.OrganizationID, l.ExportID)] = true
	}
	keys := slices.SortedFunc(maps.Keys(exports), record.Key.Compare)
	found, err := s.store.damagedFiles(ctx, keys)
	if err != nil {
		return nil, err
	}
	wrong, err := s.store.damagedTotals(ctx, keys)
	all := make(map[uuid.UUID]damage, len(found)+len(wrong))
	for id, format := range found {
		all[id] = damage{"files with their hashes", "a file " + string(format) + " with another hash"}
	}
	for _, t := range wrong {
		all[t.ID] = damage{
			fmt.Sprintf("%d lines with %d units", t.LineCount, t.Units),
			fmt.Sprintf("%d lines with %d units", t.FoundLines, t.FoundUnits),
		}
	}
	return all, err
}

// damage is a disagreement in an export.
type damage struct{ expected, found string }
