package billing

import (
	"context"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/record"
)

// exportedUnits are the units of exported lines of a version of a session.
type exportedUnits struct {
	OrganizationID  uuid.UUID
	AuthorizationID uuid.UUID
	SessionID       uuid.UUID
	SessionVersion  int
	ExportID        uuid.UUID
	Units           int
}

// exportedUnits sums the units of the lines of each export, without voids, which have the units of
// another version. Index: billing_lines_by_authorization.
func (store) exportedUnits(ctx context.Context, authorizations []record.Key) ([]exportedUnits, error) {
	tx, err := db.Handle(ctx)
	if err != nil {
		return nil, err
	}
	var found []exportedUnits
	err = tx.Raw(`
		SELECT l.organization_id, l.authorization_id, l.session_id, l.session_version, c.export_id, sum(l.units) AS units
		FROM unnest($1::uuid[], $2::uuid[]) AS k (organization_id, id)
		JOIN billing_lines l ON l.organization_id = k.organization_id AND l.authorization_id = k.id
		JOIN billing_claims c ON c.organization_id = l.organization_id AND c.id = l.claim_id
		WHERE c.frequency <> '8'
		GROUP BY 1, 2, 3, 4, 5
		ORDER BY 1, 2, 3, 4, 5`, db.KeyColumns(authorizations)...).Scan(&found).Error
	return found, err
}

// currentUnits sums the units of the lines of the claims that the payer has: they are neither retracted
// nor replaced nor voided. Indexes: billing_lines_by_authorization, the primary keys.
func (store) currentUnits(ctx context.Context, authorizations []record.Key) (map[exportedKey]int, error) {
	tx, err := db.Handle(ctx)
	if err != nil {
		return nil, err
	}
	var found []exportedUnits
	err = tx.Raw(`
		SELECT l.organization_id, l.authorization_id, l.session_id, l.session_version, sum(l.units) AS units
		FROM unnest($1::uuid[], $2::uuid[]) AS k (organization_id, id)
		JOIN billing_lines l ON l.organization_id = k.organization_id AND l.authorization_id = k.id
		JOIN billing_claims c ON c.organization_id = l.organization_id AND c.id = l.claim_id
		JOIN billing_exports e ON e.organization_id = c.organization_id AND e.id = c.export_id
		WHERE c.frequency <> '8' AND e.retracted_at IS NULL AND NOT EXISTS (
			SELECT 1 FROM billing_claims n
			JOIN billing_exports ne ON ne.organization_id = n.organization_id AND ne.id = n.export_id
			WHERE n.organization_id = c.organization_id AND n.replaces_id = c.id AND ne.retracted_at IS NULL)
		GROUP BY 1, 2, 3, 4`, db.KeyColumns(authorizations)...).Scan(&found).Error
	units := make(map[exportedKey]int, len(found))
	for _, u := range found {
		units[exportedKey{u.OrganizationID, u.AuthorizationID, u.SessionID, u.SessionVersion}] = u.Units
	}
	return units, err
}

// damagedFiles returns exports with a file that does not have its hash. The database computes the
// hashes, so that files are not transferred. Index: the primary key.
func (store) damagedFiles(ctx context.Context, exports []record.Key) (map[uuid.UUID]Format, error) {
	tx, err := db.Handle(ctx)
	if err != nil {
		return nil, err
	}
	var found []fileRow
	err = tx.Raw(`
		SELECT f.export_id, f.format FROM unnest($1::uuid[], $2::uuid[]) AS k (organization_id, id)
		JOIN billing_files f ON f.organization_id = k.organization_id AND f.export_id = k.id
		WHERE sha256(convert_to(f.content, 'UTF8')) <> f.hash`, db.KeyColumns(exports)...).Scan(&found).Error
	damaged := make(map[uuid.UUID]Format, len(found))
	for _, f := range found {
		damaged[f.ExportID] = f.Format
	}
	return damaged, err
}

// exportTotals are the totals of an export and of its lines.
type exportTotals struct {
	ID                     uuid.UUID
	LineCount, Units       int
	FoundLines, FoundUnits int
}

// damagedTotals returns exports whose lines do not add up to their totals. Indexes: the primary key,
// billing_claims_by_export, billing_lines_by_claim.
func (store) damagedTotals(ctx context.Context, exports []record.Key) ([]exportTotals, error) {
	tx, err := db.Handle(ctx)
	if err != nil {
		return nil, err
	}
	var found []exportTotals
	err = tx.Raw(`
		SELECT e.id, e.line_count, e.units, f.found_lines, f.found_units
		FROM unnest($1::uuid[], $2::uuid[]) AS k (organization_id, id)
		JOIN billing_exports e ON e.organization_id = k.organization_id AND e.id = k.id
		CROSS JOIN LATERAL (
			SELECT count(l.id) AS found_lines, coalesce(sum(l.units), 0) AS found_units FROM billing_claims c
			LEFT JOIN billing_lines l ON l.organization_id = c.organization_id AND l.claim_id = c.id
			WHERE c.organization_id = e.organization_id AND c.export_id = e.id) f
		WHERE f.found_lines <> e.line_count OR f.found_units <> e.units`, db.KeyColumns(exports)...).Scan(&found).Error
	return found, err
}
