package authorization

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/fault"
)

// TableName names the table for gorm.
func (Reservation) TableName() string { return "unit_reservations" }

// TableName names the table for gorm.
func (Entry) TableName() string { return "unit_entries" }

// operationOnce is the constraint that lets an operation be done once.
const operationOnce = "unit_operations_pkey"

// doneOperation is the row that remembers what an operation came to.
type doneOperation struct {
	OrganizationID  uuid.UUID `gorm:"primaryKey"`
	ID              uuid.UUID `gorm:"primaryKey"`
	AuthorizationID uuid.UUID
	Kind            EntryKind
	Fingerprint     []byte
	Outcome         json.RawMessage `gorm:"type:jsonb"`
	CreatedAt       time.Time
}

// TableName names the table for gorm.
func (doneOperation) TableName() string { return "unit_operations" }

// done returns the rows of those of the operations that have been carried out.
// Index: the primary key.
func (store) done(ctx context.Context, ids []uuid.UUID) (map[uuid.UUID]doneOperation, error) {
	tx, _, err := db.Tenant(ctx)
	if err != nil {
		return nil, err
	}
	var rows []doneOperation
	if err := tx.Where("id IN ?", ids).Find(&rows).Error; err != nil {
		return nil, err
	}
	done := make(map[uuid.UUID]doneOperation, len(rows))
	for _, row := range rows {
		done[row.ID] = row
	}
	return done, nil
}

// touchable returns the reservations that decide needs to see for the operations.
// Indexes: the primary key, unit_reservations_open_oldest_first.
func (store) touchable(ctx context.Context, a Authorization, ops []Operation, now time.Time) ([]Reservation, error) {
	var named []uuid.UUID
	unnamed := 0
	for _, op := range ops {
		switch {
		case op.Kind != Release && op.Kind != Consume:
		case op.ReservationID != nil:
			named = append(named, *op.ReservationID)
		default:
			unnamed += op.Units
		}
	}
	var all []Reservation
	read := func(narrow func(*gorm.DB) *gorm.DB) error {
		tx, _, err := db.Tenant(ctx)
		if err != nil {
			return err
		}
		var rows []Reservation
		err = narrow(tx.Where("authorization_id = ?", a.ID)).Find(&rows).Error
		all = append(all, rows...)
		return err
	}
	if len(named) > 0 {
		if err := read(func(tx *gorm.DB) *gorm.DB { return tx.Where("id IN ?", named) }); err != nil {
			return nil, err
		}
	}
	if unnamed > 0 {
		// Every open one holds at least one unit, so as many rows as units are enough,
		// with as many again as may be settled by name before.
		err := read(func(tx *gorm.DB) *gorm.DB {
			return tx.Where("open AND appointment_id IS NULL AND (expires_at IS NULL OR expires_at > ?)", now).
				Order("sequence").Limit(unnamed + len(named))
		})
		if err != nil {
			return nil, err
		}
	}
	sweeps := slices.ContainsFunc(ops, func(op Operation) bool { return op.Kind == Expire })
	if sweeps || a.mayHaveExpired(now) {
		if err := read(func(tx *gorm.DB) *gorm.DB { return tx.Where("open AND expires_at IS NOT NULL") }); err != nil {
			return nil, err
		}
	}
	return oldestFirst(all), nil
}

// oldestFirst brings reservations into their order, each once.
func oldestFirst(all []Reservation) []Reservation {
	slices.SortFunc(all, func(x, y Reservation) int { return cmp.Compare(x.Sequence, y.Sequence) })
	return slices.CompactFunc(all, func(x, y Reservation) bool { return x.ID == y.ID })
}

// booked returns what there is to keep once caps count by date. Index: the primary key.
func (store) booked(ctx context.Context, authorization uuid.UUID) (Bookings, error) {
	tx, _, err := db.Tenant(ctx)
	if err != nil {
		return nil, err
	}
	var rows []struct {
		ServiceDate calendar.Date
		Units       int
	}
	err = tx.Model(&Reservation{}).Select("service_date, sum(units - released_units) AS units").
		Where("authorization_id = ? AND released_units < units", authorization).
		Group("service_date").Scan(&rows).Error
	booked := make(Bookings, len(rows))
	for _, row := range rows {
		booked[row.ServiceDate] = row.Units
	}
	return booked, err
}

// rowsAtOnce bounds how many rows one statement writes: a statement has room for
// 65535 values.
const rowsAtOnce = 1000

// post writes what was decided: counters, reservations, entries. Authorizations
// are locked one after the other in the order of their ids, and all else belongs
// to one of them. The condition on the sequence number cannot fail under
// SERIALIZABLE; it is there for the day when somebody runs this on less.
func (store) post(ctx context.Context, bookings []booking) error {
	var changed []Reservation
	var entries []Entry
	for _, b := range bookings {
		tx, _, err := db.Tenant(ctx)
		if err != nil {
			return err
		}
		err = changedOne(tx.Model(&Authorization{}).
			Where("id = ? AND last_sequence = ?", b.after.ID, b.before.LastSequence).
			UpdateColumns(map[string]any{
				"total_units":     b.after.Total,
				"used_units":      b.after.Used,
				"scheduled_units": b.after.Scheduled,
				"booked_by_date":  b.after.Booked,
				"last_sequence":   b.after.LastSequence,
				"last_hash":       b.after.LastHash,
				"next_expiry":     b.after.NextExpiry,
				"version":         b.after.Version,
				"updated_at":      b.after.UpdatedAt,
			}))
		if err != nil {
			return err
		}
		changed = append(changed, b.after.touchedBy(b.entries, false)...)
		entries = append(entries, b.entries...)
	}
	tx, err := db.Handle(ctx)
	if err != nil {
		return err
	}
	for rows := range slices.Chunk(changed, rowsAtOnce) {
		err = tx.Clauses(clause.OnConflict{
			Columns:   []clause.Column{{Name: "organization_id"}, {Name: "authorization_id"}, {Name: "id"}},
			DoUpdates: clause.AssignmentColumns([]string{"units", "consumed_units", "released_units", "updated_at"}),
		}).Create(&rows).Error
		if err != nil {
			return refusalOf(err)
		}
	}
	for rows := range slices.Chunk(entries, rowsAtOnce) {
		if err := tx.Create(&rows).Error; err != nil {
			return err
		}
	}
	return nil
}

// remember writes what the operations came to, so that a repetition gets the same answer.
func (store) remember(ctx context.Context, ops []Operation, outcomes []Outcome, now time.Time) error {
	tx, err := db.Handle(ctx)
	if err != nil {
		return err
	}
	_, organization, err := db.Tenant(ctx)
	if err != nil {
		return err
	}
	rows := make([]doneOperation, len(ops))
	for i, op := range ops {
		stored, err := json.Marshal(memoryOf(op, outcomes[i]))
		if err != nil {
			return err
		}
		rows[i] = doneOperation{
			OrganizationID:  organization,
			ID:              op.ID,
			AuthorizationID: op.AuthorizationID,
			Kind:            op.Kind,
			Fingerprint:     op.fingerprint(),
			Outcome:         stored,
			CreatedAt:       now,
		}
	}
	return tx.Create(&rows).Error
}

func (store) forgetOperations(ctx context.Context, before time.Time) (int64, error) {
	tx, err := db.Handle(ctx)
	if err != nil {
		return 0, err
	}
	result := tx.Where("created_at < ?", before).Delete(&doneOperation{})
	return result.RowsAffected, result.Error
}

// dueHold names an authorization with a hold whose time is over.
type dueHold struct {
	OrganizationID  uuid.UUID
	AuthorizationID uuid.UUID
}

// due returns authorizations with expired holds of one organization or, with
// [uuid.Nil], of all, the longest overdue first.
// Index: unit_reservations_open_by_expiry.
func (store) due(ctx context.Context, only uuid.UUID, now time.Time, limit int) ([]dueHold, error) {
	tx, err := db.Handle(ctx)
	if err != nil {
		return nil, err
	}
	var due []dueHold
	err = tx.Raw(`
		SELECT organization_id, authorization_id
		FROM unit_reservations
		WHERE open AND expires_at IS NOT NULL AND expires_at <= @now AND (@only = @none OR organization_id = @only)
		GROUP BY organization_id, authorization_id
		ORDER BY min(expires_at)
		LIMIT @limit`, map[string]any{"now": now, "only": only, "none": uuid.Nil, "limit": limit}).Scan(&due).Error
	return due, err
}

// refusals say what a constraint means to a person when it fires all the same:
// the rules in decide come first, the database is the last wall.
var refusals = map[string]*fault.Error{
	"authorizations_units_within_total":       ErrInsufficientUnits,
	"authorizations_total_not_negative":       ErrTotalBelowBooked,
	"authorizations_used_not_negative":        ErrReservationClosed,
	"authorizations_scheduled_not_negative":   ErrReservationClosed,
	"unit_reservations_settled_within_units":  ErrReservationClosed,
	"unit_reservations_consumed_not_negative": ErrReservationClosed,
	"unit_reservations_released_not_negative": ErrReservationClosed,
	"unit_reservations_authorization":         ErrHasHistory,
	"unit_entries_authorization":              ErrHasHistory,
	"authorizations_dates_in_order":           fault.ErrInvalid,
	"authorizations_caps_not_negative":        fault.ErrInvalid,
	"authorizations_status_stored":            fault.ErrInvalid,
	"authorizations_patient":                  fault.ErrInvalid,
	"authorizations_insurance":                fault.ErrInvalid,
	"authorizations_service_code":             fault.ErrInvalid,
}

// refusalOf returns the refusal that a violated constraint means, wrapping err,
// or err itself.
func refusalOf(err error) error {
	if err == nil {
		return nil
	}
	if refusal, ok := refusals[db.ConstraintOf(err)]; ok {
		return refusal.Because(err)
	}
	return err
}

var errStale = errors.New("authorization: the row changed under a serializable transaction")

func errRowsChanged(n int64) error { return fmt.Errorf("%w: %d rows instead of 1", errStale, n) }
