package authorization

import (
	"context"

	"github.com/google/uuid"

	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/db"
)

// cappedReading reads authorizations with caps, and their consumed units by service date.
type cappedReading struct {
	queries    []db.Query
	insurances db.Subquery     // of the authorizations with a cap by week
	found      []Authorization // with their caps and dates, sorted by id
	consumed   []consumedOnDate
}

type consumedOnDate struct {
	AuthorizationID uuid.UUID
	ServiceDate     calendar.Date
	Units           int
}

// capped reads authorizations with caps: of those given, or, with nil, of all that include one of the
// days from and to. OFFSET 0 makes the units of each authorization an index look-up. Indexes: the primary
// keys, authorizations_by_end.
func (store) capped(ctx context.Context, ids []uuid.UUID, from, to calendar.Date) (*cappedReading, error) {
	_, organization, err := db.Tenant(ctx)
	if err != nil {
		return &cappedReading{}, err
	}
	r := &cappedReading{}
	which, arguments := "a.id = ANY ($2::uuid[])", []any{organization, db.UUIDs(ids)}
	if ids == nil {
		which, arguments = "a.start_date <= $2::date AND a.end_date >= $3::date", []any{organization, to, from}
	}
	condition := ` WHERE a.organization_id = $1 AND ` + which +
		` AND num_nonnulls(a.cap_day, a.cap_week, a.cap_month, a.cap_total) > 0`
	r.insurances = db.Subquery{
		Statement: "SELECT a.insurance_id FROM authorizations a" + condition +
			" AND a.cap_week IS NOT NULL AND a.insurance_id IS NOT NULL",
		Arguments: arguments,
	}
	r.queries = []db.Query{
		db.Into(&r.found, `
			SELECT a.organization_id, a.id, a.insurance_id, a.start_date, a.end_date, a.cap_day, a.cap_week, a.cap_month,
				a.cap_total FROM authorizations a`+condition+` ORDER BY a.id`, arguments...),
		db.Into(&r.consumed, `
			SELECT a.id AS authorization_id, r.service_date, r.units FROM authorizations a CROSS JOIN LATERAL (
				SELECT t.service_date, sum(t.consumed_units) AS units FROM unit_reservations t
				WHERE t.organization_id = a.organization_id AND t.authorization_id = a.id AND t.consumed_units > 0
				GROUP BY t.service_date OFFSET 0) r`+condition, arguments...),
	}
	return r, nil
}

// accounts returns the accounts that were read, without the first days of their weeks.
func (r *cappedReading) accounts() []account {
	accounts, at := make([]account, len(r.found)), make(map[uuid.UUID]int, len(r.found))
	for i, a := range r.found {
		a.UnitsByDate = UnitsByDate{}
		accounts[i], at[a.ID] = account{Authorization: a}, i
	}
	for _, c := range r.consumed {
		accounts[at[c.AuthorizationID]].UnitsByDate[c.ServiceDate] = c.Units
	}
	return accounts
}
