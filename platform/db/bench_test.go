package db_test

import (
	"context"
	"database/sql"
	"testing"

	"github.com/jackc/pgx/v5/stdlib"
	"github.com/stretchr/testify/require"
	gormpostgres "gorm.io/driver/postgres"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"omnirapeutic/platform/db"
)

// The difference of the two is the cost of the runner without retries.
func BenchmarkTransaction(b *testing.B) {
	c := newCounters(b)

	b.Run("runner", func(b *testing.B) {
		for b.Loop() {
			_, err := db.Serializable(b.Context(), c.DB, "bench",
				func(ctx context.Context) (int64, error) { return add(ctx, 1) })
			require.NoError(b, err)
		}
	})

	b.Run("gorm", func(b *testing.B) {
		plain := stdlib.OpenDBFromPool(c.Pool())
		defer plain.Close()
		g, err := gorm.Open(gormpostgres.New(gormpostgres.Config{Conn: plain}), &gorm.Config{
			SkipDefaultTransaction: true, Logger: logger.Discard,
		})
		require.NoError(b, err)
		for b.Loop() {
			err := g.WithContext(b.Context()).Transaction(func(tx *gorm.DB) error {
				var n int64
				if err := tx.Raw("SELECT n FROM counters WHERE id = ?", 1).Row().Scan(&n); err != nil {
					return err
				}
				return tx.Exec("UPDATE counters SET n = ? WHERE id = ?", n+1, 1).Error
			}, &sql.TxOptions{Isolation: sql.LevelSerializable})
			require.NoError(b, err)
		}
	})
}
