package db

import "context"

// Reading is a value that queries read. Callers send the queries of several readings in one round trip,
// with [ReadAll], and call Value afterwards.
type Reading[T any] struct {
	Queries []Query
	Value   func(ctx context.Context) (T, error)
}

// Read reads the value in one round trip.
func (r Reading[T]) Read(ctx context.Context) (T, error) {
	if err := ReadAll(ctx, r.Queries...); err != nil {
		var none T
		return none, err
	}
	return r.Value(ctx)
}

// Subquery selects one column of ids, with arguments from $1 on. One store passes it to another one, whose
// query looks up the ids in the same round trip, as with [Links].
type Subquery struct {
	Statement string
	Arguments []any
}
