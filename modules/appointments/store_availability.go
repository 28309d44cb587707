package appointments

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/record"
)

// availabilityRow is the row of a practitioner's availability.
type availabilityRow struct {
	OrganizationID uuid.UUID `gorm:"primaryKey"`
	PractitionerID uuid.UUID `gorm:"primaryKey"`
	Rules          json.RawMessage
	Version        int
	UpdatedAt      time.Time
}

// availabilityStore stores the working hours and absences of practitioners.
type availabilityStore struct{}

// availability returns the availability of the practitioners for whom it has been set. Index: the
// primary key.
func (availabilityStore) availability(ctx context.Context, practitioners []record.Key) (map[record.Key]Timetable, error) {
	rows, err := lookUp[availabilityRow](ctx, practitioners, `
		SELECT a.* FROM unnest($1::uuid[], $2::uuid[]) AS k (organization_id, id)
		CROSS JOIN LATERAL (
			SELECT * FROM practitioner_availability t WHERE t.organization_id = k.organization_id
				AND t.practitioner_id = k.id OFFSET 0) a`)
	if err != nil {
		return nil, err
	}
	found := make(map[record.Key]Timetable, len(rows))
	for _, row := range rows {
		t := Timetable{PractitionerID: row.PractitionerID, Version: row.Version}
		if err := json.Unmarshal(row.Rules, &t.Availability); err != nil {
			return nil, fmt.Errorf("the availability of practitioner %s: %w", row.PractitionerID, err)
		}
		found[record.Of(row.OrganizationID, row.PractitionerID)] = t
	}
	return found, nil
}

// saveAvailability replaces a practitioner's availability.
func (availabilityStore) saveAvailability(ctx context.Context, organization uuid.UUID, t Timetable, now time.Time) error {
	tx, err := db.Handle(ctx)
	if err != nil {
		return err
	}
	rules, err := json.Marshal(t.Availability)
	if err != nil {
		return err
	}
	return tx.Exec(`
		INSERT INTO practitioner_availability (organization_id, practitioner_id, rules, version, updated_at)
		VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (organization_id, practitioner_id) DO UPDATE SET
			rules = excluded.rules, version = excluded.version, updated_at = excluded.updated_at`,
		organization, t.PractitionerID, string(rules), t.Version, now).Error
}

// practitionersWithAvailability returns the practitioners for whom availability has been set.
// Index: the primary key.
func (availabilityStore) practitionersWithAvailability(ctx context.Context, organization uuid.UUID) ([]uuid.UUID, error) {
	tx, err := db.Handle(ctx)
	if err != nil {
		return nil, err
	}
	var ids []uuid.UUID
	err = tx.Raw(`SELECT practitioner_id FROM practitioner_availability
		WHERE organization_id = $1`, organization).Scan(&ids).Error
	return ids, err
}
