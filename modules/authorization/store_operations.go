package authorization

import (
	"context"
	"encoding/json"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
)

// operationOnce is the constraint that lets an operation be done once.
const operationOnce = "unit_operations_pkey"

// doneOperation is the row that remembers what an operation came to.
type doneOperation struct {
	OrganizationID  uuid.UUID `gorm:"primaryKey"`
	ID              uuid.UUID `gorm:"primaryKey"`
	AuthorizationID uuid.UUID
	Kind            EntryKind
	Fingerprint     []byte
	Outcome         json.RawMessage `gorm:"type:json"`
	CreatedAt       time.Time
}

// TableName names the table for gorm.
func (doneOperation) TableName() string { return "unit_operations" }

// remember returns the row that lets a repetition of the operation get the same answer.
func remember(organization uuid.UUID, op Operation, o Outcome, now time.Time) (doneOperation, error) {
	stored, err := json.Marshal(memoryOf(op, o))
	return doneOperation{
		OrganizationID:  organization,
		ID:              op.ID,
		AuthorizationID: op.AuthorizationID,
		Kind:            op.Kind,
		Fingerprint:     op.fingerprint(),
		Outcome:         stored,
		CreatedAt:       now,
	}, err
}

// done returns the rows of those operations of the batches that have been carried
// out. Index: the primary key.
func (store) done(ctx context.Context, batches []batch) (map[operationKey]doneOperation, error) {
	var organizations, ids []uuid.UUID
	for _, b := range batches {
		for _, op := range b.ops {
			organizations, ids = append(organizations, b.organization), append(ids, op.ID)
		}
	}
	tx, err := db.Handle(ctx)
	if err != nil {
		return nil, err
	}
	var rows []doneOperation
	err = tx.Raw(`
		SELECT o.* FROM unnest($1::uuid[], $2::uuid[]) AS k (organization_id, id)
		CROSS JOIN LATERAL (
			SELECT * FROM unit_operations u WHERE u.organization_id = k.organization_id AND u.id = k.id OFFSET 0) o`,
		db.UUIDs(organizations), db.UUIDs(ids)).Scan(&rows).Error
	done := make(map[operationKey]doneOperation, len(rows))
	for _, row := range rows {
		done[operationKey{row.OrganizationID, row.ID}] = row
	}
	return done, err
}

// doneOne returns the row of one operation, nil where it has not been carried out.
func (s store) doneOne(ctx context.Context, key operationKey) (*doneOperation, error) {
	found, err := s.done(ctx, []batch{{organization: key.organization, ops: []Operation{{ID: key.id}}}})
	if row, ok := found[key]; ok && err == nil {
		return &row, nil
	}
	return nil, err
}

// remember writes rows of operations.
func (store) remember(ctx context.Context, rows []doneOperation) error {
	if len(rows) == 0 {
		return nil
	}
	n := len(rows)
	organizations, ids, authorizations := make([]uuid.UUID, n), make([]uuid.UUID, n), make([]uuid.UUID, n)
	kinds, fingerprints, outcomes, times := make([]string, n), make([][]byte, n), make([]string, n), make([]time.Time, n)
	for i, row := range rows {
		organizations[i], ids[i], authorizations[i] = row.OrganizationID, row.ID, row.AuthorizationID
		kinds[i], fingerprints[i], outcomes[i], times[i] = string(row.Kind), row.Fingerprint, string(row.Outcome), row.CreatedAt
	}
	return db.Write(ctx, n, `
		INSERT INTO unit_operations (organization_id, id, authorization_id, kind, fingerprint, outcome, created_at)
		SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::bytea[], $6::text[]::json[], $7::timestamptz[])`,
		db.UUIDs(organizations), db.UUIDs(ids), db.UUIDs(authorizations), kinds, fingerprints, outcomes, times)
}

func (store) forgetOperations(ctx context.Context, before time.Time) (int64, error) {
	tx, err := db.Handle(ctx)
	if err != nil {
		return 0, err
	}
	result := tx.Where("created_at < ?", before).Delete(&doneOperation{})
	return result.RowsAffected, result.Error
}
