package app_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"omnirapeutic/app"
	"omnirapeutic/config"
)

func TestMigrationsServeTheRoleThatTheDatabaseURLNames(t *testing.T) {
	t.Parallel()
	for url, role := range map[string]string{
		"postgres://clinic:secret@db.example/omni":          "clinic",
		"host=db.example user=practice password=s dbname=o": "practice",
	} {
		c := config.Config{}
		c.Database.URL = config.Secret(url)
		s, err := app.OpenStorage(t.Context(), c, nil)
		require.NoError(t, err)
		require.Equal(t, role, s.Migrator().AppRole)
		require.NoError(t, s.Close())
	}
}
