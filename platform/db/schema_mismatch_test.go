package db_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/db/dbtest"
)

func TestAnUnknownTableColumnOrFunctionIsASchemaMismatch(t *testing.T) {
	t.Parallel()
	d := dbtest.Open(t)
	for name, statement := range map[string]string{
		"an unknown table":    "SELECT FROM missing_table",
		"an unknown column":   "SELECT missing_column FROM outbox",
		"an unknown function": "SELECT missing_function(1)",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			attempts := 0
			_, err := db.Serializable(t.Context(), d, "test", func(ctx context.Context) (struct{}, error) {
				attempts++
				return struct{}{}, db.Write(ctx, 0, statement)
			})
			unavailable, ok := errors.AsType[*db.UnavailableError](err)
			require.True(t, ok, "%v", err)
			require.Equal(t, db.SchemaMismatch, unavailable.State)
			require.Equal(t, 1, attempts)
		})
	}
}
