package authorization

import (
	"context"
	"fmt"

	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/db"
)

// activities returns a reading of the activity of each authorization, in their order, in one statement. Indexes:
// unit_entries_pkey, only for authorizations in force, and unit_reservations_open_oldest_first.
//
// There is no index of consumed units by service date: every booking would have to update it, while
// a page reads only the entries of its own authorizations.
func (store) activities(of []Authorization, at Moment) db.Reading[[]activity] {
	columns := db.Columns(of, func(v *db.Values, a Authorization) {
		window, ok := a.recentWindow(at.Today)
		if !ok || a.Used == 0 {
			window.first = calendar.Date{} // no window
		}
		v.UUID(a.OrganizationID, a.ID).Date(window.first)
	})
	var rows []struct {
		Recent     int
		LastBooked calendar.Date
	}
	query := db.Into(&rows, `
		SELECT
			coalesce((
				SELECT sum(CASE e.kind WHEN 'consume' THEN e.units ELSE -e.units END) FROM unit_entries e
				WHERE k.first IS NOT NULL AND e.organization_id = k.organization_id AND e.authorization_id = k.id
					AND e.kind IN ('consume', 'reverse') AND e.service_date >= k.first AND e.service_date <= $1::date), 0) AS recent,
			(SELECT max(r.service_date) FROM unit_reservations r
				WHERE r.organization_id = k.organization_id AND r.authorization_id = k.id
					AND `+openSQL("r", "$2")+`) AS last_booked
		FROM unnest($3::uuid[], $4::uuid[], $5::text[]::date[]) WITH ORDINALITY AS k (organization_id, id, first, index)
		ORDER BY k.index`, append([]any{at.Today, at.Now}, columns...)...)
	return db.Reading[[]activity]{Queries: []db.Query{query}, Value: func(context.Context) ([]activity, error) {
		if len(rows) != len(of) {
			return nil, fmt.Errorf("authorization: %d rows of activity instead of %d", len(rows), len(of))
		}
		seen := make([]activity, len(rows))
		for i, r := range rows {
			seen[i] = activity{r.Recent, r.LastBooked}
		}
		return seen, nil
	}}
}

// totals returns the sums over the authorizations that match the filter. It ignores the filter's
// page.
func (store) totals(ctx context.Context, f Filter, at Moment) (Totals, error) {
	tx, _, err := db.ScopedTenant(ctx, owners)
	if err != nil {
		return Totals{}, err
	}
	var t Totals
	err = f.narrow(tx.Table("authorizations"), at).Select(`count(*) AS authorizations,
		coalesce(sum(total_units), 0) AS total_units, coalesce(sum(used_units), 0) AS used_units,
		coalesce(sum(scheduled_units - `+expiredUnitsSQL("authorizations")+`), 0) AS scheduled_units`,
		map[string]any{"now": at.Now}).Scan(&t).Error
	return t, err
}
