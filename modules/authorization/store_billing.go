package authorization

import (
	"context"

	"github.com/google/uuid"

	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/db"
)

// byID returns authorizations. Index: the primary key.
func (store) byID(ctx context.Context, ids []uuid.UUID) ([]Authorization, error) {
	tx, err := db.Handle(ctx)
	if err != nil {
		return nil, err
	}
	_, organization, err := db.Tenant(ctx)
	if err != nil {
		return nil, err
	}
	var found []Authorization
	err = tx.Raw("SELECT * FROM authorizations WHERE organization_id = $1 AND id = ANY ($2::uuid[])",
		organization, db.UUIDs(ids)).Scan(&found).Error
	return found, err
}

// consumedUnits sums consumptions and reversals. It reads the organization's entries: hundreds of
// thousands in a large practice, and only for an occasional report. Index: the primary keys.
func (store) consumedUnits(ctx context.Context, from, to calendar.Date) ([]ConsumedUnits, error) {
	tx, err := db.Handle(ctx)
	if err != nil {
		return nil, err
	}
	_, organization, err := db.Tenant(ctx)
	if err != nil {
		return nil, err
	}
	var found []ConsumedUnits
	err = tx.Raw(`
		SELECT e.authorization_id, r.appointment_id,
			sum(CASE e.kind WHEN 'consume' THEN e.units ELSE -e.units END) AS units
		FROM unit_entries e
		LEFT JOIN unit_reservations r ON r.organization_id = e.organization_id
			AND r.authorization_id = e.authorization_id AND r.id = e.reservation_id
		WHERE e.organization_id = $1 AND e.kind IN ('consume', 'reverse') AND e.service_date BETWEEN $2::date AND $3::date
		GROUP BY e.authorization_id, r.appointment_id
		HAVING sum(CASE e.kind WHEN 'consume' THEN e.units ELSE -e.units END) <> 0
		ORDER BY e.authorization_id, r.appointment_id`, organization, from, to).Scan(&found).Error
	return found, err
}
