package db_test

import (
	"database/sql"
	"testing"

	"github.com/stretchr/testify/require"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/db/dbtest"
	"omnirapeutic/platform/postgres"
)

func TestNewConnectionsUseAChangedPassword(t *testing.T) {
	t.Parallel()
	server := dbtest.Server(t, true)
	d := dbtest.Of(server).Open(t)
	superuser, err := sql.Open("pgx", dbtest.Superuser(t, server))
	require.NoError(t, err)
	defer superuser.Close()
	_, err = superuser.ExecContext(t.Context(), "ALTER ROLE "+postgres.AppRole+" PASSWORD 'of-a-test-after-the-change'")
	require.NoError(t, err)
	require.NoError(t, d.Ping(t.Context()), "open connections remain")
	d.Pool().Reset()
	require.Equal(t, "28P01", db.SQLState(d.Ping(t.Context())))
	d.SetPassword("of-a-test-after-the-change")
	require.NoError(t, d.Ping(t.Context()))
}
