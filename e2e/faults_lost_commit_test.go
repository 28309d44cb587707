package e2e

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"omnirapeutic/e2e/harness"
	"omnirapeutic/platform/db/dbtest"
	"omnirapeutic/platform/db/wireproxy"
)

// TestReserveTakesEffectOnceWhenItsCommitIsLost breaks the connection at the COMMIT of a real reserve. The
// client learns the actual outcome, and the units are held exactly once.
func TestReserveTakesEffectOnceWhenItsCommitIsLost(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		it    string
		place wireproxy.Point
		times int
	}{
		{"holds the units once when COMMIT never reached the server", wireproxy.BeforeServer, 1},
		{"holds the units once when COMMIT was executed and its reply lost", wireproxy.BeforeAnswer, 1},
		{"holds the units once when COMMIT is lost twice in a row", wireproxy.BeforeServer, 2},
	} {
		for _, key := range []string{"", "one-booking"} {
			name := "it " + test.it
			if key != "" {
				name += ", with a key"
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				database := harness.TwoPractices.New(t)
				proxy := wireproxy.Start(t, database.AppURL)
				c := harness.Serve(t, database, database.Open(t, dbtest.Through(proxy.URL)))
				path := c.Authorize(t, 10)
				asking := c.Admin()
				if key != "" {
					asking = asking.WithHeader("Idempotency-Key", key)
				}

				proxy.Break(test.place, "commit", test.times)
				answer := asking.Post(t, path+"/reserve", harness.Body{"units": 4})
				require.Equal(t, http.StatusCreated, answer.Status, "%s", answer.Raw)
				c.RequireBalance(t, path, 10, 0, 4)
				require.Len(t, c.Admin().Get(t, path+"/entries").Body["data"], 1)
				c.RequireClean(t)
				if key != "" {
					require.JSONEq(t, string(answer.Raw), string(asking.Post(t, path+"/reserve", harness.Body{"units": 4}).Raw))
					c.RequireBalance(t, path, 10, 0, 4)
				}
			})
		}
	}
	for it, point := range map[string]wireproxy.Point{
		"never reached the server": wireproxy.BeforeServer, "was carried out": wireproxy.BeforeAnswer,
	} {
		t.Run("it executes a bulk once whose COMMIT "+it, func(t *testing.T) {
			t.Parallel()
			database := harness.TwoPractices.New(t)
			proxy := wireproxy.Start(t, database.AppURL)
			c := harness.Serve(t, database, database.Open(t, dbtest.Through(proxy.URL)))
			one, other := c.Authorize(t, 10), c.Authorize(t, 10)
			proxy.Break(point, "commit", 1)
			answer := c.Admin().Post(t, "/units/bulk", harness.BulkBody(
				harness.BulkItem(one, "reserve", harness.Body{
					"units": 4,
				}), harness.BulkItem(other, "reserve", harness.Body{"units": 11}), harness.BulkItem(other, "reserve",
					harness.Body{"units": 3}),
			))
			require.Equal(t, []string{"", "insufficient-units", ""}, answer.RefusalCodes(t))
			c.RequireBalance(t, one, 10, 0, 4)
			c.RequireBalance(t, other, 10, 0, 3)
			c.RequireClean(t)
		})
	}
	t.Run("it reports an unknown outcome if the proof fails, and a repetition with the key finds it later", func(t *testing.T) {
		t.Parallel()
		database := harness.TwoPractices.New(t)
		proxy := wireproxy.Start(t, database.AppURL)
		c := harness.Serve(t, database, database.Open(t, dbtest.Through(proxy.URL)))
		path := c.Authorize(t, 10)
		keyed := c.Admin().WithHeader("Idempotency-Key", "one-booking")

		proxy.Break(wireproxy.BeforeAnswer, "commit", 1)
		const lookups = 12 // number of proofs that the runner reads before it gives up
		proxy.Break(wireproxy.BeforeServer, "begin isolation level repeatable read", lookups)
		answer := keyed.Post(t, path+"/reserve", harness.Body{"units": 4})
		answer.Refused(t, http.StatusServiceUnavailable, "outcome-unknown")
		require.NotEmpty(t, answer.Header.Get("Retry-After"))

		again := keyed.Post(t, path+"/reserve", harness.Body{"units": 4})
		require.Equal(t, http.StatusCreated, again.Status, "%s", again.Raw)
		require.Equal(t, "true", again.Header.Get("Idempotency-Replayed"))
		c.RequireBalance(t, path, 10, 0, 4)
		c.RequireClean(t)
	})
}
