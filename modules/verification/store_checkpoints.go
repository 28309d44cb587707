package verification

import (
	"context"

	"omnirapeutic/platform/db"
)

// checkpoints returns the checkpoints of the organization in their order. Index: the primary key.
func (store) checkpoints(ctx context.Context) ([]Checkpoint, error) {
	tx, _, err := db.Tenant(ctx)
	if err != nil {
		return nil, err
	}
	var found []Checkpoint
	err = tx.Table("verification_checkpoints").Order("number").Find(&found).Error
	for i, c := range found {
		found[i].VerifiedAt, found[i].EntriesBefore = c.VerifiedAt.UTC(), c.EntriesBefore.UTC()
	}
	return found, err
}

// lastCheckpoint returns the newest checkpoint of the organization; its number is 0 if there is none.
// Index: the primary key.
func (store) lastCheckpoint(ctx context.Context) (Checkpoint, error) {
	tx, _, err := db.Tenant(ctx)
	if err != nil {
		return Checkpoint{}, err
	}
	var found []Checkpoint
	err = tx.Table("verification_checkpoints").Order("number DESC").Limit(1).Find(&found).Error
	if len(found) == 0 {
		return Checkpoint{}, err
	}
	return found[0], err
}

func (store) insertCheckpoint(ctx context.Context, c Checkpoint) error {
	return db.Write(ctx, 1, `
		INSERT INTO verification_checkpoints (organization_id, number, mode, verified_at, entries_before, audit_position,
			audit_hash, hash)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
		c.OrganizationID, c.Number, string(c.Mode), c.VerifiedAt, c.EntriesBefore, c.AuditPosition, c.AuditHash[:], c.Hash[:])
}

// overview reads the last checkpoint of each organization, by leaps through the primary key.
func (store) overview(ctx context.Context, limit int) (Overview, error) {
	tx, err := db.Handle(ctx)
	if err != nil {
		return Overview{}, err
	}
	var found Overview
	err = tx.Raw(`
		WITH RECURSIVE verified AS (
			(SELECT organization_id FROM verification_checkpoints ORDER BY organization_id LIMIT 1)
			UNION ALL
			SELECT (SELECT c.organization_id FROM verification_checkpoints c WHERE c.organization_id > v.organization_id
			        ORDER BY c.organization_id LIMIT 1)
			FROM verified v WHERE v.organization_id IS NOT NULL
		), last AS (
			SELECT (SELECT c.verified_at FROM verification_checkpoints c WHERE c.organization_id = v.organization_id
			        ORDER BY c.number DESC LIMIT 1) AS at
			FROM (SELECT organization_id FROM verified LIMIT $1) v WHERE organization_id IS NOT NULL
		)
		SELECT count(*) AS organizations, min(at) AS oldest FROM last`, limit).Scan(&found).Error
	return found, err
}
