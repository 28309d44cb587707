package db_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/db/dbtest"
	"omnirapeutic/platform/postgres"
)

func TestCheckRole(t *testing.T) {
	t.Parallel()
	server := dbtest.Server(t, true)
	database := dbtest.Of(server)
	as := func(role, password string) string { return dbtest.As(t, server, role, password) }
	root := connect(t, dbtest.Superuser(t, server))
	root.run(t, "CREATE ROLE passing LOGIN BYPASSRLS PASSWORD 'x'")
	root.run(t, "CREATE ROLE able LOGIN NOINHERIT PASSWORD 'x' IN ROLE passing")
	root.run(t, "CREATE ROLE almost LOGIN NOINHERIT PASSWORD 'x' IN ROLE "+postgres.OwnerRole)

	check := func(t *testing.T, url string) error {
		t.Helper()
		return dbtest.Database{AppURL: url}.Open(t).CheckRole(t.Context())
	}
	require.NoError(t, check(t, database.AppURL), "the program's own")
	for name, c := range map[string]struct {
		url     string
		unbound bool
		why     string
	}{
		"a superuser":        {dbtest.Superuser(t, server), true, "it is a superuser"},
		"one with BYPASSRLS": {as("passing", "x"), true, "it has BYPASSRLS"},
		"who can become one": {as("able", "x"), false, "it is a member of passing, to which no policy applies"},
		"the owner": {database.OwnerURL, false, "it owns the tables, or is a member of their owner, and " +
			"could remove the policies"},
		"who can become one of them": {as("almost", "x"), false, "it owns the tables, or is a member of their owner, and " +
			"could remove the policies"},
	} {
		t.Run("it reports "+name, func(t *testing.T) {
			err := check(t, c.url)
			var found *db.RoleError
			require.ErrorAs(t, err, &found)
			require.Equal(t, c.unbound, found.Unbound)
			require.Equal(t, c.why, found.Why)
			require.Contains(t, err.Error(), "OMNI_DATABASE_URL", "what to do about it")
		})
	}
}
