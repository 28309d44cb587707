package db

import (
	"strings"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgtype"
	"gorm.io/gorm"
)

// UUIDs returns ids as a single array argument, which pgx sends in binary form. With
// unnest, a statement on many rows keeps the same text for any number of them, and is
// prepared only once. Use it in statements with numbered arguments ($1, $2, …), for
// which gorm passes slices through unchanged.
func UUIDs(ids []uuid.UUID) []pgtype.UUID {
	values := make([]pgtype.UUID, len(ids))
	for i, id := range ids {
		values[i] = pgtype.UUID{Bytes: id, Valid: true}
	}
	return values
}

// NullableUUIDs is like [UUIDs] for columns that may be NULL.
func NullableUUIDs(ids []*uuid.UUID) []pgtype.UUID {
	values := make([]pgtype.UUID, len(ids))
	for i, id := range ids {
		if id != nil {
			values[i] = pgtype.UUID{Bytes: *id, Valid: true}
		}
	}
	return values
}

// uuidText returns ids in PostgreSQL's array syntax, for statements with named
// arguments.
func uuidText(ids []uuid.UUID) string {
	texts := make([]string, len(ids))
	for i, id := range ids {
		texts[i] = id.String()
	}
	return "{" + strings.Join(texts, ",") + "}"
}

// WithIDs limits a query to the rows of the ids, as a single argument. The table has the primary key (organization_id,
// id).
func WithIDs(tx *gorm.DB, ids []uuid.UUID) *gorm.DB {
	return tx.Where("id = ANY (CAST(? AS uuid[]))", uuidText(ids))
}
