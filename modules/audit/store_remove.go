package audit

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
)

// lockChain locks a chain, so that no transaction extends it.
func (store) lockChain(ctx context.Context, organization uuid.UUID) error {
	tx, err := db.Handle(ctx)
	if err != nil {
		return err
	}
	return tx.Exec("SELECT FROM audit_chains WHERE organization_id = ? FOR UPDATE", organization).Error
}

// lastBefore returns the checkpoint at the last position up to which all events are older than
// moment, nil if there is none.
func (store) lastBefore(ctx context.Context, organization uuid.UUID, moment time.Time) (*Checkpoint, error) {
	tx, err := db.Handle(ctx)
	if err != nil {
		return nil, err
	}
	var found []Checkpoint
	err = tx.Raw(`
		SELECT organization_id, position, hash FROM audit_seals s
		WHERE organization_id = @organization AND occurred_at < @moment AND position < coalesce((
			SELECT min(k.position) FROM audit_seals k WHERE k.organization_id = @organization AND k.occurred_at >= @moment),
			(SELECT c.last_position + 1 FROM audit_chains c WHERE c.organization_id = @organization))
		ORDER BY position DESC
		LIMIT 1`, map[string]any{"organization": organization, "moment": moment}).Scan(&found).Error
	if err != nil || len(found) == 0 {
		return nil, err
	}
	return &found[0], nil
}

// lastIn returns the last position of an organization in the partitions that end up to a bound. The position is 0
// if there is none. Index: the primary key.
func (store) lastIn(ctx context.Context, organization uuid.UUID, bound time.Time) (Checkpoint, error) {
	found, err := db.Select[Checkpoint](ctx, `
		SELECT organization_id, position, hash FROM audit_seals WHERE organization_id = ? AND occurred_at < ?
		ORDER BY position DESC LIMIT 1`, organization, bound)
	if err != nil || len(found) == 0 {
		return Checkpoint{OrganizationID: organization}, err
	}
	return found[0], nil
}

// hasUnsealedBefore reports whether an event that occurred before the time waits for its seal.
func (store) hasUnsealedBefore(ctx context.Context, before time.Time) (bool, error) {
	return db.SelectOne[bool](ctx, `
		SELECT EXISTS (SELECT FROM audit_unsealed u CROSS JOIN LATERAL unnest(u.times) AS k (occurred_at)
			WHERE k.occurred_at < ?)`, before)
}

// remove writes the checkpoint and deletes all events up to it that occurred at the bound or later, with the setting
// that the tables' triggers require. Without a bound it deletes all events up to the checkpoint.
func (s store) remove(ctx context.Context, c Checkpoint, bound time.Time) error {
	tx, err := db.Handle(ctx)
	if err != nil {
		return err
	}
	err = tx.Exec(`
		INSERT INTO audit_checkpoints (organization_id, position, hash, removed, removed_by, removed_at)
			VALUES (?, ?, ?, ?, ?, ?)`,
		c.OrganizationID, c.Position, c.Hash, c.Removed, c.RemovedBy, c.RemovedAt).Error
	if err != nil {
		return err
	}
	if err := tx.Exec("SELECT set_config('omnirapeutic.audit_removal', 'on', true)").Error; err != nil {
		return err
	}
	events := tx.Exec(`
		DELETE FROM audit_events e USING audit_seals s
		WHERE s.organization_id = ? AND s.position <= ? AND s.occurred_at >= ? AND e.occurred_at >= ?
		  AND (e.organization_id, e.occurred_at, e.sequence) = (s.organization_id, s.occurred_at, s.sequence)`,
		c.OrganizationID, c.Position, bound, bound)
	if events.Error != nil {
		return events.Error
	}
	seals := tx.Exec("DELETE FROM audit_seals WHERE organization_id = ? AND position <= ? AND occurred_at >= ?",
		c.OrganizationID, c.Position, bound)
	if seals.Error != nil {
		return seals.Error
	}
	if n := seals.RowsAffected; events.RowsAffected != n || n > c.Removed || bound.IsZero() && n != c.Removed {
		return fmt.Errorf("audit: %d events and %d seals would be removed instead of %d", events.RowsAffected, n, c.Removed)
	}
	return nil
}

// removeLists deletes the lists of days before a time that no event names any more. It keeps the lists of the last
// week, because another transaction may be about to name one.
func (store) removeLists(ctx context.Context, organization uuid.UUID, before time.Time) error {
	tx, err := db.Handle(ctx)
	if err != nil {
		return err
	}
	if err := tx.Exec("SELECT set_config('omnirapeutic.audit_removal', 'on', true)").Error; err != nil {
		return err
	}
	day := before.UTC().Format(time.DateOnly)
	err = tx.Exec(`
		DELETE FROM audit_lists l
		WHERE l.organization_id = ? AND l.day < least(CAST(? AS date), current_date - 7) AND NOT EXISTS (
			SELECT FROM audit_events e WHERE e.organization_id = l.organization_id AND e.subject_id = l.id) AND NOT EXISTS (
			SELECT FROM audit_restored_events e WHERE e.organization_id = l.organization_id AND e.subject_id = l.id)`,
		organization, day).Error
	if err != nil {
		return err
	}
	return tx.Exec(`
		DELETE FROM audit_list_records r
		WHERE r.organization_id = ? AND r.day < least(CAST(? AS date), current_date - 7) AND NOT EXISTS (
			SELECT FROM audit_lists l WHERE l.organization_id = r.organization_id AND l.id = r.list_id)`,
		organization, day).Error
}
