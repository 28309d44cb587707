package audit

import (
	"context"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
)

// exportHeads returns chains that have events after the destination's position. It reads all chains.
func (store) exportHeads(ctx context.Context, destination string, limit int) ([]exportHead, error) {
	tx, err := db.Handle(ctx)
	if err != nil {
		return nil, err
	}
	var found []exportHead
	err = tx.Raw(`
		SELECT c.organization_id, coalesce(p.position, 0) AS position, c.last_position
		FROM audit_chains c LEFT JOIN audit_export_positions p
			ON p.organization_id = c.organization_id AND p.destination = $1
		WHERE c.last_position > coalesce(p.position, 0)
		ORDER BY c.organization_id LIMIT $2`, destination, limit).Scan(&found).Error
	return found, err
}

// sealedAfter returns the sealed events of a chain after a position, in their order. Indexes: the primary keys.
func (store) sealedAfter(ctx context.Context, organization uuid.UUID, after int64, limit int) ([]Entry, error) {
	tx, err := db.Handle(ctx)
	if err != nil {
		return nil, err
	}
	var found []Entry
	err = tx.Raw(`
		SELECT `+eventColumns+`, s.position, s.hash
		FROM (SELECT * FROM audit_seals WHERE organization_id = $1 AND position > $2 ORDER BY position LIMIT $3) s
		JOIN audit_events e ON e.organization_id = s.organization_id AND e.occurred_at = s.occurred_at
			AND e.sequence = s.sequence
		ORDER BY s.position`, organization, after, limit).Scan(&found).Error
	return found, err
}

// setExported stores the position that a destination has acknowledged. Index: the primary key.
func (store) setExported(ctx context.Context, destination string, h exportHead, now time.Time) error {
	return db.Write(ctx, 1, `
		INSERT INTO audit_export_positions AS p (organization_id, destination, position, sent_at)
		VALUES ($1, $2, $3, $4)
		ON CONFLICT (organization_id, destination) DO UPDATE
			SET position = greatest(p.position, excluded.position), sent_at = excluded.sent_at`,
		h.OrganizationID, destination, h.Position, now)
}
