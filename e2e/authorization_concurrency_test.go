package e2e

import (
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestFiftyReservesWithRoomForTwenty(t *testing.T) {
	t.Parallel()
	c := open(t)
	path := c.authorize(t, 20)
	history := &history{}
	var accepted, refused atomic.Int64
	together(50, func(int) {
		answer := history.reserve(t, c.admin(), path, 1)
		switch {
		case answer.status == http.StatusCreated:
			accepted.Add(1)
		case answer.status == http.StatusConflict && answer.text("code") == "insufficient-units":
			refused.Add(1)
		default:
			t.Errorf("neither accepted nor refused: %s", answer.raw)
		}
	})
	require.EqualValues(t, 20, accepted.Load())
	require.EqualValues(t, 30, refused.Load())
	c.requireBalance(t, path, 20, 0, 20)
	c.requireClean(t)
	history.requireLinearizable(t, map[string]int{path: 20})
}

func TestTenReservesOfFifteenOnAHundred(t *testing.T) {
	t.Parallel()
	c := open(t)
	path := c.authorize(t, 100)
	history := &history{}
	together(10, func(int) { history.reserve(t, c.admin(), path, 15) })
	c.requireBalance(t, path, 100, 0, 90)
	c.requireClean(t)
	history.requireLinearizable(t, map[string]int{path: 100})
}

func TestReservesAndConsumesAtOnce(t *testing.T) {
	t.Parallel()
	c := open(t)
	path := c.authorize(t, 100)
	c.admin().post(t, path+"/reserve", body{"units": 20})
	calls := []string{"/reserve", "/reserve", "/consume", "/consume"}
	statuses := make([]int, len(calls))
	together(len(calls), func(i int) {
		statuses[i] = c.admin().post(t, path+calls[i], body{"units": 10}).status
	})
	require.Equal(t, []int{201, 201, 200, 200}, statuses)
	c.requireBalance(t, path, 100, 20, 20)
	c.requireClean(t)
}

func TestOneReservationSettledByManyAtOnce(t *testing.T) {
	t.Parallel()
	c := open(t)
	path := c.authorize(t, 100)
	c.admin().post(t, path+"/reserve", body{"units": 5}) // another authorization that must not change
	id := c.admin().post(t, path+"/reserve", body{"units": 7}).reservationID(t)
	var settled atomic.Int64
	together(12, func(i int) {
		call := "/consume"
		if i%2 == 1 {
			call = "/release"
		}
		answer := c.admin().post(t, path+call, body{"reservationId": id})
		if answer.status == http.StatusOK {
			settled.Add(1)
			return
		}
		answer.refused(t, http.StatusConflict, "reservation-closed")
	})
	require.EqualValues(t, 1, settled.Load())
	require.Equal(t, 5, c.admin().get(t, path).number(t, "scheduledUnits"), "the sibling")
	c.requireClean(t)
}

func TestTwentyTimesTheSameReserve(t *testing.T) {
	t.Parallel()
	c := open(t)
	path := c.authorize(t, 100)
	keyed := c.admin().with("Idempotency-Key", "one-booking")
	answers := make([]answer, 20)
	together(len(answers), func(i int) { answers[i] = keyed.post(t, path+"/reserve", body{"units": 3}) })
	first := 0
	for _, a := range answers {
		require.Equal(t, http.StatusCreated, a.status, "%s", a.raw)
		require.JSONEq(t, string(answers[0].raw), string(a.raw), "all get the same answer")
		if a.header.Get("Idempotency-Replayed") == "" {
			first++
		}
	}
	require.Equal(t, 1, first)
	c.requireBalance(t, path, 100, 0, 3)
	c.requireClean(t)
}
