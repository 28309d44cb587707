package db_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/db/dbtest"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

func TestOpen(t *testing.T) {
	t.Parallel()
	d := dbtest.Open(t)
	n, err := db.Serializable(t.Context(), d, "test", func(ctx context.Context) (int, error) {
		tx, err := db.Handle(ctx)
		if err != nil {
			return 0, err
		}
		var n int
		err = tx.Raw("SELECT 42").Scan(&n).Error
		return n, err
	})
	require.NoError(t, err)
	require.Equal(t, 42, n)
}
