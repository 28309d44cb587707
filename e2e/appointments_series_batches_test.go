package e2e

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestSeriesInABatchFollowsEarlierChanges combines changes of single appointments with
// a following change of their whole series. The result must be the same as in separate
// transactions.
func TestSeriesInABatchFollowsEarlierChanges(t *testing.T) {
	t.Parallel()
	database := twoPractices.New(t)
	c := serve(t, database, database.Open(t), sharing...)
	start := c.hour(t, 1, "09:00")
	series := func(t *testing.T) (path string, all []string) {
		t.Helper()
		patient := c.admin().post(t, "/patients",
			body{"firstName": "Ben", "lastName": "Example", "dateOfBirth": "2019-05-04"}).created(t)
		path = c.authorize(t, 100, body{"patientId": patient})
		result := c.admin().post(t, "/appointments",
			c.booking(path, c.employ(t), start, hour, body{"patientId": patient, "recurrenceRule": "FREQ=DAILY;COUNT=4"}))
		result.created(t)
		for _, o := range result.occurrences(t) {
			all = append(all, "/appointments/"+o.text("appointmentId"))
		}
		return path, all
	}
	to := func(day int, clock string) body {
		at := c.hour(t, 1+day, clock)
		return body{"startTime": at, "endTime": at.Add(hour)}
	}

	t.Run("one is cancelled, and then all", func(t *testing.T) {
		path, all := series(t)
		var one, rest answer
		c.gatheredAppointments(t,
			func() { one = c.admin().post(t, all[2]+"/cancel", body{}) },
			func() { rest = c.admin().post(t, all[0]+"/cancel?scope=all", body{}) },
		)
		require.Equal(t, []int{http.StatusOK, http.StatusOK}, []int{one.status, rest.status}, "%s", rest.raw)
		require.Len(t, rest.occurrences(t), 3)
		c.requireBalance(t, path, 100, 0, 0)
	})

	t.Run("one is moved, and then all by the same number of days", func(t *testing.T) {
		path, all := series(t)
		var one, rest answer
		c.gatheredAppointments(t,
			func() { one = c.admin().patch(t, all[0], to(0, "11:00")) },
			func() { rest = c.admin().patch(t, all[0]+"?scope=all", to(1, "13:00")) },
		)
		require.Equal(t, []int{http.StatusOK, http.StatusOK}, []int{one.status, rest.status}, "%s", rest.raw)
		for i, item := range all {
			require.Equal(t, c.hour(t, 2+i, "13:00").UTC().Format(time.RFC3339), c.admin().get(t, item).ok(t).text("startTime"))
		}
		c.requireBalance(t, path, 100, 0, 16)
	})

	t.Run("one is moved past another, and then the following are cancelled", func(t *testing.T) {
		path, all := series(t)
		var one, rest answer
		c.gatheredAppointments(t,
			func() { one = c.admin().patch(t, all[0], to(9, "09:00")) },
			func() { rest = c.admin().post(t, all[3]+"/cancel?scope=following", body{}) },
		)
		require.Equal(t, []int{http.StatusOK, http.StatusOK}, []int{one.status, rest.status}, "%s", rest.raw)
		require.Len(t, rest.occurrences(t), 2, "the moved one is now among the following")
		c.requireBalance(t, path, 100, 0, 8)
	})
	c.requireClean(t)
}
