package e2e

import (
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"omnirapeutic/e2e/harness"
)

func TestFiftyReservesWithRoomForTwenty(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	path := c.Authorize(t, 20)
	history := &harness.History{}
	var accepted, refused atomic.Int64
	harness.Concurrently(50, func(int) {
		answer := history.Reserve(t, c.Admin(), path, 1)
		switch {
		case answer.Status == http.StatusCreated:
			accepted.Add(1)
		case answer.Status == http.StatusConflict && answer.Text("code") == "insufficient-units":
			refused.Add(1)
		default:
			t.Errorf("neither accepted nor refused: %s", answer.Raw)
		}
	})
	require.EqualValues(t, 20, accepted.Load())
	require.EqualValues(t, 30, refused.Load())
	c.RequireBalance(t, path, 20, 0, 20)
	c.RequireClean(t)
	history.RequireLinearizable(t, map[string]int{path: 20})
}

func TestTenReservesOfFifteenOnAHundred(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	path := c.Authorize(t, 100)
	history := &harness.History{}
	harness.Concurrently(10, func(int) { history.Reserve(t, c.Admin(), path, 15) })
	c.RequireBalance(t, path, 100, 0, 90)
	c.RequireClean(t)
	history.RequireLinearizable(t, map[string]int{path: 100})
}

func TestReservesAndConsumesAtOnce(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	path := c.Authorize(t, 100)
	c.Admin().Post(t, path+"/reserve", harness.Body{"units": 20})
	calls := []string{"/reserve", "/reserve", "/consume", "/consume"}
	statuses := make([]int, len(calls))
	harness.Concurrently(len(calls), func(i int) {
		statuses[i] = c.Admin().Post(t, path+calls[i], harness.Body{"units": 10}).Status
	})
	require.Equal(t, []int{201, 201, 200, 200}, statuses)
	c.RequireBalance(t, path, 100, 20, 20)
	c.RequireClean(t)
}

func TestOneReservationSettledByManyAtOnce(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	path := c.Authorize(t, 100)
	c.Admin().Post(t, path+"/reserve", harness.Body{"units": 5}) // another authorization that must not change
	id := c.Admin().Post(t, path+"/reserve", harness.Body{"units": 7}).ReservationID(t)
	var settled atomic.Int64
	harness.Concurrently(12, func(i int) {
		call := "/consume"
		if i%2 == 1 {
			call = "/release"
		}
		answer := c.Admin().Post(t, path+call, harness.Body{"reservationId": id})
		if answer.Status == http.StatusOK {
			settled.Add(1)
			return
		}
		answer.Refused(t, http.StatusConflict, "reservation-closed")
	})
	require.EqualValues(t, 1, settled.Load())
	require.Equal(t, 5, c.Admin().Get(t, path).Number(t, "scheduledUnits"), "the sibling")
	c.RequireClean(t)
}

func TestTwentyTimesTheSameReserve(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	path := c.Authorize(t, 100)
	keyed := c.Admin().WithHeader("Idempotency-Key", "one-booking")
	answers := make([]harness.Answer, 20)
	harness.Concurrently(len(answers), func(i int) {
		answers[i] = keyed.Post(t, path+"/reserve",
			harness.Body{"units": 3})
	})
	first := 0
	for _, a := range answers {
		require.Equal(t, http.StatusCreated, a.Status, "%s", a.Raw)
		require.JSONEq(t, string(answers[0].Raw), string(a.Raw), "all get the same answer")
		if a.Header.Get("Idempotency-Replayed") == "" {
			first++
		}
	}
	require.Equal(t, 1, first)
	c.RequireBalance(t, path, 100, 0, 3)
	c.RequireClean(t)
}
