package appointments

import (
	"context"
	"encoding/json"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/scheduling"
)

// operationOnce is the constraint that lets an operation be done once.
const operationOnce = "appointment_operations_pkey"

// doneOperation is the row that remembers what a request came to.
type doneOperation struct {
	OrganizationID uuid.UUID `gorm:"primaryKey"`
	ID             uuid.UUID `gorm:"primaryKey"`
	Kind           string
	Fingerprint    []byte
	Outcome        json.RawMessage `gorm:"type:json"`
	CreatedAt      time.Time
}

// TableName names the table for gorm.
func (doneOperation) TableName() string { return "appointment_operations" }

// done returns the rows of those operations that have been carried out. Index: the
// primary key.
func (store) done(ctx context.Context, keys []scheduling.Key) (map[scheduling.Key]doneOperation, error) {
	tx, err := db.Handle(ctx)
	if err != nil {
		return nil, err
	}
	organizations, ids := split(keys)
	var rows []doneOperation
	err = tx.Raw(`
		SELECT o.* FROM unnest($1::uuid[], $2::uuid[]) AS k (organization_id, id)
		CROSS JOIN LATERAL (
			SELECT * FROM appointment_operations t WHERE t.organization_id = k.organization_id AND t.id = k.id OFFSET 0) o`,
		db.UUIDs(organizations), db.UUIDs(ids)).Scan(&rows).Error
	done := make(map[scheduling.Key]doneOperation, len(rows))
	for _, row := range rows {
		done[scheduling.Key{OrganizationID: row.OrganizationID, ID: row.ID}] = row
	}
	return done, err
}

// remember writes rows of operations.
func (store) remember(ctx context.Context, rows []doneOperation) error {
	if len(rows) == 0 {
		return nil
	}
	n := len(rows)
	organizations, ids := make([]uuid.UUID, n), make([]uuid.UUID, n)
	kinds, fingerprints, outcomes, times := make([]string, n), make([][]byte, n), make([]string, n), make([]time.Time, n)
	for i, row := range rows {
		organizations[i], ids[i] = row.OrganizationID, row.ID
		kinds[i], fingerprints[i], outcomes[i], times[i] = row.Kind, row.Fingerprint, string(row.Outcome), row.CreatedAt
	}
	return db.Write(ctx, n, `
		INSERT INTO appointment_operations (organization_id, id, kind, fingerprint, outcome, created_at)
		SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::bytea[], $5::text[]::json[], $6::timestamptz[])`,
		db.UUIDs(organizations), db.UUIDs(ids), kinds, fingerprints, outcomes, times)
}

func (store) forgetOperations(ctx context.Context, before time.Time) (int64, error) {
	tx, err := db.Handle(ctx)
	if err != nil {
		return 0, err
	}
	result := tx.Where("created_at < ?", before).Delete(&doneOperation{})
	return result.RowsAffected, result.Error
}

// narratives returns what has been written into the sessions of the appointments,
// by their ids. Index: sessions_one_for_each_appointment.
func (store) narratives(ctx context.Context, appointments []scheduling.Key) (map[uuid.UUID]Session, error) {
	found := map[uuid.UUID]Session{}
	if len(appointments) == 0 {
		return found, nil
	}
	tx, err := db.Handle(ctx)
	if err != nil {
		return nil, err
	}
	organizations, ids := split(appointments)
	var rows []Session
	err = tx.Raw(`
		SELECT s.* FROM unnest($1::uuid[], $2::uuid[]) AS k (organization_id, id)
		CROSS JOIN LATERAL (
			SELECT * FROM sessions t WHERE t.organization_id = k.organization_id AND t.appointment_id = k.id OFFSET 0) s`,
		db.UUIDs(organizations), db.UUIDs(ids)).Scan(&rows).Error
	for _, s := range rows {
		found[s.AppointmentID] = s
	}
	return found, err
}
