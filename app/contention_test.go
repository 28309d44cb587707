package app_test

import (
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/google/uuid"
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
	history.requireLinearizable(t, 20)
}

func TestTenReservesOfFifteenOnAHundred(t *testing.T) {
	t.Parallel()
	c := open(t)
	path := c.authorize(t, 100)
	history := &history{}
	together(10, func(int) { history.reserve(t, c.admin(), path, 15) })
	c.requireBalance(t, path, 100, 0, 90)
	c.requireClean(t)
	history.requireLinearizable(t, 100)
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
	c.admin().post(t, path+"/reserve", body{"units": 5}) // a sibling that nobody may touch
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

// history records reserves, so that porcupine can say whether there is an order
// of them, within the times at which they were asked and answered, in which each
// answer is right.
type history struct {
	next      atomic.Int64
	contended atomic.Int64 // answers that said to ask again
	events    [64]porcupine.Operation
}

type reserved struct {
	accepted  bool
	available int // what a refusal said there was
}

func (h *history) reserve(t *testing.T, c caller, path string, units int) answer {
	i := h.next.Add(1) - 1
	asked := time.Now().UnixNano()
	keyed := c.with("Idempotency-Key", uuid.NewString())
	a := keyed.post(t, path+"/reserve", body{"units": units})
	for a.status == http.StatusInternalServerError {
		a.refused(t, http.StatusInternalServerError, "contention")
		require.NotEmpty(t, a.header.Get("Retry-After"))
		h.contended.Add(1)
		a = keyed.post(t, path+"/reserve", body{"units": units})
	}
	result := reserved{accepted: a.status == http.StatusCreated}
	if !result.accepted {
		result.available = a.number(t, "available")
	}
	h.events[i] = porcupine.Operation{
		ClientId: int(i), Input: units, Call: asked, Output: result, Return: time.Now().UnixNano(),
	}
	return a
}

func (h *history) requireLinearizable(t *testing.T, total int) {
	t.Helper()
	model := porcupine.Model{
		Init: func() any { return total },
		Step: func(state, input, output any) (bool, any) {
			available, units, result := state.(int), input.(int), output.(reserved)
			if units <= available {
				return result.accepted, available - units
			}
			return !result.accepted && result.available == available, available
		},
	}
	require.True(t, porcupine.CheckOperations(model, h.events[:h.next.Load()]))
}
