package e2e

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omnirapeutic/e2e/harness"
)

// TestSeriesInABatchFollowsEarlierChanges combines changes of single appointments with
// a following change of their whole series. The result must be the same as in separate
// transactions.
func TestSeriesInABatchFollowsEarlierChanges(t *testing.T) {
	t.Parallel()
	database := harness.TwoPractices.New(t)
	c := harness.Serve(t, database, database.Open(t), harness.SharedTransactions...)
	start := c.At(t, 1, "09:00")
	series := func(t *testing.T) (path string, all []string) {
		t.Helper()
		patient := c.Admin().Post(t, "/patients",
			harness.Body{"firstName": "Ben", "lastName": "Example", "dateOfBirth": "2019-05-04"}).Created(t)
		path = c.Authorize(t, 100, harness.Body{"patientId": patient})
		result := c.Admin().Post(t, "/appointments",
			c.Booking(path, c.AddPractitioner(t), start, time.Hour, harness.Body{
				"patientId": patient, "recurrenceRule": "FREQ=DAILY;COUNT=4",
			}))
		result.Created(t)
		for _, o := range result.Occurrences(t) {
			all = append(all, "/appointments/"+o.Text("appointmentId"))
		}
		return path, all
	}
	to := func(day int, clock string) harness.Body {
		at := c.At(t, 1+day, clock)
		return harness.Body{"startTime": at, "endTime": at.Add(time.Hour)}
	}

	t.Run("one is cancelled, and then all", func(t *testing.T) {
		path, all := series(t)
		var one, rest harness.Answer
		appointmentsInOneBatch(t, c,
			func() { one = c.Admin().Post(t, all[2]+"/cancel", harness.Body{}) },
			func() { rest = c.Admin().Post(t, all[0]+"/cancel?scope=all", harness.Body{}) },
		)
		require.Equal(t, []int{http.StatusOK, http.StatusOK}, []int{one.Status, rest.Status}, "%s", rest.Raw)
		require.Len(t, rest.Occurrences(t), 3)
		c.RequireBalance(t, path, 100, 0, 0)
	})

	t.Run("one is moved, and then all by the same number of days", func(t *testing.T) {
		path, all := series(t)
		var one, rest harness.Answer
		appointmentsInOneBatch(t, c,
			func() { one = c.Admin().Patch(t, all[0], to(0, "11:00")) },
			func() { rest = c.Admin().Patch(t, all[0]+"?scope=all", to(1, "13:00")) },
		)
		require.Equal(t, []int{http.StatusOK, http.StatusOK}, []int{one.Status, rest.Status}, "%s", rest.Raw)
		for i, item := range all {
			require.Equal(t, c.At(t, 2+i, "13:00").UTC().Format(time.RFC3339), c.Admin().Get(t, item).OK(t).Text("startTime"))
		}
		c.RequireBalance(t, path, 100, 0, 16)
	})

	t.Run("one is moved past another, and then the following are cancelled", func(t *testing.T) {
		path, all := series(t)
		var one, rest harness.Answer
		appointmentsInOneBatch(t, c,
			func() { one = c.Admin().Patch(t, all[0], to(9, "09:00")) },
			func() { rest = c.Admin().Post(t, all[3]+"/cancel?scope=following", harness.Body{}) },
		)
		require.Equal(t, []int{http.StatusOK, http.StatusOK}, []int{one.Status, rest.Status}, "%s", rest.Raw)
		require.Len(t, rest.Occurrences(t), 2, "the moved one is now among the following")
		c.RequireBalance(t, path, 100, 0, 8)
	})
	c.RequireClean(t)
}
