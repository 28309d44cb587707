package e2e

import (
	"net/http"
	"testing"

	"github.com/sirupsen/logrus"
	logtest "github.com/sirupsen/logrus/hooks/test"
	"github.com/stretchr/testify/require"

	"omnirapeutic/app"
	"omnirapeutic/config"
	"omnirapeutic/e2e/harness"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/db/dbtest"
)

// TestRoleThatBypassesRowSecurityIsReported starts the program as the owner of the tables, and as
// a superuser.
func TestRoleThatBypassesRowSecurityIsReported(t *testing.T) {
	t.Parallel()
	server := dbtest.Server(t, true)
	database := dbtest.Of(server)
	start := func(t *testing.T, url string) (*app.Program, *logtest.Hook) {
		t.Helper()
		settings, err := config.Load("", []string{
			"HOME=/nowhere", "OMNI_PROFILE=production", "OMNI_TOKEN_SECRET=3q2-7w8kD1cXb5Jm0aVfT9yRzLhQeNsU",
			"OMNI_DATABASE_URL=" + url, "OMNI_DB_PROFILE=" + string(dbtest.Profile()),
		})
		require.NoError(t, err)
		logger, log := logtest.NewNullLogger()
		p, err := app.Open(t.Context(), settings, logger)
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, p.Close()) })
		return p, log
	}
	warned := func(log *logtest.Hook) bool {
		for _, entry := range log.AllEntries() {
			if entry.Data["event"] == "role_passes_row_security" && entry.Level == logrus.WarnLevel {
				return true
			}
		}
		return false
	}
	t.Run("it does not warn about the program's role", func(t *testing.T) {
		p, log := start(t, database.AppURL)
		require.NoError(t, p.CheckServable(t.Context()))
		require.False(t, warned(log))
	})
	t.Run("it warns about the owner, to whom policies apply", func(t *testing.T) {
		p, log := start(t, database.OwnerURL)
		require.NoError(t, p.CheckServable(t.Context()))
		require.True(t, warned(log))
	})
	t.Run("production refuses to serve as a superuser", func(t *testing.T) {
		p, log := start(t, dbtest.Superuser(t, server))
		var refused *db.RoleError
		require.ErrorAs(t, p.CheckServable(t.Context()), &refused)
		require.Equal(t, "it is a superuser", refused.Why)
		require.True(t, warned(log))
	})
	t.Run("administrators see a warning", func(t *testing.T) {
		c := harness.Open(t)
		a := c.Admin().Get(t, "/admin/config")
		require.Equal(t, http.StatusOK, a.Status, "%s", a.Raw)
		require.Contains(t, a.Body, "rowSecurityGap")
		require.Nil(t, a.Body["rowSecurityGap"])
		owner := harness.SecondInstance(t, c, dbtest.Database{AppURL: c.Database.OwnerURL}.Open(t))
		require.Contains(t, owner.Admin().Get(t, "/admin/config").Text("rowSecurityGap"), "owns the tables")
	})
}
