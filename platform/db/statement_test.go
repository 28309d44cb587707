package db_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/db/dbtest"
)

func TestStatementsRunInTheTransactionOfTheContext(t *testing.T) {
	t.Parallel()
	database := dbtest.Open(t)
	_, err := db.Serializable(t.Context(), database, "test", func(ctx context.Context) (struct{}, error) {
		salt := make([]byte, 16)
		rows, err := db.Exec(ctx, "INSERT INTO password_salts (email, salt) VALUES (?, ?), (?, ?)", "a", salt, "b", salt)
		require.NoError(t, err)
		require.EqualValues(t, 2, rows)
		emails, err := db.Select[string](ctx, "SELECT email FROM password_salts ORDER BY email DESC")
		require.NoError(t, err)
		require.Equal(t, []string{"b", "a"}, emails)
		count, err := db.SelectOne[int](ctx, "SELECT count(*) FROM password_salts")
		require.NoError(t, err)
		require.Equal(t, 2, count)
		_, err = db.SelectOne[string](ctx, "SELECT email FROM password_salts WHERE email = $1", "c")
		require.True(t, db.IsNotFound(err))
		return struct{}{}, nil
	})
	require.NoError(t, err)
	_, err = db.Select[string](t.Context(), "SELECT 1")
	require.ErrorIs(t, err, db.ErrNoTransaction)
}
