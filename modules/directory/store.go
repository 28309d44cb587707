package directory

import (
	"context"
	"fmt"
	"strings"

	"github.com/google/uuid"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/reference"
)

// condition narrows a list: an SQL condition with one value.
type condition struct {
	sql   string
	value any
}

// equals matches records whose column has the value. The zero value matches every record.
func equals[V comparable](column string, value V) condition {
	var zero V
	if value == zero {
		return condition{}
	}
	return condition{column + " = ?", value}
}

// hasPrefix matches records whose column begins with the text, in upper or lower case. An empty text
// matches every record. It reads the organization's rows by their primary key: thousands, not
// millions.
func hasPrefix(column, text string) condition {
	if text == "" {
		return condition{}
	}
	literally := strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(text)
	return condition{"lower(" + column + ") LIKE lower(?)", literally + "%"}
}

// recordStore stores the records of one noun. Callers see those within their record scope.
type recordStore[T any] struct {
	owners db.Owners // the owners of its rows; the zero value: no rows for callers with a limited scope
}

// store stores everything else.
type store struct{}

func (recordStore[T]) insert(ctx context.Context, created *T) error {
	tx, err := db.Handle(ctx)
	if err != nil {
		return err
	}
	return constraintError(tx.Create(created).Error)
}

func (recordStore[T]) exists(ctx context.Context, id uuid.UUID) (bool, error) {
	tx, _, err := db.Tenant(ctx)
	if err != nil {
		return false, err
	}
	var found int64
	err = tx.Model(new(T)).Where("id = ?", id).Count(&found).Error
	return found == 1, err
}

// get returns a record within the caller's record scope.
func (r recordStore[T]) get(ctx context.Context, id uuid.UUID) (T, error) {
	tx, _, err := db.ScopedTenant(ctx, r.owners)
	if err != nil {
		var none T
		return none, err
	}
	return db.FindOne[T](ctx, tx.Where("id = ?", id))
}

// list returns a page of the records within the caller's record scope. Index: the primary key, or
// an index with the same prefix. Other sort orders read all of the organization's rows:
// thousands, not millions.
func (r recordStore[T]) list(ctx context.Context, p Page, where []condition) ([]T, error) {
	tx, _, err := db.ScopedTenant(ctx, r.owners)
	if err != nil {
		return nil, err
	}
	for _, c := range where {
		if c.sql != "" {
			tx = tx.Where(c.sql, c.value)
		}
	}
	return db.Find[T](ctx, p.Apply(tx))
}

// several returns the records of the ids within the caller's record scope. Index: the primary key.
func (r recordStore[T]) several(ctx context.Context, ids []uuid.UUID) ([]T, error) {
	tx, _, err := db.ScopedTenant(ctx, r.owners)
	if err != nil {
		return nil, err
	}
	return db.Find[T](ctx, db.WithIDs(tx, ids))
}

// texts returns the query of a text of each record: within the caller's record scope or, if all is true, of every
// record. Index: the primary key.
func (r recordStore[T]) texts(
	ctx context.Context, ids []uuid.UUID, text string, all bool, rows *[]reference.Row,
) (db.Query, error) {
	tx, _, err := db.Tenant(ctx)
	if err == nil && !all {
		tx, _, err = db.ScopedTenant(ctx, r.owners)
	}
	if err != nil {
		return db.Query{}, err
	}
	return db.FindInto(rows, db.WithIDs(tx.Model(new(T)).Select("id, "+text+" AS text"), ids)), nil
}

// update writes every changeable column.
func (recordStore[T]) update(ctx context.Context, changed *T, id uuid.UUID) error {
	tx, _, err := db.Tenant(ctx)
	if err != nil {
		return err
	}
	result := tx.Model(new(T)).Where("id = ?", id).
		Select("*").Omit("id", "organization_id", "created_at").UpdateColumns(changed)
	if result.Error != nil {
		return constraintError(result.Error)
	}
	if result.RowsAffected != 1 {
		return fmt.Errorf("directory: a change of one record touched %d rows", result.RowsAffected)
	}
	return nil
}

var constraintErrors = map[string]*fault.Error{
	"patients_medical_record_number_once": takenError(ErrMedicalRecordNumberTaken, "medicalRecordNumber"),
	"practitioners_npi_once":              takenError(ErrNPITaken, "npi"),
	"service_codes_code_once":             takenError(ErrServiceCodeTaken, "code"),
	"cancellation_reasons_code_once":      takenError(ErrCancellationReasonTaken, "code"),
	"diagnoses_code_once":                 takenError(ErrDiagnosisTaken, "code"),
	"rates_once":                          takenError(ErrRateTaken, "startsOn"),
}

func takenError(e *fault.Error, field string) *fault.Error {
	return e.With(Taken{field}, "%s", e.Title())
}

// constraintError converts the violation of a constraint to an error of this module.
func constraintError(err error) error {
	if refusal, ok := constraintErrors[db.ConstraintOf(err)]; ok {
		return refusal.Because(err)
	}
	return err
}
