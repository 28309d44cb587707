package main

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/require"

	"omnirapeutic/app"
	"omnirapeutic/config"
	"omnirapeutic/modules/verification"
	"omnirapeutic/platform/db/dbtest"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

// TestFill lets the program verify copied rows: the hash chain is implemented twice,
// and both implementations must agree.
func TestFill(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	owner := func(ctx context.Context) (*pgx.Conn, error) { return pgx.Connect(ctx, database.OwnerURL) }
	c, err := owner(t.Context())
	require.NoError(t, err)
	defer c.Close(context.WithoutCancel(t.Context()))
	foreignKeys := func() (n int) {
		require.NoError(t,
			c.QueryRow(t.Context(), "SELECT count(*) FROM pg_constraint WHERE contype = 'f' AND convalidated").Scan(&n))
		return n
	}
	before := foreignKeys()

	const authorizations = 450 // three snapshots of verify, and more than one buffer
	require.NoError(t, fill(t.Context(), owner, size{authorizations: authorizations, patients: 100, appointments: 300}))
	require.Equal(t, before, foreignKeys(), "all walls are restored and checked")

	settings, err := config.Load("",
		[]string{
			"OMNI_DATABASE_URL=" + database.AppURL, "OMNI_MIGRATE_URL=" + database.OwnerURL,
			"OMNI_DATA_DIR=" + t.TempDir(),
		})
	require.NoError(t, err)
	quiet := logrus.New()
	quiet.SetLevel(logrus.ErrorLevel)
	program, err := app.Open(t.Context(), settings, quiet)
	require.NoError(t, err)
	defer func() { require.NoError(t, program.Close()) }()
	verify := func() (entries, problems int) {
		report, err := program.VerifyAll(t.Context(), verification.Full)
		require.NoError(t, err)
		require.Equal(t, authorizations, report.Authorizations)
		require.Equal(t, authorizations*reservationsEach, report.Reservations)
		return report.Entries, report.ProblemCount
	}
	entries, problems := verify()
	require.Equal(t, authorizations*entriesEach, entries)
	require.Zero(t, problems)

	_, err = c.Exec(t.Context(),
		"UPDATE authorizations SET initial_units = initial_units + 1 WHERE auth_number = 'L-0000044'")
	require.NoError(t, err)
	_, problems = verify()
	require.Positive(t, problems, "the hashes are checked")
}
