package app_test

import (
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"omnirapeutic/platform/db"
	"omnirapeutic/platform/db/dbtest"
)

// TestTwoInstancesOnOneDatabase has two programs fight over one authorization:
// nothing in either process keeps them apart, so transactions meet and retry.
func TestTwoInstancesOnOneDatabase(t *testing.T) {
	t.Parallel()
	patient, ok := db.Preset("aggressive")
	require.True(t, ok)
	database := dbtest.New(t)
	first := serve(t, database, database.Open(t, dbtest.WithPolicy(patient)))
	second := beside(t, first, database.Open(t, dbtest.WithPolicy(patient)))
	path := first.authorize(t, 20)

	var accepted, refused, asked atomic.Int64
	together(50, func(i int) {
		instance := []*clinic{first, second}[i%2]
		keyed := instance.admin().with("Idempotency-Key", uuid.NewString())
		for {
			answer := keyed.post(t, path+"/reserve", body{"units": 1})
			asked.Add(1)
			switch answer.status {
			case http.StatusCreated:
				accepted.Add(1)
				return
			case http.StatusInternalServerError: // asked again, as it says
				answer.refused(t, http.StatusInternalServerError, "contention")
				require.NotEmpty(t, answer.header.Get("Retry-After"))
			default:
				answer.refused(t, http.StatusConflict, "insufficient-units")
				refused.Add(1)
				return
			}
		}
	})
	require.EqualValues(t, 20, accepted.Load())
	require.EqualValues(t, 30, refused.Load())
	first.requireBalance(t, path, 20, 0, 20)
	second.requireClean(t)

	t.Run("retry metrics tell of every operation", func(t *testing.T) {
		var ended, retries, failures int
		for _, instance := range []*clinic{first, second} {
			answer := instance.admin().get(t, "/admin/retry-metrics")
			for _, item := range answer.body["operations"].([]any) {
				operation := item.(map[string]any)
				if operation["operation"] != "units.reserve" {
					continue
				}
				for _, n := range operation["attempts"].(map[string]any) {
					ended += int(n.(float64))
				}
			}
			retries += answer.number(t, "retries")
			failures += answer.number(t, "failures")
		}
		require.EqualValues(t, asked.Load(), ended)
		require.GreaterOrEqual(t, retries, 4*failures, "an operation is given up after its fifth attempt")
		require.EqualValues(t, asked.Load()-50, failures, "each 500 is an operation that used up its attempts")
	})
}
