package e2e

import (
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

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
		"commands share transactions and wait for the lock": {sharing, true},
		"commands share transactions without the lock":      {append(sharing, "OMNI_COMMAND_LOCK=false"), false},
		"each command has its own transaction":              {separate, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			patient, ok := db.Preset("aggressive")
			require.True(t, ok)
			options := []dbtest.Option{dbtest.WithPolicy(patient)}
			database := twoPractices.New(t)
			first := serve(t, database, database.Open(t, options...), mode.settings...)
			second := secondInstance(t, first, database.Open(t, options...), mode.settings...)
			path := first.authorize(t, 20)

			history := &history{}
			var accepted, refused atomic.Int64
			together(50, func(i int) {
				answer := history.reserve(t, []*clinic{first, second}[i%2].admin(), path, 1)
				if answer.status == http.StatusCreated {
					accepted.Add(1)
					return
				}
				answer.refused(t, http.StatusConflict, "insufficient-units")
				refused.Add(1)
			})
			require.EqualValues(t, 20, accepted.Load())
			require.EqualValues(t, 30, refused.Load())
			first.requireBalance(t, path, 20, 0, 20)
			second.requireClean(t)
			history.requireLinearizable(t, map[string]int{path: 20})

			var ended, retries, failures int
			for _, instance := range []*clinic{first, second} {
				answer := instance.admin().get(t, "/admin/retry-metrics")
				for _, item := range answer.body["operations"].([]any) {
					operation := item.(map[string]any)
					if operation["operation"] != "units.batch" {
						continue
					}
					for _, n := range operation["attempts"].(map[string]any) {
						ended += int(n.(float64))
					}
				}
				retries += answer.number(t, "retries")
				failures += answer.number(t, "failures")
			}
			require.LessOrEqual(t, failures, int(history.contended.Load()), "each is reported in one answer")
			require.Positive(t, ended)
			if mode.locks {
				require.Zero(t, retries+failures, "they waited and did not conflict")
			}
		})
	}
}
