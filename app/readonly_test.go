package app_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestDatabaseIsReadOnlyForAWhile has a database take no writes while clients book,
// as one does that its operator, or a switch to another server, has set so. Nobody
// ends the sessions when it takes them again.
func TestDatabaseIsReadOnlyForAWhile(t *testing.T) {
	t.Parallel()
	for name, mode := range map[string]string{"combined": combining, "each by itself": byThemselves} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			database := twoPractices.New(t)
			c := serve(t, database, database.Open(t))
			paths, totals := c.contested(t)
			serving := c.launch(t, database.AppURL, mode)
			h := &history{}
			stop := h.clients(t, 12, paths, func(int, int) caller { return serving.clinic.admin() })
			h.progress(t, 20)

			c.setReadOnly(t, true)
			client := serving.clinic.admin()
			h.turnedAway(t, 50)
			began := time.Now() // sessions that are older cannot write
			h.turnedAway(t, 50)
			refused := client.post(t, paths[0]+"/reserve", body{"units": 1})
			refused.refused(t, http.StatusServiceUnavailable, "database-read-only")
			require.NotEmpty(t, refused.header.Get("Retry-After"))
			require.Equal(t, http.StatusOK, client.get(t, "/service-codes").status, "what is not a patient's can be read all the same")
			client.get(t, paths[0]).refused(t, http.StatusServiceUnavailable, "not-recorded") // who reads a patient's data is put on record

			c.setReadOnly(t, false)
			h.progress(t, 50, "it goes on")
			require.Eventually(t, func() bool { return c.sessionsBefore(t, began) == 0 }, soon, time.Millisecond, "none is kept that cannot write")
			turned := h.turned.Load() - h.contended.Load()
			h.progress(t, 50)
			require.Equal(t, turned, h.turned.Load()-h.contended.Load(), "nobody is turned away any more")
			stop()
			h.requireTrue(t, c, totals)
		})
	}
}

// setReadOnly says whether sessions of the database may write by default. Those
// that are open when it is forbidden are ended, as they would not be told.
func (c *clinic) setReadOnly(t *testing.T, forbidden bool) {
	t.Helper()
	owner, err := url.Parse(c.database.OwnerURL)
	require.NoError(t, err)
	name := strings.TrimPrefix(owner.Path, "/")
	query := owner.Query()
	query.Set("options", "-c default_transaction_read_only=off") // this session may write in any case
	owner.RawQuery = strings.ReplaceAll(query.Encode(), "+", "%20")
	able := *c
	able.database.OwnerURL = owner.String()
	if !forbidden {
		able.asOwner(t, "ALTER DATABASE "+name+" RESET default_transaction_read_only")
		return
	}
	able.asOwner(t, "ALTER DATABASE "+name+" SET default_transaction_read_only = on")
	c.run(t, `SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
		WHERE datname = current_database() AND application_name LIKE 'omnirapeutic%'`)
}

// sessionsBefore counts the program's sessions that are older, but for those that
// only listen.
func (c *clinic) sessionsBefore(t testing.TB, when time.Time) int {
	t.Helper()
	role := *c
	role.database.OwnerURL = c.database.AppURL // nobody else sees when they began
	return role.count(t, `SELECT count(*) FROM pg_stat_activity
		WHERE datname = current_database() AND application_name LIKE 'omnirapeutic%' AND backend_start < $1 AND query NOT LIKE 'LISTEN %'`, when)
}

// turnedAway waits until clients were told more often to ask again.
func (h *history) turnedAway(t testing.TB, more int64) {
	t.Helper()
	before := h.turned.Load()
	require.Eventually(t, func() bool { return h.turned.Load() >= before+more }, time.Minute, time.Millisecond)
}
