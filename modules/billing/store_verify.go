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
