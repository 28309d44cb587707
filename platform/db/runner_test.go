package db_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/db/dbtest"
	"omnirapeutic/platform/identity"
)

func TestSerializable(t *testing.T) {
	t.Parallel()

	t.Run("it retries one of two colliding increments", func(t *testing.T) {
		t.Parallel()
		c := newCounters(t, patient, dbtest.WithMaxConns(2))
		bothHaveRead := newBarrier(2)
		increment := func() error {
			_, err := db.Serializable(t.Context(), c.DB, "increment", func(ctx context.Context) (int64, error) {
				n, err := get(ctx, 1)
				if err != nil {
					return 0, err
				}
				if !db.Again(ctx) {
					bothHaveRead.pass()
				}
				return n + 1, set(ctx, 1, n+1)
			})
			return err
		}
		require.NoError(t, twice(increment, increment))
		require.Equal(t, int64(2), c.value(t, 1))
		o := c.operation(t, "increment")
		require.Equal(t, int64(2), o.Committed)
		require.Equal(t, int64(1), o.Retries)
		require.Equal(t, []db.RetriedAttempt{{SQLState: "40001", Phase: "body", Count: 1}}, o.RetriedAttempts)
	})

	t.Run("it retries an attempt that fails at COMMIT", func(t *testing.T) {
		t.Parallel()
		c := newCounters(t, patient, dbtest.WithMaxConns(2))
		bothHaveWritten := newBarrier(2)
		// Each may take one from its own counter only while the other counter is
		// positive.
		take := func(own, other int) func() error {
			return func() error {
				_, err := db.Serializable(t.Context(), c.DB, "take", func(ctx context.Context) (bool, error) {
					n, err := get(ctx, other)
					if err != nil || n == 0 {
						return false, err
					}
					err = set(ctx, own, 0)
					if !db.Again(ctx) {
						bothHaveWritten.pass()
					}
					return true, err
				})
				return err
			}
		}
		_, err := c.outside.Exec(t.Context(), "UPDATE counters SET n = 1 WHERE id IN (1, 2000)")
		require.NoError(t, err)
		require.NoError(t, twice(take(1, 2000), take(2000, 1)))
		require.Equal(t, int64(1), c.value(t, 1)+c.value(t, 2000), "one of them saw the other's change")
		require.Equal(t, []db.RetriedAttempt{{SQLState: "40001", Phase: "commit", Count: 1}},
			c.operation(t, "take").RetriedAttempts)
	})

	t.Run("it retries an attempt after a deadlock", func(t *testing.T) {
		t.Parallel()
		c := newCounters(t, patient, dbtest.WithMaxConns(2))
		bothHaveOne := newBarrier(2)
		inOrder := func(first, second int) func() error {
			return func() error {
				_, err := db.Serializable(t.Context(), c.DB, "deadlock", func(ctx context.Context) (struct{}, error) {
					if err := set(ctx, first, 1); err != nil {
						return struct{}{}, err
					}
					if !db.Again(ctx) {
						bothHaveOne.pass()
					}
					return struct{}{}, set(ctx, second, 1)
				})
				return err
			}
		}
		require.NoError(t, twice(inOrder(1, 2000), inOrder(2000, 1)))
		causes := c.operation(t, "deadlock").RetriedAttempts
		require.True(t, slices.ContainsFunc(causes, func(r db.RetriedAttempt) bool { return r.SQLState == "40P01" && r.Phase == "body" }),
			"counted apart from 40001: %v", causes)
	})

	t.Run("it retries an attempt whose 40001 the body swallowed", func(t *testing.T) {
		t.Parallel()
		c := newCounters(t, patient)
		_, err := db.Serializable(t.Context(), c.DB, "swallow", func(ctx context.Context) (int64, error) {
			if db.Again(ctx) {
				return add(ctx, 1)
			}
			_ = c.overtaken(ctx, 1)
			return -1, nil
		})
		require.NoError(t, err)
		require.Equal(t, int64(101), c.value(t, 1))
		require.Equal(t, int64(1), c.operation(t, "swallow").Retries)
	})

	t.Run("it fails at once with any other error that the body swallowed", func(t *testing.T) {
		t.Parallel()
		c := newCounters(t, patient)
		calls := 0
		_, err := db.Serializable(t.Context(), c.DB, "swallow", func(ctx context.Context) (int64, error) {
			calls++
			_ = set(ctx, 1, -1)
			return 1, nil
		})
		require.Equal(t, "23514", db.SQLState(err))
		require.Equal(t, "counters_not_negative", db.ConstraintOf(err))
		require.Equal(t, 1, calls)
		require.Zero(t, c.value(t, 1))
	})

	disguises := map[string]func(error) error{
		"wrapped five deep": func(err error) error {
			for range 5 {
				err = fmt.Errorf("store: %w", err)
			}
			return err
		},
		"joined":              func(err error) error { return errors.Join(errors.New("other"), err) },
		"flattened to a text": func(err error) error { return fmt.Errorf("store: %v", err) }, //nolint:errorlint // that is the point
		"replaced":            func(error) error { return gorm.ErrInvalidData },
	}
	for name, disguise := range disguises {
		t.Run("it recognizes a 40001 that is "+name, func(t *testing.T) {
			t.Parallel()
			c := newCounters(t, patient)
			_, err := db.Serializable(t.Context(), c.DB, "disguise", func(ctx context.Context) (int64, error) {
				if db.Again(ctx) {
					return add(ctx, 1)
				}
				return 0, disguise(c.overtaken(ctx, 1))
			})
			require.NoError(t, err)
			require.Equal(t, []db.RetriedAttempt{{SQLState: "40001", Phase: "body", Count: 1}},
				c.operation(t, "disguise").RetriedAttempts)
		})
	}

	t.Run("it keeps the database's first error when all attempts are used up", func(t *testing.T) {
		t.Parallel()
		c := newCounters(t, patient)
		_, err := db.Serializable(t.Context(), c.DB, "hopeless", func(ctx context.Context) (int64, error) {
			_ = c.overtaken(ctx, 1)
			return add(ctx, 1) // fails with 25P02, because the transaction is doomed
		})
		contention, ok := errors.AsType[*db.ContentionError](err)
		require.True(t, ok, "%v", err)
		require.Equal(t, "hopeless", contention.Operation)
		require.Equal(t, 5, contention.Attempts)
		require.Equal(t, "40001", contention.SQLState)
		require.Positive(t, contention.Elapsed)
		require.Equal(t, "40001", db.SQLState(err))
		require.Equal(t, int64(500), c.value(t, 1), "only the others' changes are there")
	})

	t.Run("it does not repeat a refusal of the body", func(t *testing.T) {
		t.Parallel()
		c := newCounters(t, patient)
		refusal, calls := errors.New("refused"), 0
		value, err := db.Serializable(t.Context(), c.DB, "refuse", func(ctx context.Context) (int64, error) {
			calls++
			_, err := add(ctx, 1)
			return 7, errors.Join(err, refusal)
		})
		require.ErrorIs(t, err, refusal)
		require.Zero(t, value, "a value that was rolled back is not returned")
		require.Equal(t, 1, calls)
		require.Zero(t, c.value(t, 1))
		c.idle(t)
	})

	t.Run("it retries violations of the given constraint only", func(t *testing.T) {
		t.Parallel()
		c := newCounters(t, patient)
		calls := 0
		twin := func(constraint string) error {
			taken := uuid.New()
			_, err := c.outside.Exec(t.Context(), "INSERT INTO operations VALUES ($1)", taken)
			require.NoError(t, err)
			calls = 0
			_, err = db.Serializable(t.Context(), c.DB, "twin", func(ctx context.Context) (struct{}, error) {
				calls++
				if db.InDoubt(ctx) {
					return struct{}{}, nil
				}
				// Joined work sets its own retried constraints.
				return db.Serializable(ctx, c.DB, "inner", func(ctx context.Context) (struct{}, error) {
					return struct{}{}, note(ctx, taken)
				}, db.RetryConstraint(constraint))
			})
			return err
		}
		require.NoError(t, twin("operations_pkey"))
		require.Equal(t, 2, calls)
		require.Equal(t, "23505", db.SQLState(twin("another")))
		require.Equal(t, 1, calls)
	})

	t.Run("it returns nothing of a failed attempt", func(t *testing.T) {
		t.Parallel()
		c := newCounters(t, patient)
		value, err := db.Serializable(t.Context(), c.DB, "leak", func(ctx context.Context) (v struct{ First, Second bool }, _ error) {
			if db.Again(ctx) {
				v.Second = true
				return v, nil
			}
			v.First = true
			return v, c.overtaken(ctx, 1)
		})
		require.NoError(t, err)
		require.True(t, value.Second)
		require.False(t, value.First)
	})
}

func twice(one, other func() error) error {
	done := make(chan error)
	go func() { done <- one() }()
	err := other()
	return errors.Join(err, <-done)
}

func TestHandle(t *testing.T) {
	t.Parallel()

	t.Run("it fails outside of a transaction", func(t *testing.T) {
		t.Parallel()
		_, err := db.Handle(t.Context())
		require.ErrorIs(t, err, db.ErrNoTransaction)
		_, _, err = db.Tenant(t.Context())
		require.ErrorIs(t, err, db.ErrNoTransaction)
		require.ErrorIs(t, db.AfterCommit(t.Context(), func(context.Context) {}), db.ErrNoTransaction)
		require.False(t, db.InDoubt(t.Context()))
	})

	t.Run("its handle fails after the end of the attempt", func(t *testing.T) {
		t.Parallel()
		c := newCounters(t, patient)
		type kept struct {
			ctx context.Context
			tx  *gorm.DB
		}
		k, err := db.Serializable(t.Context(), c.DB, "keep", func(ctx context.Context) (kept, error) {
			tx, err := db.Handle(ctx)
			return kept{ctx, tx}, err
		})
		require.NoError(t, err)
		require.Error(t, k.tx.Exec("UPDATE counters SET n = 9 WHERE id = 1").Error)
		_, err = db.Handle(k.ctx)
		require.ErrorIs(t, err, db.ErrTransactionOver)
		require.ErrorIs(t, db.AfterCommit(k.ctx, func(context.Context) {}), db.ErrTransactionOver)
		_, err = db.Serializable(k.ctx, c.DB, "late", func(context.Context) (int, error) { return 0, nil })
		require.ErrorIs(t, err, db.ErrTransactionOver)
		require.Zero(t, c.value(t, 1))
	})

	t.Run("it is limited to the caller's organization, for every query", func(t *testing.T) {
		t.Parallel()
		d := dbtest.Open(t)
		_, err := db.Snapshot(t.Context(), d, "nobody", func(ctx context.Context) (int, error) {
			_, _, err := db.Tenant(ctx)
			return 0, err
		})
		require.ErrorIs(t, err, identity.ErrUnauthenticated)

		caller := identity.Caller{UserID: uuid.New(), OrganizationID: uuid.New()}
		statements, err := db.Snapshot(identity.With(t.Context(), caller), d, "tenant", func(ctx context.Context) ([]string, error) {
			tx, organization, err := db.Tenant(ctx)
			require.Equal(t, caller.OrganizationID, organization)
			tx.DryRun = true // keeps the SQL readable
			var rows []map[string]any
			first := tx.Table("patients").Where("id = ?", uuid.New()).Find(&rows)
			second := tx.Table("payers").Find(&rows)
			return []string{first.Statement.SQL.String(), second.Statement.SQL.String()},
				errors.Join(err, first.Error, second.Error)
		})
		require.NoError(t, err)
		require.Equal(t, []string{
			`SELECT * FROM "patients" WHERE organization_id = $1 AND id = $2`,
			`SELECT * FROM "payers" WHERE organization_id = $1`,
		}, statements)
	})
}

func TestJoinedWork(t *testing.T) {
	t.Parallel()

	t.Run("it runs in the transaction of its caller", func(t *testing.T) {
		t.Parallel()
		c := newCounters(t, patient)
		pids, err := db.Serializable(t.Context(), c.DB, "outer", func(ctx context.Context) (pids [3]int, err error) {
			if pids[0], err = backend(ctx); err != nil {
				return pids, err
			}
			pids[1], err = db.Serializable(ctx, c.DB, "inner", func(ctx context.Context) (int, error) {
				if _, err := add(ctx, 1); err != nil {
					return 0, err
				}
				return backend(ctx)
			})
			if err != nil {
				return pids, err
			}
			pids[2], err = db.Snapshot(ctx, c.DB, "innermost", func(ctx context.Context) (int, error) {
				if n, err := get(ctx, 1); err != nil || n != 1 {
					return 0, fmt.Errorf("it must see the transaction's own writes, not %d: %w", n, err)
				}
				return backend(ctx)
			})
			return pids, err
		})
		require.NoError(t, err)
		require.Equal(t, [3]int{pids[0], pids[0], pids[0]}, pids)
		require.Len(t, c.Metrics().Snapshot().Operations, 1, "one transaction is counted once")
	})

	t.Run("it is refused if it needs a stronger isolation", func(t *testing.T) {
		t.Parallel()
		c := newCounters(t, patient)
		_, err := db.Snapshot(t.Context(), c.DB, "weak", func(ctx context.Context) (int64, error) {
			return db.Serializable(ctx, c.DB, "strong", func(ctx context.Context) (int64, error) { return add(ctx, 1) })
		})
		require.ErrorIs(t, err, db.ErrIsolation)
		require.Zero(t, c.value(t, 1))
	})

	t.Run("its failure dooms the outer transaction", func(t *testing.T) {
		t.Parallel()
		c := newCounters(t, patient)
		attempts := 0
		_, err := db.Serializable(t.Context(), c.DB, "outer", func(ctx context.Context) (int64, error) {
			attempts++
			if err := set(ctx, 2000, 7); err != nil {
				return 0, err
			}
			_, _ = db.Serializable(ctx, c.DB, "inner", func(ctx context.Context) (int, error) {
				return 0, c.overtaken(ctx, 1)
			})
			return 1, nil
		})
		_, ok := errors.AsType[*db.ContentionError](err)
		require.True(t, ok, "%v", err)
		require.Equal(t, 5, attempts)
		require.Zero(t, c.value(t, 2000))
	})

	t.Run("it cannot write in a snapshot", func(t *testing.T) {
		t.Parallel()
		c := newCounters(t, patient)
		_, err := db.Snapshot(t.Context(), c.DB, "write", func(ctx context.Context) (int64, error) { return add(ctx, 1) })
		require.Equal(t, "25006", db.SQLState(err))
	})
}

func TestSnapshot(t *testing.T) {
	t.Parallel()
	t.Run("all reads see the same state", func(t *testing.T) {
		t.Parallel()
		c := newCounters(t, patient)
		same, err := db.Snapshot(t.Context(), c.DB, "read", func(ctx context.Context) (bool, error) {
			before, err := get(ctx, 1)
			if err != nil {
				return false, err
			}
			if err := c.overtake(ctx, 1); err != nil {
				return false, err
			}
			after, err := get(ctx, 1)
			return before == after, err
		})
		require.NoError(t, err)
		require.True(t, same)
	})
}

func TestAfterCommit(t *testing.T) {
	t.Parallel()

	t.Run("it runs once after three attempts, with joined work's effects", func(t *testing.T) {
		t.Parallel()
		c := newCounters(t, patient)
		var effects []string
		attempts := 0
		ctx, cancel := context.WithCancel(t.Context())
		_, err := db.Serializable(ctx, c.DB, "effects", func(ctx context.Context) (struct{}, error) {
			attempts++
			err := db.AfterCommit(ctx, func(ctx context.Context) {
				_, err := db.Handle(ctx)
				require.ErrorIs(t, err, db.ErrNoTransaction)
				cancel()
				effects = append(effects, fmt.Sprintf("outer of attempt %d", attempts))
			})
			if err != nil {
				return struct{}{}, err
			}
			_, err = db.Serializable(ctx, c.DB, "inner", func(ctx context.Context) (struct{}, error) {
				return struct{}{}, db.AfterCommit(ctx, func(ctx context.Context) {
					require.NoError(t, ctx.Err(), "it does not end with the caller")
					effects = append(effects, "inner")
				})
			})
			require.Empty(t, effects, "it is not committed yet")
			if err != nil || attempts == 3 {
				return struct{}{}, err
			}
			return struct{}{}, c.overtaken(ctx, 1)
		})
		require.NoError(t, err)
		require.Equal(t, []string{"outer of attempt 3", "inner"}, effects)
	})

	t.Run("it never runs after a failure", func(t *testing.T) {
		t.Parallel()
		c := newCounters(t, patient)
		for _, fail := range []func(context.Context) error{
			func(context.Context) error { return errors.New("refused") },
			func(ctx context.Context) error { return set(ctx, 1, -1) },
			func(ctx context.Context) error { return c.overtaken(ctx, 1) },
		} {
			_, err := db.Serializable(t.Context(), c.DB, "fail", func(ctx context.Context) (struct{}, error) {
				require.NoError(t, db.AfterCommit(ctx, func(context.Context) { t.Error("an effect of an aborted transaction") }))
				return struct{}{}, fail(ctx)
			})
			require.Error(t, err)
		}
	})
}
