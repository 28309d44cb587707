package db

import (
	"strings"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgtype"
)

// UUIDs makes ids one argument of a statement, an array that pgx sends as numbers
// and not as text. With unnest, a statement on many rows has the same text for any
// number of them, and so is prepared once. It is meant for statements that number
// their arguments, $1, $2, …: to those, gorm hands slices on as they are.
func UUIDs(ids []uuid.UUID) []pgtype.UUID {
	values := make([]pgtype.UUID, len(ids))
	for i, id := range ids {
		values[i] = pgtype.UUID{Bytes: id, Valid: true}
	}
	return values
}

// NullableUUIDs is [UUIDs] for columns that may be NULL.
func NullableUUIDs(ids []*uuid.UUID) []pgtype.UUID {
	values := make([]pgtype.UUID, len(ids))
	for i, id := range ids {
		if id != nil {
			values[i] = pgtype.UUID{Bytes: *id, Valid: true}
		}
	}
	return values
}

// uuidText writes ids as PostgreSQL reads an array: one argument of a statement that
// names its arguments.
func uuidText(ids []uuid.UUID) string {
	texts := make([]string, len(ids))
	for i, id := range ids {
		texts[i] = id.String()
	}
	return "{" + strings.Join(texts, ",") + "}"
}
