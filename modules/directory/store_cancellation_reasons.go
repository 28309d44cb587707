package directory

import (
	"context"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/record"
)

// cancellationReasons returns the existing reasons. OFFSET 0 makes each key an index look-up. Index: the
// primary key.
func (store) cancellationReasons(ctx context.Context, keys []record.Key) ([]CancellationReason, error) {
	if _, err := db.Handle(ctx); err != nil || len(keys) == 0 {
		return nil, err
	}
	var rows []CancellationReason
	err := db.Read(ctx, db.Into(&rows, `
		SELECT r.* FROM unnest($1::uuid[], $2::uuid[]) AS k (organization_id, id)
		CROSS JOIN LATERAL (
			SELECT * FROM cancellation_reasons t WHERE t.organization_id = k.organization_id AND t.id = k.id OFFSET 0) r`,
		db.KeyColumns(keys)...))
	return rows, err
}

// insertCancellationReasons writes the reasons of a new organization. Their ids follow from the
// organization and the code.
func (store) insertCancellationReasons(ctx context.Context, o Organization, reasons []CancellationReason) error {
	tx, err := db.Handle(ctx)
	if err != nil {
		return err
	}
	rows := make([]CancellationReason, len(reasons))
	for i, r := range reasons {
		r.Record = Record{
			ID: uuid.NewSHA1(o.ID, []byte(r.Code)), OrganizationID: o.ID, Version: 1, CreatedAt: o.CreatedAt,
			UpdatedAt: o.UpdatedAt,
		}
		r.Active = true
		rows[i] = r
	}
	return tx.Create(&rows).Error
}
