package db

import (
	"reflect"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgtype"

	"omnirapeutic/platform/calendar"
	"omnirapeutic/platform/record"
)

// Columns returns rows as one array per column, as arguments of a statement on many rows. With
// unnest, such a statement keeps the same text for any number of rows, and is prepared only once.
// add adds the values of one row, in the order of the statement's arguments. If there are no rows,
// Columns calls it with the zero value to learn the types. Use Columns in statements with numbered
// arguments ($1, $2, …), for which gorm passes arrays through unchanged.
func Columns[Row any](rows []Row, add func(v *Values, row Row)) []any {
	v := &Values{rows: len(rows)}
	for _, row := range rows {
		v.column = 0
		add(v, row)
	}
	if len(rows) == 0 {
		var none Row
		add(v, none)
	}
	arrays := make([]any, len(v.arrays))
	for i, array := range v.arrays {
		arrays[i] = reflect.ValueOf(array).Elem().Slice(0, len(rows)).Interface()
	}
	return arrays
}

// KeyColumns returns the organizations and the ids of keys, like [Columns].
func KeyColumns(keys []record.Key) []any {
	organizations, ids := make([]pgtype.UUID, len(keys)), make([]pgtype.UUID, len(keys))
	for i, key := range keys {
		organizations[i], ids[i] = uuidOf(key.OrganizationID), uuidOf(key.ID)
	}
	return []any{organizations, ids}
}

// Values collects the values of rows by column. Its methods add a value to the next column of the
// row, whose type must be the same in all rows. A nil pointer is NULL.
type Values struct {
	arrays []any // pointers to slices
	column int   // of the next value
	rows   int
}

// UUID adds ids.
func (v *Values) UUID(ids ...uuid.UUID) *Values {
	for _, id := range ids {
		put(v, uuidOf(id))
	}
	return v
}

// OptionalUUID adds an id that may be NULL.
func (v *Values) OptionalUUID(id *uuid.UUID) *Values {
	if id == nil {
		return put(v, pgtype.UUID{})
	}
	return put(v, uuidOf(*id))
}

// Key adds the organization and the id of a key.
func (v *Values) Key(key record.Key) *Values { return v.UUID(key.OrganizationID, key.ID) }

// Text adds a text.
func (v *Values) Text(text string) *Values { return put(v, text) }

// OptionalBigint adds a number that may be NULL.
func (v *Values) OptionalBigint(n *int64) *Values { return put(v, n) }

// OptionalFloat adds numbers; nil is NULL.
func (v *Values) OptionalFloat(numbers ...*float64) *Values {
	for _, n := range numbers {
		put(v, n)
	}
	return v
}

// OptionalText adds a text that may be NULL.
func (v *Values) OptionalText(text *string) *Values { return put(v, text) }

// Int adds numbers.
func (v *Values) Int(numbers ...int) *Values {
	for _, n := range numbers {
		put(v, n)
	}
	return v
}

// Bigint adds numbers.
func (v *Values) Bigint(numbers ...int64) *Values {
	for _, n := range numbers {
		put(v, n)
	}
	return v
}

// Bool adds a boolean.
func (v *Values) Bool(is bool) *Values { return put(v, is) }

// Bytes adds binary data.
func (v *Values) Bytes(data []byte) *Values { return put(v, data) }

// Hash adds hashes.
func (v *Values) Hash(hashes ...Hash) *Values {
	for _, h := range hashes {
		put(v, h[:])
	}
	return v
}

// Time adds instants.
func (v *Values) Time(instants ...time.Time) *Values {
	for _, at := range instants {
		put(v, at)
	}
	return v
}

// OptionalTime adds an instant that may be NULL.
func (v *Values) OptionalTime(at *time.Time) *Values { return put(v, at) }

// Date adds a date as text, which the statement casts with text[]::date[]. The zero date is NULL.
func (v *Values) Date(d calendar.Date) *Values {
	if d.IsZero() {
		return put[*string](v, nil)
	}
	return put(v, new(d.String()))
}

func uuidOf(id uuid.UUID) pgtype.UUID { return pgtype.UUID{Bytes: id, Valid: true} }

// put adds a value to the next column. It panics if the column has another type.
func put[T any](v *Values, value T) *Values {
	if v.column == len(v.arrays) {
		v.arrays = append(v.arrays, new(make([]T, 0, max(v.rows, 1))))
	}
	array := v.arrays[v.column].(*[]T)
	*array = append(*array, value)
	v.column++
	return v
}
