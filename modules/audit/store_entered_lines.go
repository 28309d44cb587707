package audit

import (
	"context"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
)

// lockEnteredLines returns the number of entered lines of a file, and locks it until the transaction ends.
// Index: audit_spools_pkey.
func (store) lockEnteredLines(ctx context.Context, file uuid.UUID) (entered int, err error) {
	tx, err := db.Handle(ctx)
	if err != nil {
		return 0, err
	}
	err = tx.Raw(`
		INSERT INTO audit_spools (id) VALUES (?)
		ON CONFLICT (id) DO UPDATE SET events = audit_spools.events
		RETURNING events`, file).Scan(&entered).Error
	return entered, err
}

// setEnteredLines stores the number of entered lines of a file. Index: audit_spools_pkey.
func (store) setEnteredLines(ctx context.Context, file uuid.UUID, entered int) error {
	return db.Write(ctx, 1, `UPDATE audit_spools SET events = $2 WHERE id = $1`, file, entered)
}
