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
// they combine, they wait for each other; otherwise their transactions conflict and
// retry.
func TestTwoInstancesOnOneDatabase(t *testing.T) {
	t.Parallel()
	for name, mode := range map[string]struct {
		operation string
		noLocks   bool
		settings  []string
	}{
		"it combines and waits for the lock": {"units.combined", false, []string{"OMNI_COMBINE=true"}},
		"it combines and has no lock":        {"units.combined", true, []string{"OMNI_COMBINE=true"}},
		"each has its own transaction":       {"units.reserve", false, []string{"OMNI_COMBINE=false"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			patient, ok := db.Preset("aggressive")
			require.True(t, ok)
			options := []dbtest.Option{dbtest.WithPolicy(patient), func(c *db.Config) { c.NoLocks = mode.noLocks }}
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
					if operation["operation"] != mode.operation {
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
			switch {
			case mode.operation == "units.reserve":
				require.EqualValues(t, 50+history.contended.Load(), ended)
				require.EqualValues(t, history.contended.Load(), failures, "each 500 is an operation that used up its attempts")
			case !mode.noLocks:
				require.Zero(t, retries+failures, "they waited and did not conflict")
				fallthrough
			default:
				require.Positive(t, ended)
			}
		})
	}
}
