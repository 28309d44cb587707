package e2e

import (
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"omnirapeutic/e2e/harness"
	"omnirapeutic/platform/db"
	"omnirapeutic/platform/db/dbtest"
)

// TestTwoInstancesOnOneDatabase lets two programs compete for one authorization. If
// their transactions take the lock, they wait for each other; otherwise they conflict and
// retry.
func TestTwoInstancesOnOneDatabase(t *testing.T) {
	t.Parallel()
	for name, mode := range map[string]struct {
		settings []string
		locks    bool
	}{
		"commands share transactions and wait for the lock": {harness.SharedTransactions, true},
		"commands share transactions without the lock": {
			append(harness.SharedTransactions, "OMNI_COMMAND_LOCK=false"), false,
		},
		"each command has its own transaction": {harness.SeparateTransactions, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			patient, ok := db.Preset("aggressive")
			require.True(t, ok)
			options := []dbtest.Option{dbtest.WithPolicy(patient)}
			database := harness.TwoPractices.New(t)
			first := harness.Serve(t, database, database.Open(t, options...), mode.settings...)
			second := harness.SecondInstance(t, first, database.Open(t, options...), mode.settings...)
			path := first.Authorize(t, 20)

			history := &harness.History{}
			var accepted, refused atomic.Int64
			harness.Concurrently(50, func(i int) {
				answer := history.Reserve(t, []*harness.Clinic{first, second}[i%2].Admin(), path, 1)
				if answer.Status == http.StatusCreated {
					accepted.Add(1)
					return
				}
				answer.Refused(t, http.StatusConflict, "insufficient-units")
				refused.Add(1)
			})
			require.EqualValues(t, 20, accepted.Load())
			require.EqualValues(t, 30, refused.Load())
			first.RequireBalance(t, path, 20, 0, 20)
			second.RequireClean(t)
			history.RequireLinearizable(t, map[string]int{path: 20})

			var ended, retries, failures int
			for _, instance := range []*harness.Clinic{first, second} {
				answer := instance.Admin().Get(t, "/admin/retry-metrics")
				for _, item := range answer.Body["operations"].([]any) {
					operation := item.(map[string]any)
					if operation["operation"] != "units.batch" {
						continue
					}
					for _, n := range operation["attempts"].(map[string]any) {
						ended += int(n.(float64))
					}
				}
				retries += answer.Number(t, "retries")
				failures += answer.Number(t, "failures")
			}
			require.LessOrEqual(t, failures, int(history.Contended.Load()), "each is reported in one answer")
			require.Positive(t, ended)
			if mode.locks {
				require.Zero(t, retries+failures, "they waited and did not conflict")
			}
		})
	}
}
