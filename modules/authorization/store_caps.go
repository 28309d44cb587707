package authorization

import (
	"context"

	"github.com/google/uuid"

	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/db"
)

// capped returns authorizations with caps, sorted by id: of those given, or, with nil, of all that
// include one of the days from and to. Indexes: the primary key, authorizations_by_end.
func (store) capped(ctx context.Context, ids []uuid.UUID, from, to calendar.Date) ([]Authorization, error) {
	tx, _, err := db.Tenant(ctx)
	if err != nil {
		return nil, err
	}
	tx = tx.Model(&Authorization{}).Where("num_nonnulls(cap_day, cap_week, cap_month, cap_total) > 0")
	if ids != nil {
		tx = tx.Where("id IN ?", ids)
	} else {
		tx = tx.Where("start_date <= ? AND end_date >= ?", to, from)
	}
	var found []Authorization
	return found, tx.Order("id").Find(&found).Error
}

// consumedByDate returns the consumed units of authorizations by service date. Index: the primary
// key of unit_reservations.
func (store) consumedByDate(ctx context.Context, of []Authorization) (map[uuid.UUID]UnitsByDate, error) {
	tx, err := db.Handle(ctx)
	if err != nil {
		return nil, err
	}
	_, organization, err := db.Tenant(ctx)
	if err != nil {
		return nil, err
	}
	ids := make([]uuid.UUID, len(of))
	for i, a := range of {
		ids[i] = a.ID
	}
	var rows []struct {
		AuthorizationID uuid.UUID
		ServiceDate     calendar.Date
		Units           int
	}
	err = tx.Raw(`
		SELECT authorization_id, service_date, sum(consumed_units) AS units FROM unit_reservations
		WHERE organization_id = $1 AND authorization_id = ANY ($2::uuid[]) AND consumed_units > 0
		GROUP BY authorization_id, service_date`, organization, db.UUIDs(ids)).Scan(&rows).Error
	found := make(map[uuid.UUID]UnitsByDate, len(of))
	for _, r := range rows {
		if found[r.AuthorizationID] == nil {
			found[r.AuthorizationID] = UnitsByDate{}
		}
		found[r.AuthorizationID][r.ServiceDate] = r.Units
	}
	return found, err
}
