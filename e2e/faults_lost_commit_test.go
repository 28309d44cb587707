package e2e

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

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
				database := twoPractices.New(t)
				proxy := wireproxy.Start(t, database.AppURL)
				c := serve(t, database, database.Open(t, dbtest.Through(proxy.URL)))
				path := c.authorize(t, 10)
				asking := c.admin()
				if key != "" {
					asking = asking.with("Idempotency-Key", key)
				}

				proxy.Break(test.place, "commit", test.times)
				answer := asking.post(t, path+"/reserve", body{"units": 4})
				require.Equal(t, http.StatusCreated, answer.status, "%s", answer.raw)
				c.requireBalance(t, path, 10, 0, 4)
				require.Len(t, c.admin().get(t, path+"/entries").body["data"], 1)
				c.requireClean(t)
				if key != "" {
					require.JSONEq(t, string(answer.raw), string(asking.post(t, path+"/reserve", body{"units": 4}).raw))
					c.requireBalance(t, path, 10, 0, 4)
				}
			})
		}
	}
	for it, place := range map[string]wireproxy.Point{
		"never reached the server": wireproxy.BeforeServer, "was carried out": wireproxy.BeforeAnswer,
	} {
		t.Run("it executes a bulk once whose COMMIT "+it, func(t *testing.T) {
			t.Parallel()
			database := twoPractices.New(t)
			proxy := wireproxy.Start(t, database.AppURL)
			c := serve(t, database, database.Open(t, dbtest.Through(proxy.URL)))
			one, other := c.authorize(t, 10), c.authorize(t, 10)
			proxy.Break(place, "commit", 1)
			answer := c.admin().post(t, "/units/bulk", bulk(
				on(one, "reserve", body{"units": 4}), on(other, "reserve", body{"units": 11}), on(other, "reserve",
					body{"units": 3}),
			))
			require.Equal(t, []string{"", "insufficient-units", ""}, answer.verdicts(t))
			c.requireBalance(t, one, 10, 0, 4)
			c.requireBalance(t, other, 10, 0, 3)
			c.requireClean(t)
		})
	}
	t.Run("it reports an unknown outcome if the proof fails, and a repetition with the key finds it later", func(t *testing.T) {
		t.Parallel()
		database := twoPractices.New(t)
		proxy := wireproxy.Start(t, database.AppURL)
		c := serve(t, database, database.Open(t, dbtest.Through(proxy.URL)))
		path := c.authorize(t, 10)
		keyed := c.admin().with("Idempotency-Key", "one-booking")

		proxy.Break(wireproxy.BeforeAnswer, "commit", 1)
		const asked = 12 // number of proofs that the runner reads before it gives up
		proxy.Break(wireproxy.BeforeServer, "begin isolation level repeatable read", asked)
		answer := keyed.post(t, path+"/reserve", body{"units": 4})
		answer.refused(t, http.StatusServiceUnavailable, "outcome-unknown")
		require.NotEmpty(t, answer.header.Get("Retry-After"))

		again := keyed.post(t, path+"/reserve", body{"units": 4})
		require.Equal(t, http.StatusCreated, again.status, "%s", again.raw)
		require.Equal(t, "true", again.header.Get("Idempotency-Replayed"))
		c.requireBalance(t, path, 10, 0, 4)
		c.requireClean(t)
	})
}
