package billing

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/google/uuid"

	"omnirapeutic/modules/authorization"
	"omnirapeutic/platform/record"
)

// checkBilling is the name of the check in discrepancies.
const checkBilling = "billing"

// CompareLines compares exported lines with the books of their authorizations, and reports every
// disagreement:
//
//   - billing: the entry of the ledger that consumed the units of an exported line has the units of the
//     line, and the files of the export have their hashes
//
// It runs in the transaction of the context and needs no caller.
func (s *Service) CompareLines(
	ctx context.Context, snapshots []authorization.Snapshot,
) (authorization.Compared, error) {
	keys := make([]record.Key, len(snapshots))
	for i, b := range snapshots {
		keys[i] = record.Of(b.OrganizationID, b.ID)
	}
	var compared authorization.Compared
	lines, err := s.store.exportedUnits(ctx, keys)
	if err != nil || len(lines) == 0 {
		return compared, err
	}
	units, err := s.Sessions.CoveredUnits(ctx, keys)
	if err != nil {
		return compared, err
	}
	covered := make(map[exportedKey]int, len(units))
	for _, u := range units {
		covered[exportedKey{u.OrganizationID, u.AuthorizationID, u.SessionID, u.Version}] += u.Units
	}
	damaged, err := s.damagedFiles(ctx, lines)
	if err != nil {
		return compared, err
	}
	snapshotOf := make(map[record.Key]authorization.Snapshot, len(snapshots))
	for i, b := range snapshots {
		snapshotOf[keys[i]] = b
	}
	for _, l := range lines {
		b := snapshotOf[record.Of(l.OrganizationID, l.AuthorizationID)]
		found := covered[exportedKey{l.OrganizationID, l.AuthorizationID, l.SessionID, l.SessionVersion}]
		if found != l.Units {
			compared.Problems = append(compared.Problems, b.Discrepancy(checkBilling,
				fmt.Sprintf("%d units consumed for version %d of session %s", found, l.SessionVersion, l.SessionID),
				fmt.Sprintf("%d units on exported lines", l.Units)))
		}
		if format, exists := damaged[l.ExportID]; exists {
			delete(damaged, l.ExportID) // reported once
			compared.Problems = append(compared.Problems, b.Discrepancy(checkBilling,
				"files of export "+l.ExportID.String()+" with their hashes", "a file "+string(format)+" with another hash"))
		}
	}
	return compared, nil
}

// exportedKey identifies the units of a version of a session on an authorization.
type exportedKey struct {
	organization, authorization, session uuid.UUID
	version                              int
}

// damagedFiles returns the exports of lines with a file that does not have its hash, and the format of
// that file.
func (s *Service) damagedFiles(ctx context.Context, lines []exportedUnits) (map[uuid.UUID]Format, error) {
	exports := map[record.Key]bool{}
	for _, l := range lines {
		exports[record.Of(l.OrganizationID, l.ExportID)] = true
	}
	return s.store.damagedFiles(ctx, slices.SortedFunc(maps.Keys(exports), record.Key.Compare))
}
