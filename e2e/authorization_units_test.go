package e2e

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Unit defects of the system that this program replaces. The numbers refer to the list
// from its analysis.

func TestConsumesUseUpAFullyBookedAuthorization(t *testing.T) { // 5
	t.Parallel()
	c := open(t)
	path := c.authorize(t, 8)
	first := c.admin().post(t, path+"/reserve", body{"units": 4}).reservationID(t)
	second := c.admin().post(t, path+"/reserve", body{"units": 4}).reservationID(t)
	require.Equal(t, "EXHAUSTED", c.admin().get(t, path).text("status"), "nothing can be reserved")

	require.Equal(t, http.StatusOK, c.admin().post(t, path+"/consume", body{"reservationId": first}).status)
	c.requireBalance(t, path, 8, 4, 4)
	require.Equal(t, http.StatusOK, c.admin().post(t, path+"/release", body{"reservationId": second}).status)
	require.Equal(t, "ACTIVE", c.admin().get(t, path).text("status"), "a release makes units available again")

	third := c.admin().post(t, path+"/reserve", body{"units": 4}).reservationID(t)
	require.Equal(t, http.StatusOK, c.admin().post(t, path+"/consume", body{"reservationId": third}).status)
	c.requireBalance(t, path, 8, 8, 0)
	c.requireClean(t)
}

func TestFirstAndLastDay(t *testing.T) { // 7
	t.Parallel()
	c := open(t)
	path := c.authorize(t, 20, body{"startDate": "2026-03-01", "endDate": "2026-03-31"})
	for _, test := range []struct {
		it, day string
		status  int
	}{
		{"can be used on its first day", "2026-03-01", http.StatusCreated},
		{"can be used on its last day", "2026-03-31", http.StatusCreated},
		{"cannot be used the day before", "2026-02-28", http.StatusConflict},
		{"cannot be used the day after", "2026-04-01", http.StatusConflict},
	} {
		t.Run("it "+test.it, func(t *testing.T) {
			answer := c.admin().post(t, path+"/reserve", body{"units": 1, "serviceDate": test.day})
			require.Equal(t, test.status, answer.status, "%s", answer.raw)
			if test.status == http.StatusConflict {
				answer.refused(t, http.StatusConflict, "outside-authorization-dates")
				require.Equal(t, "2026-03-01", answer.text("startDate"))
				require.Equal(t, "2026-03-31", answer.text("endDate"))
			}
		})
	}
}

func TestLastDayEndsAtMidnightOnTheOrganizationsWall(t *testing.T) { // 7
	t.Parallel()
	c := open(t)
	newYork, err := time.LoadLocation("America/New_York")
	require.NoError(t, err)
	path := c.authorize(t, 20, body{"startDate": "2026-03-01", "endDate": "2026-03-31"})

	// 23:45 in New York is 03:45 of the next day in UTC. The token is checked by the
	// same clock, so the caller signs in again.
	setClock := func(at time.Time) caller {
		c.clock.set(time.Until(at))
		answer := c.as("").post(t, "/auth/login", body{"email": "ADMIN@own.test", "password": password})
		return c.as(answer.text("accessToken"))
	}
	lastQuarter := setClock(time.Date(2026, time.March, 31, 23, 45, 0, 0, newYork))
	lastQuarter.post(t, path+"/reserve", body{"units": 1}).reservationID(t)
	nextDay := setClock(time.Date(2026, time.April, 1, 0, 15, 0, 0, newYork))
	nextDay.post(t, path+"/reserve", body{"units": 1}).refused(t, http.StatusConflict, "outside-authorization-dates")
	require.Equal(t, "EXPIRED", nextDay.get(t, path).text("status"))
}

func TestTotalStaysAboveBookedUnits(t *testing.T) { // 8
	t.Parallel()
	c := open(t)
	path := c.authorize(t, 10)
	id := c.admin().post(t, path+"/reserve", body{"units": 4}).reservationID(t)
	c.admin().post(t, path+"/consume", body{"reservationId": id, "units": 3, "remainder": "keep"})
	c.requireBalance(t, path, 10, 3, 1)

	answer := c.admin().patch(t, path, body{"totalUnits": 3}).refused(t, http.StatusConflict, "total-below-booked")
	require.Equal(t, 3, answer.number(t, "usedUnits"))
	require.Equal(t, 1, answer.number(t, "scheduledUnits"))
	c.admin().patch(t, path, body{"totalUnits": -1}).refused(t, http.StatusUnprocessableEntity, "validation-failed")
	c.requireBalance(t, path, 10, 3, 1)

	require.Equal(t, http.StatusOK, c.admin().patch(t, path, body{"totalUnits": 4, "reason": "cut by the payer"}).status)
	c.requireBalance(t, path, 4, 3, 1)
	entries := c.admin().get(t, path+"/entries").body["data"].([]any)
	last := entries[len(entries)-1].(map[string]any)
	require.Equal(t, "adjust", last["kind"])
	require.EqualValues(t, -6, last["units"])
	require.Equal(t, "cut by the payer", last["reason"])
	c.requireClean(t)
}

func TestAuthorizationWithHistoryIsNotDeleted(t *testing.T) { // 9
	t.Parallel()
	c := open(t)
	unused := c.authorize(t, 10)
	require.Equal(t, http.StatusNoContent, c.admin().delete(t, unused).status)
	c.admin().get(t, unused).refused(t, http.StatusNotFound, "authorization-not-found")

	used := c.authorize(t, 10)
	id := c.admin().post(t, used+"/reserve", body{"units": 1}).reservationID(t)
	c.admin().delete(t, used).refused(t, http.StatusConflict, "authorization-has-history")
	c.admin().post(t, used+"/release", body{"reservationId": id})
	c.admin().delete(t, used).refused(t, http.StatusConflict, "authorization-has-history")
	c.requireBalance(t, used, 10, 0, 0)
}

func TestDoubleSubmitTakesEffectOnce(t *testing.T) { // 10
	t.Parallel()
	c := open(t)
	path := c.authorize(t, 10)
	keyed := c.admin().with("Idempotency-Key", "booking-1")
	first := keyed.post(t, path+"/reserve", body{"units": 3})
	second := keyed.post(t, path+"/reserve", body{"units": 3})
	require.Equal(t, http.StatusCreated, second.status)
	require.JSONEq(t, string(first.raw), string(second.raw))
	require.Empty(t, first.header.Get("Idempotency-Replayed"))
	require.Equal(t, "true", second.header.Get("Idempotency-Replayed"))
	c.requireBalance(t, path, 10, 0, 3)

	t.Run("it refuses the key for another request", func(t *testing.T) {
		keyed.post(t, path+"/reserve", body{"units": 4}).refused(t, http.StatusUnprocessableEntity, "idempotency-key-reused")
		keyed.post(t, path+"/release", body{"units": 3}).refused(t, http.StatusUnprocessableEntity, "idempotency-key-reused")
	})
	t.Run("it stores a refusal too", func(t *testing.T) {
		greedy := c.admin().with("Idempotency-Key", "booking-2")
		refused := greedy.post(t, path+"/reserve", body{"units": 8}).refused(t, http.StatusConflict, "insufficient-units")
		require.Equal(t, "Insufficient units available. Available: 7, Requested: 8", refused.text("detail"))
		c.admin().post(t, path+"/release", body{"units": 3})
		again := greedy.post(t, path+"/reserve", body{"units": 8}).refused(t, http.StatusConflict, "insufficient-units")
		require.Equal(t, refused.text("detail"), again.text("detail"))
		require.Equal(t, 7, again.number(t, "available"))
		require.Equal(t, "true", again.header.Get("Idempotency-Replayed"))
	})
	t.Run("it is another operation for another user", func(t *testing.T) {
		scheduler := c.as(c.own.tokens["SCHEDULER"]).with("Idempotency-Key", "booking-1")
		require.Empty(t, scheduler.post(t, path+"/reserve", body{"units": 3}).header.Get("Idempotency-Replayed"))
	})
	c.requireClean(t)
}

func TestInvalidUnitsNameTheField(t *testing.T) { // 11
	t.Parallel()
	c := open(t)
	path := c.authorize(t, 10)
	for name, content := range map[string]string{
		"a fraction":            `{"units": 1.5}`,
		"zero":                  `{"units": 0}`,
		"a negative number":     `{"units": -1}`,
		"a text":                `{"units": "1"}`,
		"null":                  `{"units": null}`,
		"nothing":               `{}`,
		"more than possible":    `{"units": 10000001}`,
		"more than fits":        `{"units": 1e40}`,
		"a list":                `{"units": [1]}`,
		"an unknown field":      `{"units": 1, "force": true}`,
		"a duplicate":           `{"units": 1, "units": 2}`,
		"an exotic spelling":    `{"Units": 1}`,
		"an invalid date":       `{"units": 1, "serviceDate": "2026-02-30"}`,
		"a hold without length": `{"units": 1, "expiresInSeconds": 0}`,
	} {
		t.Run("it refuses "+name, func(t *testing.T) {
			answer := c.admin().sendRaw(t, http.MethodPost, path+"/reserve", strings.NewReader(content))
			answer.refused(t, http.StatusUnprocessableEntity, "validation-failed")
			errors, ok := answer.body["errors"].([]any)
			require.True(t, ok, "%s", answer.raw)
			require.NotEmpty(t, errors)
			for _, e := range errors {
				require.NotEmpty(t, e.(map[string]any)["field"])
				require.NotEmpty(t, e.(map[string]any)["message"])
			}
		})
	}
	for name, content := range map[string]string{
		"no JSON":        `units=1`,
		"half of it":     `{"units": 1`,
		"nothing at all": ``,
		"a list":         `[1]`,
		"two documents":  `{"units":1}{}`,
	} {
		t.Run("it cannot read "+name, func(t *testing.T) {
			answer := c.admin().sendRaw(t, http.MethodPost, path+"/reserve", strings.NewReader(content))
			require.Equal(t, http.StatusBadRequest, answer.status, "%s", answer.raw)
		})
	}
	c.requireBalance(t, path, 10, 0, 0)
}

func TestHoldsExpire(t *testing.T) {
	t.Parallel()
	c := open(t)
	path := c.authorize(t, 10)
	held := c.admin().post(t, path+"/reserve", body{"units": 10, "expiresInSeconds": 60}).reservationID(t)
	c.admin().post(t, path+"/reserve", body{"units": 1}).refused(t, http.StatusConflict, "insufficient-units")

	c.clock.set(time.Minute)
	t.Run("its units are available at once in every read", func(t *testing.T) {
		c.requireBalance(t, path, 10, 0, 0)
		require.Equal(t, "ACTIVE", c.admin().get(t, path).text("status"))
		list := c.admin().get(t, "/authorizations?status=ACTIVE")
		require.Len(t, list.body["data"], 1)
		require.Equal(t, true, c.admin().post(t, path+"/preview", body{"units": 10}).body["allowed"])
	})
	t.Run("it can no longer be consumed", func(t *testing.T) {
		answer := c.admin().post(t, path+"/consume", body{"reservationId": held}).
			refused(t, http.StatusConflict, "reservation-closed")
		require.Equal(t, true, answer.body["expired"])
	})
	t.Run("a reserve that needs its units takes them", func(t *testing.T) {
		c.admin().post(t, path+"/reserve", body{"units": 4}).reservationID(t)
		c.requireBalance(t, path, 10, 0, 4)
	})
	c.requireClean(t)
}

func TestSweeperRecordsExpiredReservations(t *testing.T) {
	t.Parallel()
	c := open(t)
	path := c.authorize(t, 10)
	c.admin().post(t, path+"/reserve", body{"units": 2, "expiresInSeconds": 60})
	c.admin().post(t, path+"/reserve", body{"units": 3})
	c.clock.set(time.Minute)

	written := make([]int64, 4)
	together(len(written), func(i int) {
		n, err := c.app.Authorizations.SweepHolds(t.Context())
		if err != nil {
			t.Error(err)
		}
		written[i] = n
	})
	var sum int64
	for _, n := range written {
		sum += n
	}
	require.EqualValues(t, 1, sum, "concurrent sweepers write one entry: %v", written)
	c.requireBalance(t, path, 10, 0, 3)
	require.Len(t, c.admin().get(t, path+"/reservations?open=true").body["data"], 1)
	c.requireClean(t)
}

func TestConsumeOfReservedAndUnreservedUnits(t *testing.T) {
	t.Parallel()
	c := open(t)
	t.Run("it reports the missing units of a longer session", func(t *testing.T) {
		path := c.authorize(t, 10)
		id := c.admin().post(t, path+"/reserve", body{"units": 8}).reservationID(t)
		answer := c.admin().post(t, path+"/consume", body{"reservationId": id, "units": 12})
		require.Equal(t, http.StatusOK, answer.status, "%s", answer.raw)
		require.Equal(t, 10, answer.number(t, "consumedUnits"))
		require.Equal(t, 2, answer.number(t, "missingUnits"))
		c.requireBalance(t, path, 10, 10, 0)
	})
	t.Run("it returns the rest of a shorter session", func(t *testing.T) {
		path := c.authorize(t, 10)
		id := c.admin().post(t, path+"/reserve", body{"units": 8}).reservationID(t)
		c.admin().post(t, path+"/consume", body{"reservationId": id, "units": 6})
		c.requireBalance(t, path, 10, 6, 0)
		c.admin().post(t, path+"/consume", body{"reservationId": id}).refused(t, http.StatusConflict, "reservation-closed")
	})
	t.Run("it is possible after the authorization has ended", func(t *testing.T) {
		today := c.clock.now()
		path := c.authorize(t, 10, body{
			"startDate": today.AddDate(0, -2, 0).Format(time.DateOnly), "endDate": today.AddDate(0, -1, 0).Format(time.DateOnly),
		})
		id := c.admin().post(t, path+"/reserve",
			body{"units": 4, "serviceDate": today.AddDate(0, -1, -3).Format(time.DateOnly)}).reservationID(t)
		require.Equal(t, "EXPIRED", c.admin().get(t, path).text("status"))
		require.Equal(t, http.StatusOK, c.admin().post(t, path+"/consume", body{"reservationId": id}).status)
		c.requireBalance(t, path, 10, 4, 0)
	})
	t.Run("it requires units or a reservation", func(t *testing.T) {
		path := c.authorize(t, 10)
		c.admin().post(t, path+"/consume", body{}).refused(t, http.StatusUnprocessableEntity, "validation-failed")
		c.admin().post(t, path+"/release", body{}).refused(t, http.StatusUnprocessableEntity, "validation-failed")
	})
	c.requireClean(t)
}

func TestPreviewWritesNothing(t *testing.T) {
	t.Parallel()
	c := open(t)
	path := c.authorize(t, 10)
	allowed := c.admin().post(t, path+"/preview", body{"units": 7})
	require.Equal(t, true, allowed.body["allowed"])
	require.Equal(t, 3, allowed.number(t, "authorization", "availableUnits"))
	refused := c.admin().post(t, path+"/preview", body{"units": 11})
	require.Equal(t, http.StatusOK, refused.status)
	require.Equal(t, false, refused.body["allowed"])
	require.Equal(t, "insufficient-units", refused.body["refusal"].(map[string]any)["code"])
	c.requireBalance(t, path, 10, 0, 0)
	require.Empty(t, c.admin().get(t, path+"/entries").body["data"])
}

func TestChangeOfAnAuthorization(t *testing.T) {
	t.Parallel()
	c := open(t)
	t.Run("it distinguishes null from absent", func(t *testing.T) {
		path := c.authorize(t, 10, body{"notes": "call first", "authNumber": "A-1"})
		answer := c.admin().patch(t, path, body{"notes": nil})
		require.Equal(t, http.StatusOK, answer.status, "%s", answer.raw)
		require.Nil(t, answer.body["notes"])
		require.Equal(t, "A-1", answer.text("authNumber"))
		require.Equal(t, 2, answer.number(t, "version"))
	})
	t.Run("it stores decisions and refuses computed states", func(t *testing.T) {
		path := c.authorize(t, 10)
		c.admin().patch(t, path, body{"status": "EXPIRED"}).refused(t, http.StatusUnprocessableEntity, "validation-failed")
		require.Equal(t, "CANCELLED", c.admin().patch(t, path, body{"status": "CANCELLED"}).text("status"))
		c.admin().post(t, path+"/reserve", body{"units": 1}).refused(t, http.StatusConflict, "authorization-not-active")
		c.admin().patch(t, path, body{"status": "PENDING"}).refused(t, http.StatusConflict, "status-transition-not-allowed")
	})
	t.Run("it does not strand open reservations", func(t *testing.T) {
		path := c.authorize(t, 10, body{"startDate": "2026-03-01", "endDate": "2026-03-31"})
		c.admin().post(t, path+"/reserve", body{"units": 4, "serviceDate": "2026-03-20"})
		answer := c.admin().patch(t, path, body{"endDate": "2026-03-19"}).
			refused(t, http.StatusConflict, "reservations-outside-dates")
		require.Equal(t, 4, answer.number(t, "units"))
		require.Equal(t, http.StatusOK, c.admin().patch(t, path, body{"endDate": "2026-03-20"}).status)
	})
	t.Run("it changes all of it or nothing", func(t *testing.T) {
		path := c.authorize(t, 10)
		c.admin().post(t, path+"/reserve", body{"units": 4})
		c.admin().patch(t, path, body{"notes": "changed", "totalUnits": 3}).
			refused(t, http.StatusConflict, "total-below-booked")
		require.Nil(t, c.admin().get(t, path).body["notes"])
	})
	t.Run("it refuses dates in the wrong order and unknown fields", func(t *testing.T) {
		path := c.authorize(t, 10)
		c.admin().patch(t, path, body{"endDate": "2000-01-01"}).
			refused(t, http.StatusUnprocessableEntity, "validation-failed")
		for _, column := range []string{"organizationId", "usedUnits", "scheduledUnits", "version", "id", "patientId"} {
			c.admin().patch(t, path, body{column: 0}).refused(t, http.StatusUnprocessableEntity, "validation-failed")
		}
	})
}

func TestListsArePaged(t *testing.T) {
	t.Parallel()
	c := open(t)
	var created []string
	for range 5 {
		created = append(created, strings.TrimPrefix(c.authorize(t, 10), "/authorizations/"))
	}
	var seen []string
	cursor := ""
	for range 3 {
		page := c.admin().get(t, "/authorizations?limit=2"+cursor)
		for _, item := range page.body["data"].([]any) {
			seen = append(seen, item.(map[string]any)["id"].(string))
		}
		if next, ok := page.body["nextCursor"].(string); ok {
			cursor = "&cursor=" + next
		}
	}
	require.Equal(t, created, seen)
	for _, query := range []string{
		"?limit=0", "?limit=201", "?cursor=nonsense", "?nonsense=1", "?patientId=7",
		"?status=OPEN",
	} {
		answer := c.admin().get(t, "/authorizations"+query)
		require.Contains(t, []int{http.StatusBadRequest, http.StatusUnprocessableEntity}, answer.status, "%s: %s", query,
			answer.raw)
	}
}
