package authorization

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm/clause"

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

// done returns the row of an operation, nil where it has not been carried out.
// Index: the primary key.
func (store) done(ctx context.Context, id uuid.UUID) (*doneOperation, error) {
	tx, _, err := db.Tenant(ctx)
	if err != nil {
		return nil, err
	}
	var row doneOperation
	err = tx.Where("id = ?", id).Take(&row).Error
	if db.IsNotFound(err) {
		return nil, nil
	}
	return &row, err
}

// touchable returns the reservations that decide needs to see for the operation.
// Indexes: the primary key, unit_reservations_open_oldest_first.
func (store) touchable(ctx context.Context, a Authorization, op Operation, now time.Time) ([]Reservation, error) {
	tx, _, err := db.Tenant(ctx)
	if err != nil {
		return nil, err
	}
	tx = tx.Where("authorization_id = ?", a.ID)
	var rows, holds []Reservation
	settles := op.Kind == Release || op.Kind == Consume
	switch {
	case settles && op.ReservationID != nil:
		err = tx.Where("id = ?", *op.ReservationID).Find(&rows).Error
	case settles:
		// Every open one holds at least one unit, so as many rows as units are enough;
		// holds that have expired meanwhile come on top.
		err = tx.Where("open AND appointment_id IS NULL AND (expires_at IS NULL OR expires_at > ?)", now).
			Order("sequence").Limit(op.Units).Find(&rows).Error
	}
	if err != nil || !a.mayHaveExpired(now) {
		return rows, err
	}
	// A fresh handle: the conditions above stay with the one before.
	if tx, _, err = db.Tenant(ctx); err != nil {
		return nil, err
	}
	err = tx.Where("authorization_id = ? AND open AND expires_at IS NOT NULL", a.ID).Find(&holds).Error
	return oldestFirst(rows, holds), err
}

// oldestFirst merges the two, each reservation once.
func oldestFirst(a, b []Reservation) []Reservation {
	all := slices.Concat(a, b)
	slices.SortFunc(all, func(x, y Reservation) int { return int(x.Sequence - y.Sequence) })
	return slices.CompactFunc(all, func(x, y Reservation) bool { return x.ID == y.ID })
}

// post writes what was decided: counters, reservations, entries. The condition on
// the sequence number cannot fail under SERIALIZABLE; it is there for the day when
// somebody runs this on less.
func (store) post(ctx context.Context, before, after account, entries []Entry) error {
	tx, _, err := db.Tenant(ctx)
	if err != nil {
		return err
	}
	err = changedOne(tx.Model(&Authorization{}).
		Where("id = ? AND last_sequence = ?", after.ID, before.LastSequence).
		UpdateColumns(map[string]any{
			"total_units":     after.Total,
			"used_units":      after.Used,
			"scheduled_units": after.Scheduled,
			"last_sequence":   after.LastSequence,
			"last_hash":       after.LastHash,
			"next_expiry":     after.NextExpiry,
			"version":         after.Version,
			"updated_at":      after.UpdatedAt,
		}))
	if err != nil {
		return err
	}
	if tx, err = db.Handle(ctx); err != nil {
		return err
	}
	if changed := after.touchedBy(entries, false); len(changed) > 0 {
		err = tx.Clauses(clause.OnConflict{
			Columns:   []clause.Column{{Name: "organization_id"}, {Name: "authorization_id"}, {Name: "id"}},
			DoUpdates: clause.AssignmentColumns([]string{"units", "consumed_units", "released_units", "updated_at"}),
		}).Create(&changed).Error
		if err != nil {
			return refusalOf(err)
		}
	}
	return tx.Create(&entries).Error
}

// remember writes what the operation came to, so that a repetition gets the same answer.
func (store) remember(ctx context.Context, op Operation, outcome Outcome, now time.Time) error {
	tx, err := db.Handle(ctx)
	if err != nil {
		return err
	}
	_, organization, err := db.Tenant(ctx)
	if err != nil {
		return err
	}
	stored, err := json.Marshal(memoryOf(outcome))
	if err != nil {
		return err
	}
	return tx.Create(&doneOperation{
		OrganizationID:  organization,
		ID:              op.ID,
		AuthorizationID: op.AuthorizationID,
		Kind:            op.Kind,
		Fingerprint:     op.fingerprint(),
		Outcome:         stored,
		CreatedAt:       now,
	}).Error
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
