package authorization

import (
	"context"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgerrcode"
	"gorm.io/gorm"

	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/db"
)

// store reads and writes authorizations. It takes the transaction and the organization from the
// context, and fails without either.
type store struct{}

// owners defines the record scope of authorizations.
var owners = db.Owners{Patient: "authorizations.patient_id IN (%s)"}

// Filter narrows a list of authorizations. Zero values do not filter.
type Filter struct {
	PatientID     uuid.UUID
	ServiceCodeID uuid.UUID
	InsuranceID   uuid.UUID
	PayerID       uuid.UUID     // the payer of the insurance
	InForceOn     calendar.Date // within its dates
	Statuses      []Status      // computed statuses
	Page          db.Keyset     // by default in the order of creation

	insurances []uuid.UUID // the payer's insurances; nil: any
}

func (store) insert(ctx context.Context, a *Authorization) error {
	tx, err := db.Handle(ctx)
	if err != nil {
		return err
	}
	return RefusalOf(tx.Create(a).Error)
}

func (store) exists(ctx context.Context, id uuid.UUID) (bool, error) {
	tx, _, err := db.Tenant(ctx)
	if err != nil {
		return false, err
	}
	var found int64
	err = tx.Model(&Authorization{}).Where("id = ?", id).Count(&found).Error
	return found == 1, err
}

// get returns the authorization as stored; its scheduled units include expired holds. The error is
// [ErrNotFound], also outside the caller's record scope.
func (store) get(ctx context.Context, id uuid.UUID) (Authorization, error) {
	tx, _, err := db.ScopedTenant(ctx, owners)
	if err != nil {
		return Authorization{}, err
	}
	a, err := db.FindOne[Authorization](ctx, tx.Where("id = ?", id))
	if db.IsNotFound(err) {
		return Authorization{}, ErrNotFound
	}
	return a, err
}

// current returns the authorization with the units of expired holds counted as available, whether
// or not the sweeper has released them.
func (s store) current(ctx context.Context, id uuid.UUID, now time.Time) (Authorization, error) {
	a, err := s.get(ctx, id)
	if err != nil {
		return a, err
	}
	return a, s.freeExpired(ctx, []*Authorization{&a}, now)
}

// scopedByID returns the authorizations of the ids within the caller's record scope, with the units of expired holds
// counted as available. Index: the primary key.
func (s store) scopedByID(ctx context.Context, ids []uuid.UUID, now time.Time) ([]Authorization, error) {
	tx, _, err := db.ScopedTenant(ctx, owners)
	if err != nil {
		return nil, err
	}
	found, err := db.Find[Authorization](ctx, db.WithIDs(tx, ids))
	if err != nil {
		return nil, err
	}
	pointers := make([]*Authorization, len(found))
	for i := range found {
		pointers[i] = &found[i]
	}
	return found, s.freeExpired(ctx, pointers, now)
}

// textRow has what references to an authorization show.
type textRow struct {
	ID             uuid.UUID
	AuthNumber     *string
	InsuranceID    *uuid.UUID
	AvailableUnits int
}

// texts returns the query of the texts of authorizations within the caller's record scope, with the units of expired
// holds counted as available, and the subquery of their insurances. Index: the primary key.
func (store) texts(
	ctx context.Context, ids []uuid.UUID, now time.Time, rows *[]textRow,
) (db.Query, db.Subquery, error) {
	tx, organization, err := db.ScopedTenant(ctx, owners)
	if err != nil {
		return db.Query{}, db.Subquery{}, err
	}
	tx = tx.Model(&Authorization{}).Select(`id, auth_number, insurance_id,
		total_units - used_units - scheduled_units + `+expiredUnitsSQL("authorizations")+` AS available_units`,
		map[string]any{"now": now})
	return db.FindInto(rows, db.WithIDs(tx, ids)), db.Subquery{
		Statement: `SELECT insurance_id FROM authorizations
			WHERE organization_id = $1 AND id = ANY ($2::uuid[]) AND insurance_id IS NOT NULL`,
		Arguments: []any{organization, db.UUIDs(ids)},
	}, nil
}

// list returns authorizations with the units of expired holds counted as available. Indexes: the
// primary key, authorizations_by_end, authorizations_by_start; for a limited record scope
// authorizations_by_patient.
func (s store) list(ctx context.Context, f Filter, at Moment) ([]Authorization, error) {
	tx, _, err := db.ScopedTenant(ctx, owners)
	if err != nil {
		return nil, err
	}
	tx = f.narrow(tx, at)
	found, err := db.Find[Authorization](ctx, f.Page.Apply(tx))
	if err != nil {
		return nil, err
	}
	pointers := make([]*Authorization, len(found))
	for i := range found {
		pointers[i] = &found[i]
	}
	return found, s.freeExpired(ctx, pointers, at.Now)
}

// narrow adds the filter's conditions.
func (f Filter) narrow(tx *gorm.DB, at Moment) *gorm.DB {
	for column, id := range map[string]uuid.UUID{
		"patient_id": f.PatientID, "service_code_id": f.ServiceCodeID, "insurance_id": f.InsuranceID,
	} {
		if id != uuid.Nil {
			tx = tx.Where(column+" = ?", id)
		}
	}
	if f.insurances != nil {
		// A subquery is hashed; an array parameter would be searched from its beginning for every
		// row. IS TRUE prevents a join, which would read the whole organization before the first
		// row.
		tx = tx.Where("(insurance_id IN (SELECT unnest(CAST(? AS uuid[])))) IS TRUE", uuidArray(f.insurances))
	}
	if !f.InForceOn.IsZero() {
		tx = tx.Where("start_date <= CAST(? AS date) AND end_date >= CAST(? AS date)", f.InForceOn, f.InForceOn)
	}
	if len(f.Statuses) > 0 {
		tx = tx.Where(statusSQL+" IN @statuses", map[string]any{
			"now": at.Now, "today": at.Today, "statuses": f.Statuses,
		})
	}
	return tx
}

// uuidArray encodes ids as a PostgreSQL array: one argument for any number of ids.
func uuidArray(ids []uuid.UUID) string {
	texts := make([]string, len(ids))
	for i, id := range ids {
		texts[i] = id.String()
	}
	return "{" + strings.Join(texts, ",") + "}"
}

// statusSQL is [Authorization.StatusOn] as SQL. Like freeExpired, it counts the units of expired
// holds as free.
var statusSQL = `CASE
	WHEN authorizations.status <> 'ACTIVE' THEN authorizations.status
	WHEN CAST(@today AS date) > end_date THEN 'EXPIRED'
	WHEN CAST(@today AS date) < start_date THEN 'UPCOMING'
	WHEN total_units - used_units - scheduled_units + ` + expiredUnitsSQL("authorizations") + ` = 0 THEN 'EXHAUSTED'
	ELSE 'ACTIVE' END`

// freeExpired subtracts the units of expired holds from the scheduled units.
func (store) freeExpired(ctx context.Context, found []*Authorization, now time.Time) error {
	byID := make(map[uuid.UUID]*Authorization)
	var due []uuid.UUID
	for _, a := range found {
		if a.mayHaveExpired(now) {
			byID[a.ID] = a
			due = append(due, a.ID)
		}
	}
	if len(due) == 0 {
		return nil
	}
	tx, _, err := db.Tenant(ctx)
	if err != nil {
		return err
	}
	type units struct {
		AuthorizationID uuid.UUID
		Units           int
	}
	expired, err := db.Find[units](ctx, tx.Table("unit_reservations").
		Select("authorization_id, sum(units - consumed_units - released_units) AS units").
		Where("authorization_id IN ? AND "+expiredSQL("unit_reservations", "?"), due, now).
		Group("authorization_id"))
	for _, e := range expired {
		byID[e.AuthorizationID].Scheduled -= e.Units
	}
	return err
}

// saveTerms writes all fields of the authorization that a user can change.
func (store) saveTerms(ctx context.Context, a Authorization) error {
	tx, _, err := db.Tenant(ctx)
	if err != nil {
		return err
	}
	return changedOne(tx.Model(&Authorization{}).Where("id = ?", a.ID).UpdateColumns(map[string]any{
		"insurance_id":   a.InsuranceID,
		"auth_number":    a.AuthNumber,
		"modifiers":      a.Modifiers,
		"booked_by_date": a.UnitsByDate,
		"start_date":     a.StartDate,
		"end_date":       a.EndDate,
		"status":         a.Decision,
		"cap_day":        a.Caps.Day,
		"cap_week":       a.Caps.Week,
		"cap_month":      a.Caps.Month,
		"cap_total":      a.Caps.Total,
		"notes":          a.Notes,
		"version":        a.Version,
		"updated_at":     a.UpdatedAt,
	}))
}

// stranded counts the open reservations whose service date would be outside the dates.
func (store) stranded(ctx context.Context, id uuid.UUID, start, end calendar.Date, now time.Time) (Stranded, error) {
	tx, _, err := db.Tenant(ctx)
	if err != nil {
		return Stranded{}, err
	}
	var s Stranded
	err = tx.Model(&Reservation{}).
		Select(`count(*) AS reservations, coalesce(sum(units - consumed_units - released_units), 0) AS units,
			min(service_date) AS first_date, max(service_date) AS last_date`).
		Where("authorization_id = ? AND "+openSQL("unit_reservations", "?"), id, now).
		Where("service_date < ? OR service_date > ?", start, end).
		Scan(&s).Error
	return s, err
}

// delete deletes an authorization. The error is [ErrHasHistory] if any table refers to it. An
// appointment that holds no units has no row in this module's tables, but still refers to the
// authorization.
func (store) delete(ctx context.Context, id uuid.UUID) error {
	tx, _, err := db.Tenant(ctx)
	if err != nil {
		return err
	}
	err = changedOne(tx.Where("id = ?", id).Delete(&Authorization{}))
	if db.SQLState(err) == pgerrcode.ForeignKeyViolation {
		return ErrHasHistory.Because(err)
	}
	return err
}

// reservations lists an authorization's reservations, sorted by id.
func (store) reservations(
	ctx context.Context, authorization uuid.UUID, open *bool, after uuid.UUID, limit int, now time.Time,
) ([]Reservation, error) {
	tx, _, err := db.Tenant(ctx)
	if err != nil {
		return nil, err
	}
	tx = tx.Where("authorization_id = ?", authorization)
	switch {
	case open == nil:
	case *open:
		tx = tx.Where(openSQL("unit_reservations", "?"), now)
	default:
		tx = tx.Not(openSQL("unit_reservations", "?"), now)
	}
	if after != uuid.Nil {
		tx = tx.Where("id > ?", after)
	}
	var found []Reservation
	err = tx.Order("id").Limit(limit).Find(&found).Error
	return found, err
}

// entries lists an authorization's ledger entries, oldest first.
func (store) entries(ctx context.Context, authorization uuid.UUID, after int64, limit int) ([]Entry, error) {
	tx, _, err := db.Tenant(ctx)
	if err != nil {
		return nil, err
	}
	var found []Entry
	err = tx.Where("authorization_id = ? AND sequence > ?", authorization, after).
		Order("sequence").Limit(limit).Find(&found).Error
	return found, err
}

// changedOne returns an error if a write did not change exactly one row.
func changedOne(result *gorm.DB) error {
	if result.Error != nil {
		return RefusalOf(result.Error)
	}
	if result.RowsAffected != 1 {
		return &db.RowsError{Statement: result.Statement.SQL.String(), Want: 1, Got: result.RowsAffected}
	}
	return nil
}
