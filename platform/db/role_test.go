package db_test

import (
	"encoding/json"
	"net/url"
	"os"
	"path/filepath"
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
	as := func(role, password string) string {
		u, err := url.Parse(database.AppURL)
		require.NoError(t, err)
		u.User = url.UserPassword(role, password)
		return u.String()
	}
	content, err := os.ReadFile(filepath.Join(server.Dir(), "passwords.json"))
	require.NoError(t, err)
	var passwords map[string]string
	require.NoError(t, json.Unmarshal(content, &passwords))
	const superuser = "omni_superuser"
	root := connect(t, as(superuser, passwords[superuser]))
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
		"a superuser":           {as(superuser, passwords[superuser]), true, "it is a superuser"},
		"one with BYPASSRLS":    {as("passing", "x"), true, "it has BYPASSRLS"},
		"who can become such":   {as("able", "x"), false, "it is a member of passing, which no policy binds"},
		"the owner":             {database.OwnerURL, false, "it owns the tables, or is a member of their owner, and could take the policies away"},
		"who can become theirs": {as("almost", "x"), false, "it owns the tables, or is a member of their owner, and could take the policies away"},
	} {
		t.Run("it tells of "+name, func(t *testing.T) {
			err := check(t, c.url)
			var found *db.RoleError
			require.ErrorAs(t, err, &found)
			require.Equal(t, c.unbound, found.Unbound)
			require.Equal(t, c.why, found.Why)
			require.Contains(t, err.Error(), "OMNI_DATABASE_URL", "what to do about it")
		})
	}
}
