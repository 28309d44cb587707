package db

import (
	"database/sql/driver"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgtype"
)

// Array makes a slice one argument of a statement, a PostgreSQL array. With
// unnest, a statement on many rows has the same text for any number of them, and
// so is prepared once.
func Array[T any](values []T) driver.Valuer { return array{values} }

type array struct{ values any }

// Value returns the slice as it is: pgx knows how to write it.
func (a array) Value() (driver.Value, error) { return a.values, nil }

// UUIDs is [Array] for ids, which are sent as numbers and not as text.
func UUIDs(ids []uuid.UUID) driver.Valuer {
	values := make([]pgtype.UUID, len(ids))
	for i, id := range ids {
		values[i] = pgtype.UUID{Bytes: id, Valid: true}
	}
	return Array(values)
}

// NullableUUIDs is [UUIDs] for columns that may be NULL.
func NullableUUIDs(ids []*uuid.UUID) driver.Valuer {
	values := make([]pgtype.UUID, len(ids))
	for i, id := range ids {
		if id != nil {
			values[i] = pgtype.UUID{Bytes: *id, Valid: true}
		}
	}
	return Array(values)
}
