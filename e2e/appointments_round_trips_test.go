package e2e

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omnirapeutic/e2e/harness"
	"omnirapeutic/platform/db/dbtest"
	"omnirapeutic/platform/db/wireproxy"
)

// TestRoundTripsOfAppointments counts how often a command waits for the database. The appointment that
// it names is read with BEGIN, and everything is written with COMMIT.
func TestRoundTripsOfAppointments(t *testing.T) {
	t.Parallel()
	database := harness.TwoPractices.New(t)
	proxy := wireproxy.Start(t, database.AppURL)
	c := harness.Serve(t, database, database.Open(t, dbtest.Through(proxy.URL), dbtest.WithMaxConns(1)),
		harness.SharedTransactions...)
	path, practitioner := c.Authorize(t, 100), c.AddPractitioner(t)
	day := 0
	booking := func() harness.Body {
		day--
		return c.Booking(path, practitioner, c.At(t, day, "15:00"), time.Hour)
	}
	requireTrips := func(most int, what string, run func()) {
		before := proxy.RoundTrips()
		run()
		require.LessOrEqual(t, proxy.RoundTrips()-before, most, what)
	}
	const preparing = 100 // the first execution prepares the statements
	for _, most := range [][]int{{preparing, preparing, preparing}, {5, 6, 5}} {
		kept, cancelled := c.Book(t, booking()), c.Book(t, booking())
		requireTrips(most[0], "BEGIN, authorizations, rules, occupied time, COMMIT", func() { c.Book(t, booking()) })
		requireTrips(most[1], "BEGIN with the appointment, authorizations, reservations, rules, occupied time, COMMIT",
			func() { c.Admin().Post(t, kept+"/complete", harness.Body{}).OK(t) })
		requireTrips(most[2], "the same without occupied time",
			func() { c.Admin().Post(t, cancelled+"/cancel", harness.Body{}).OK(t) })
	}
}
