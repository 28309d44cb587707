package db_test

import (
	"context"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/db/dbtest"
	"omnirapeutic/platform/db/wireproxy"
	"omnirapeutic/platform/identity"
)

// setting reads the value with which policies compare, through the driver and through
// gorm.
func setting(t *testing.T, ctx context.Context) string {
	t.Helper()
	var byDriver, byGorm string
	require.NoError(t,
		db.Read(ctx,
			db.Query{
				Statement: "SELECT current_setting('omni.organizations')",
				Row:       func(scan func(...any) error) error { return scan(&byDriver) },
			}))
	tx, err := db.Handle(ctx)
	require.NoError(t, err)
	require.NoError(t, tx.Raw("SELECT current_setting('omni.organizations')").Scan(&byGorm).Error)
	require.Equal(t, byDriver, byGorm)
	return byDriver
}

func TestTransactionOrganizations(t *testing.T) {
	t.Parallel()
	a, b := uuid.MustParse("00000000-0000-7000-8000-00000000000a"), uuid.MustParse("00000000-0000-7000-8000-00000000000b")
	of := func(t *testing.T, organization uuid.UUID) context.Context {
		t.Helper()
		return identity.With(t.Context(), identity.Caller{OrganizationID: organization})
	}
	// in runs a transaction and returns fn's result.
	in := func(ctx context.Context, d *db.DB, fn func(ctx context.Context) (string, error), options ...db.Option) (string, error) {
		return db.Serializable(ctx, d, "organizations", fn, options...)
	}
	just := func(t *testing.T) func(context.Context) (string, error) {
		return func(ctx context.Context) (string, error) { return setting(t, ctx), nil }
	}
	for name, c := range map[string]struct {
		ctx     func(t *testing.T) context.Context
		options []db.Option
		want    string
	}{
		"it is the caller's organization": {
			func(t *testing.T) context.Context { return of(t, a) }, nil,
			"{" + a.String() + "}",
		},
		"it is empty without a caller": {
			func(t *testing.T) context.Context { return t.Context() }, nil,
			"",
		},
		"it is empty for a caller without an organization": {
			func(t *testing.T) context.Context { return of(t, uuid.Nil) },
			nil, "",
		},
		"it is everything if requested": {func(t *testing.T) context.Context {
			return of(t, a)
		}, []db.Option{db.AllOrganizations()}, "*"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := dbtest.Open(t)
			for begin, run := range map[string]func(context.Context, *db.DB, string, func(context.Context) (string, error),
				...db.Option) (string, error){
				"serializable":   db.Serializable[string],
				"snapshot":       db.Snapshot[string],
				"read committed": db.ReadCommitted[string],
			} {
				got, err := run(c.ctx(t), d, "organizations", just(t), c.options...)
				require.NoError(t, err, begin)
				require.Equal(t, c.want, got, begin)
			}
		})
	}
	t.Run("it ends with its transaction", func(t *testing.T) {
		t.Parallel()
		d := dbtest.Open(t, dbtest.WithMaxConns(1))
		for _, ctx := range []context.Context{of(t, a), t.Context(), of(t, b), t.Context()} {
			got, err := in(ctx, d, just(t))
			require.NoError(t, err)
			caller, _ := identity.From(ctx)
			require.Equal(t, caller.OrganizationID != uuid.Nil, got != "", got)
		}
	})
	t.Run("it is empty without a caller, even if the session has a default", func(t *testing.T) {
		t.Parallel()
		got, err := in(t.Context(), dbtest.Open(t, dbtest.Through(dbtest.WithAllOrganizations)), just(t))
		require.NoError(t, err)
		require.Empty(t, got)
	})
	t.Run("it grows by admitted organizations", func(t *testing.T) {
		t.Parallel()
		d := dbtest.Open(t)
		got, err := in(t.Context(), d, func(ctx context.Context) (string, error) {
			require.NoError(t, db.Admit(ctx, b, a, b))
			first := setting(t, ctx)
			require.NoError(t, db.Admit(ctx, a))
			require.Equal(t, first, setting(t, ctx))
			return first, nil
		})
		require.NoError(t, err)
		require.Equal(t, "{"+a.String()+","+b.String()+"}", got)
		for name, each := range map[string]func(ctx context.Context) error{
			"a write": func(ctx context.Context) error {
				return db.Write(ctx, 1, "SELECT 1 WHERE current_setting('omni.organizations') <> ''")
			},
			"a pipeline": func(ctx context.Context) error {
				return db.Pipeline(ctx, func(ctx context.Context) error {
					return db.Write(ctx, 1, "SELECT 1 WHERE current_setting('omni.organizations') <> ''")
				})
			},
		} {
			_, err := in(t.Context(), d, func(ctx context.Context) (string, error) {
				require.NoError(t, db.Admit(ctx, a))
				return "", each(ctx)
			})
			require.NoError(t, err, "%s is sent first", name)
		}
	})
	t.Run("it remains that of the outermost work", func(t *testing.T) {
		t.Parallel()
		d := dbtest.Open(t)
		got, err := in(of(t, a), d, func(ctx context.Context) (string, error) {
			_, err := in(ctx, d, just(t), db.AllOrganizations())
			require.ErrorIs(t, err, db.ErrTenancy, "work on all organizations cannot join work on one")
			_, err = in(identity.With(ctx, identity.System(b)), d, func(ctx context.Context) (string, error) {
				_, _, err := db.Tenant(ctx)
				return "", err
			})
			require.ErrorIs(t, err, db.ErrTenancy, "nor can work on another organization")
			return in(ctx, d, just(t))
		})
		require.NoError(t, err)
		require.Equal(t, "{"+a.String()+"}", got)
		got, err = in(t.Context(), d, func(ctx context.Context) (string, error) {
			require.NoError(t, db.Admit(ctx, b))
			return in(identity.With(ctx, identity.System(b)), d, func(ctx context.Context) (string, error) {
				_, _, err := db.Tenant(ctx)
				return setting(t, ctx), err
			})
		}, db.AllOrganizations())
		require.NoError(t, err)
		require.Equal(t, "*", got)
	})
	t.Run("it needs a transaction", func(t *testing.T) {
		t.Parallel()
		require.ErrorIs(t, db.Admit(t.Context(), a), db.ErrNoTransaction)
	})
}

// TestOrganizationsTakeNoRoundTrip counts round trips to the server.
func TestOrganizationsTakeNoRoundTrip(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	proxy := wireproxy.Start(t, database.AppURL)
	d := database.Open(t, dbtest.Through(proxy.URL), dbtest.WithMaxConns(1))
	turns := func(ctx context.Context, admitted ...uuid.UUID) int {
		t.Helper()
		before := proxy.RoundTrips()
		_, err := db.Serializable(ctx, d, "organizations", func(ctx context.Context) (int, error) {
			if err := db.Admit(ctx, admitted...); err != nil {
				return 0, err
			}
			n := 0
			return n, db.Read(ctx, db.Query{
				Statement: "SELECT 1",
				Row:       func(scan func(...any) error) error { return scan(&n) },
			})
		}, db.Locking("write_lock"))
		require.NoError(t, err)
		return proxy.RoundTrips() - before
	}
	turns(t.Context(), uuid.New()) // prepares the statements
	require.Equal(t, 3, turns(t.Context()), "BEGIN with LOCK, SELECT, COMMIT")
	require.Equal(t, 3, turns(identity.With(t.Context(), identity.System(uuid.New()))), "the caller's is sent with BEGIN")
	require.Equal(t, 3, turns(t.Context(), uuid.New(), uuid.New()), "a batch's is sent with the first read")
}
