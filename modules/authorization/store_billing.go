package authorization

import (
	"context"

	"github.com/google/uuid"

	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/db"
)

// byID returns the query of authorizations. Index: the primary key.
func (store) byID(ctx context.Context, ids []uuid.UUID, found *[]Authorization) (db.Query, error) {
	_, organization, err := db.Tenant(ctx)
	return db.Into(found, "SELECT * FROM authorizations WHERE organization_id = $1 AND id = ANY ($2::uuid[])",
		organization, db.UUIDs(ids)), err
}

// consumedUnits returns the query of the sums of consumptions and reversals. It reads the organization's
// entries: hundreds of thousands in a large practice, and only for an occasional report. Index: the primary
// keys.
func (store) consumedUnits(
	ctx context.Context, from, to calendar.Date, found *[]ConsumedUnits,
) (db.Query, error) {
	_, organization, err := db.Tenant(ctx)
	return db.Into(found, `
		SELECT e.authorization_id, r.appointment_id,
			sum(CASE e.kind WHEN 'consume' THEN e.units ELSE -e.units END) AS units
		FROM unit_entries e
		LEFT JOIN unit_reservations r ON r.organization_id = e.organization_id
			AND r.authorization_id = e.authorization_id AND r.id = e.reservation_id
		WHERE e.organization_id = $1 AND e.kind IN ('consume', 'reverse') AND e.service_date BETWEEN $2::date AND $3::date
		GROUP BY e.authorization_id, r.appointment_id
		HAVING sum(CASE e.kind WHEN 'consume' THEN e.units ELSE -e.units END) <> 0
		ORDER BY e.authorization_id, r.appointment_id`, organization, from, to), err
}
