package e2e

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestDatabaseIsReadOnlyForAWhile makes a database read-only while clients book, like
// an operator or a failover does. Sessions are not ended when it accepts writes again.
func TestDatabaseIsReadOnlyForAWhile(t *testing.T) {
	t.Parallel()
	database := twoPractices.New(t)
	c := serve(t, database, database.Open(t))
	paths, totals := c.contested(t)
	serving := c.launch(t, database.AppURL, transactions()...)
	h := &history{}
	stop := h.clients(t, 12, paths, func(int, int) caller { return serving.clinic.admin() })
	h.progress(t, 20)

	c.setReadOnly(t, true)
	client := serving.clinic.admin()
	h.turnedAway(t, 50)
	began := time.Now() // older sessions cannot write
	h.turnedAway(t, 50)
	refused := client.post(t, paths[0]+"/reserve", body{"units": 1})
	refused.refused(t, http.StatusServiceUnavailable, "database-read-only")
	require.NotEmpty(t, refused.header.Get("Retry-After"))
	require.Equal(t, http.StatusOK, client.get(t, "/service-codes").status, "records of no patient can still be read")
	// Reads of a patient's data are recorded.
	client.get(t, paths[0]).refused(t, http.StatusServiceUnavailable, "not-recorded")

	c.setReadOnly(t, false)
	h.progress(t, 50, "it goes on")
	require.Eventually(t, func() bool { return c.sessionsBefore(t, began) == 0 }, soon, time.Millisecond,
		"no read-only session is kept")
	turned := h.turned.Load() - h.contended.Load()
	h.progress(t, 50)
	require.Equal(t, turned, h.turned.Load()-h.contended.Load(), "no request is refused any longer")
	stop()
	h.requireTrue(t, c, totals)
}

// setReadOnly sets whether new sessions may write by default. When writes are
// forbidden, it ends open sessions, because the default does not affect them.
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

// sessionsBefore counts the program's older sessions, except LISTEN sessions.
func (c *clinic) sessionsBefore(t testing.TB, when time.Time) int {
	t.Helper()
	role := *c
	role.database.OwnerURL = c.database.AppURL // other roles cannot see when they began
	return role.count(t, `SELECT count(*) FROM pg_stat_activity
		WHERE datname = current_database() AND application_name LIKE 'omnirapeutic%' AND backend_start < $1
		AND query NOT LIKE 'LISTEN %'`, when)
}

// turnedAway waits until clients were asked to retry more often.
func (h *history) turnedAway(t testing.TB, more int64) {
	t.Helper()
	before := h.turned.Load()
	require.Eventually(t, func() bool { return h.turned.Load() >= before+more }, time.Minute, time.Millisecond)
}
