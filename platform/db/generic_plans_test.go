package db_test

import (
	"context"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/db/dbtest"
)

func TestGenericPlans(t *testing.T) {
	t.Parallel()
	const query = "SELECT c.n FROM unnest($1::uuid[]) AS k (id) JOIN operations o ON o.id = k.id, counters c"
	// plansOf runs the query six times in a unit of work with the options. It returns how often
	// PostgreSQL has used a plan for any arguments, and one for these arguments.
	plansOf := func(c *counters, options ...db.Option) (generic, custom int) {
		t.Helper()
		_, err := db.Serializable(t.Context(), c.DB, "plans", func(ctx context.Context) (none struct{}, err error) {
			ids := db.UUIDs([]uuid.UUID{uuid.New()})
			for range 6 {
				err := db.Read(ctx, db.Query{Statement: query, Arguments: []any{ids}})
				if err != nil {
					return none, err
				}
			}
			tx, err := db.Handle(ctx)
			if err != nil {
				return none, err
			}
			return none, tx.Raw("SELECT generic_plans, custom_plans FROM pg_prepared_statements WHERE statement = ?", query).
				Row().Scan(&generic, &custom)
		}, options...)
		require.NoError(t, err)
		return generic, custom
	}

	t.Run("a statement is planned once", func(t *testing.T) {
		t.Parallel()
		generic, custom := plansOf(newCounters(t, dbtest.WithMaxConns(1)), db.GenericPlans())
		require.Equal(t, []int{6, 0}, []int{generic, custom})
	})

	t.Run("other transactions of the connection keep PostgreSQL's choice", func(t *testing.T) {
		t.Parallel()
		c := newCounters(t, dbtest.WithMaxConns(1))
		plansOf(c, db.GenericPlans())
		_, before := plansOf(c)
		require.Positive(t, before, "PostgreSQL begins with five plans for the arguments")
	})
}
