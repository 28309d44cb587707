package e2e

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omnirapeutic/e2e/harness"
)

// Unit defects of the system that this program replaces. The numbers refer to the list
// from its analysis.

func TestConsumesUseUpAFullyBookedAuthorization(t *testing.T) { // 5
	t.Parallel()
	c := harness.Open(t)
	path := c.Authorize(t, 8)
	first := c.Admin().Post(t, path+"/reserve", harness.Body{"units": 4}).ReservationID(t)
	second := c.Admin().Post(t, path+"/reserve", harness.Body{"units": 4}).ReservationID(t)
	require.Equal(t, "EXHAUSTED", c.Admin().Get(t, path).Text("status"), "nothing can be reserved")

	require.Equal(t, http.StatusOK, c.Admin().Post(t, path+"/consume", harness.Body{"reservationId": first}).Status)
	c.RequireBalance(t, path, 8, 4, 4)
	require.Equal(t, http.StatusOK, c.Admin().Post(t, path+"/release", harness.Body{"reservationId": second}).Status)
	require.Equal(t, "ACTIVE", c.Admin().Get(t, path).Text("status"), "a release makes units available again")

	third := c.Admin().Post(t, path+"/reserve", harness.Body{"units": 4}).ReservationID(t)
	require.Equal(t, http.StatusOK, c.Admin().Post(t, path+"/consume", harness.Body{"reservationId": third}).Status)
	c.RequireBalance(t, path, 8, 8, 0)
	c.RequireClean(t)
}

func TestFirstAndLastDay(t *testing.T) { // 7
	t.Parallel()
	c := harness.Open(t)
	path := c.Authorize(t, 20, harness.Body{"startDate": "2026-03-01", "endDate": "2026-03-31"})
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
			answer := c.Admin().Post(t, path+"/reserve", harness.Body{"units": 1, "serviceDate": test.day})
			require.Equal(t, test.status, answer.Status, "%s", answer.Raw)
			if test.status == http.StatusConflict {
				answer.Refused(t, http.StatusConflict, "outside-authorization-dates")
				require.Equal(t, "2026-03-01", answer.Text("startDate"))
				require.Equal(t, "2026-03-31", answer.Text("endDate"))
			}
		})
	}
}

func TestLastDayEndsAtMidnightOnTheOrganizationsWall(t *testing.T) { // 7
	t.Parallel()
	c := harness.Open(t)
	newYork, err := time.LoadLocation("America/New_York")
	require.NoError(t, err)
	path := c.Authorize(t, 20, harness.Body{"startDate": "2026-03-01", "endDate": "2026-03-31"})

	// 23:45 in New York is 03:45 of the next day in UTC. The token is checked by the
	// same clock, so the caller signs in again.
	setClock := func(at time.Time) harness.Caller {
		c.Clock.SetAhead(time.Until(at))
		answer := c.As("").Post(t, "/auth/login", harness.Body{"email": "ADMIN@own.test", "password": harness.Password})
		return c.As(answer.Text("accessToken"))
	}
	lastQuarter := setClock(time.Date(2026, time.March, 31, 23, 45, 0, 0, newYork))
	lastQuarter.Post(t, path+"/reserve", harness.Body{"units": 1}).ReservationID(t)
	nextDay := setClock(time.Date(2026, time.April, 1, 0, 15, 0, 0, newYork))
	nextDay.Post(t, path+"/reserve", harness.Body{"units": 1}).Refused(t, http.StatusConflict,
		"outside-authorization-dates")
	require.Equal(t, "EXPIRED", nextDay.Get(t, path).Text("status"))
}

func TestTotalStaysAboveBookedUnits(t *testing.T) { // 8
	t.Parallel()
	c := harness.Open(t)
	path := c.Authorize(t, 10)
	id := c.Admin().Post(t, path+"/reserve", harness.Body{"units": 4}).ReservationID(t)
	c.Admin().Post(t, path+"/consume", harness.Body{"reservationId": id, "units": 3, "remainder": "keep"})
	c.RequireBalance(t, path, 10, 3, 1)

	answer := c.Admin().Patch(t, path, harness.Body{"totalUnits": 3}).Refused(t, http.StatusConflict, "total-below-booked")
	require.Equal(t, 3, answer.Number(t, "usedUnits"))
	require.Equal(t, 1, answer.Number(t, "scheduledUnits"))
	c.Admin().Patch(t, path, harness.Body{"totalUnits": -1}).Refused(t, http.StatusUnprocessableEntity,
		"validation-failed")
	c.RequireBalance(t, path, 10, 3, 1)

	require.Equal(t, http.StatusOK, c.Admin().Patch(t, path, harness.Body{
		"totalUnits": 4, "reason": "cut by the payer",
	}).Status)
	c.RequireBalance(t, path, 4, 3, 1)
	entries := c.Admin().Get(t, path+"/entries").Body["data"].([]any)
	last := entries[len(entries)-1].(map[string]any)
	require.Equal(t, "adjust", last["kind"])
	require.EqualValues(t, -6, last["units"])
	require.Equal(t, "cut by the payer", last["reason"])
	c.RequireClean(t)
}

func TestAuthorizationWithHistoryIsNotDeleted(t *testing.T) { // 9
	t.Parallel()
	c := harness.Open(t)
	unused := c.Authorize(t, 10)
	require.Equal(t, http.StatusNoContent, c.Admin().Delete(t, unused).Status)
	c.Admin().Get(t, unused).Refused(t, http.StatusNotFound, "authorization-not-found")

	used := c.Authorize(t, 10)
	id := c.Admin().Post(t, used+"/reserve", harness.Body{"units": 1}).ReservationID(t)
	c.Admin().Delete(t, used).Refused(t, http.StatusConflict, "authorization-has-history")
	c.Admin().Post(t, used+"/release", harness.Body{"reservationId": id})
	c.Admin().Delete(t, used).Refused(t, http.StatusConflict, "authorization-has-history")
	c.RequireBalance(t, used, 10, 0, 0)
}

func TestDoubleSubmitTakesEffectOnce(t *testing.T) { // 10
	t.Parallel()
	c := harness.Open(t)
	path := c.Authorize(t, 10)
	keyed := c.Admin().WithHeader("Idempotency-Key", "booking-1")
	first := keyed.Post(t, path+"/reserve", harness.Body{"units": 3})
	second := keyed.Post(t, path+"/reserve", harness.Body{"units": 3})
	require.Equal(t, http.StatusCreated, second.Status)
	require.JSONEq(t, string(first.Raw), string(second.Raw))
	require.Empty(t, first.Header.Get("Idempotency-Replayed"))
	require.Equal(t, "true", second.Header.Get("Idempotency-Replayed"))
	c.RequireBalance(t, path, 10, 0, 3)

	t.Run("it refuses the key for another request", func(t *testing.T) {
		keyed.Post(t, path+"/reserve", harness.Body{"units": 4}).Refused(t, http.StatusUnprocessableEntity,
			"idempotency-key-reused")
		keyed.Post(t, path+"/release", harness.Body{"units": 3}).Refused(t, http.StatusUnprocessableEntity,
			"idempotency-key-reused")
	})
	t.Run("it stores a refusal too", func(t *testing.T) {
		greedy := c.Admin().WithHeader("Idempotency-Key", "booking-2")
		refused := greedy.Post(t, path+"/reserve", harness.Body{"units": 8}).
			Refused(t, http.StatusConflict, "insufficient-units")
		require.Equal(t, "Insufficient units available. Available: 7, Requested: 8", refused.Text("detail"))
		c.Admin().Post(t, path+"/release", harness.Body{"units": 3})
		again := greedy.Post(t, path+"/reserve", harness.Body{"units": 8}).
			Refused(t, http.StatusConflict, "insufficient-units")
		require.Equal(t, refused.Text("detail"), again.Text("detail"))
		require.Equal(t, 7, again.Number(t, "available"))
		require.Equal(t, "true", again.Header.Get("Idempotency-Replayed"))
	})
	t.Run("it is another operation for another user", func(t *testing.T) {
		scheduler := c.As(c.Own.Tokens["SCHEDULER"]).WithHeader("Idempotency-Key", "booking-1")
		require.Empty(t, scheduler.Post(t, path+"/reserve", harness.Body{"units": 3}).Header.Get("Idempotency-Replayed"))
	})
	c.RequireClean(t)
}

func TestInvalidUnitsNameTheField(t *testing.T) { // 11
	t.Parallel()
	c := harness.Open(t)
	path := c.Authorize(t, 10)
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
			answer := c.Admin().SendRaw(t, http.MethodPost, path+"/reserve", strings.NewReader(content))
			answer.Refused(t, http.StatusUnprocessableEntity, "validation-failed")
			errors, ok := answer.Body["errors"].([]any)
			require.True(t, ok, "%s", answer.Raw)
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
			answer := c.Admin().SendRaw(t, http.MethodPost, path+"/reserve", strings.NewReader(content))
			require.Equal(t, http.StatusBadRequest, answer.Status, "%s", answer.Raw)
		})
	}
	c.RequireBalance(t, path, 10, 0, 0)
}

func TestHoldsExpire(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	path := c.Authorize(t, 10)
	held := c.Admin().Post(t, path+"/reserve", harness.Body{"units": 10, "expiresInSeconds": 60}).ReservationID(t)
	c.Admin().Post(t, path+"/reserve", harness.Body{"units": 1}).Refused(t, http.StatusConflict, "insufficient-units")

	c.Clock.SetAhead(time.Minute)
	t.Run("its units are available at once in every read", func(t *testing.T) {
		c.RequireBalance(t, path, 10, 0, 0)
		require.Equal(t, "ACTIVE", c.Admin().Get(t, path).Text("status"))
		list := c.Admin().Get(t, "/authorizations?status=ACTIVE")
		require.Len(t, list.Body["data"], 1)
		require.Equal(t, true, c.Admin().Post(t, path+"/preview", harness.Body{"units": 10}).Body["allowed"])
	})
	t.Run("it can no longer be consumed", func(t *testing.T) {
		answer := c.Admin().Post(t, path+"/consume", harness.Body{"reservationId": held}).
			Refused(t, http.StatusConflict, "reservation-closed")
		require.Equal(t, true, answer.Body["expired"])
	})
	t.Run("a reserve that needs its units takes them", func(t *testing.T) {
		c.Admin().Post(t, path+"/reserve", harness.Body{"units": 4}).ReservationID(t)
		c.RequireBalance(t, path, 10, 0, 4)
	})
	c.RequireClean(t)
}

func TestSweeperRecordsExpiredReservations(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	path := c.Authorize(t, 10)
	c.Admin().Post(t, path+"/reserve", harness.Body{"units": 2, "expiresInSeconds": 60})
	c.Admin().Post(t, path+"/reserve", harness.Body{"units": 3})
	c.Clock.SetAhead(time.Minute)

	written := make([]int64, 4)
	harness.Concurrently(len(written), func(i int) {
		n, err := c.App.Authorizations.SweepHolds(t.Context())
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
	c.RequireBalance(t, path, 10, 0, 3)
	require.Len(t, c.Admin().Get(t, path+"/reservations?open=true").Body["data"], 1)
	c.RequireClean(t)
}

func TestConsumeOfReservedAndUnreservedUnits(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	t.Run("it reports the missing units of a longer session", func(t *testing.T) {
		path := c.Authorize(t, 10)
		id := c.Admin().Post(t, path+"/reserve", harness.Body{"units": 8}).ReservationID(t)
		answer := c.Admin().Post(t, path+"/consume", harness.Body{"reservationId": id, "units": 12})
		require.Equal(t, http.StatusOK, answer.Status, "%s", answer.Raw)
		require.Equal(t, 10, answer.Number(t, "consumedUnits"))
		require.Equal(t, 2, answer.Number(t, "missingUnits"))
		c.RequireBalance(t, path, 10, 10, 0)
	})
	t.Run("it returns the rest of a shorter session", func(t *testing.T) {
		path := c.Authorize(t, 10)
		id := c.Admin().Post(t, path+"/reserve", harness.Body{"units": 8}).ReservationID(t)
		c.Admin().Post(t, path+"/consume", harness.Body{"reservationId": id, "units": 6})
		c.RequireBalance(t, path, 10, 6, 0)
		c.Admin().Post(t, path+"/consume", harness.Body{"reservationId": id}).
			Refused(t, http.StatusConflict, "reservation-closed")
	})
	t.Run("it is possible after the authorization has ended", func(t *testing.T) {
		today := c.Clock.Now()
		path := c.Authorize(t, 10, harness.Body{
			"startDate": today.AddDate(0, -2, 0).Format(time.DateOnly), "endDate": today.AddDate(0, -1, 0).Format(time.DateOnly),
		})
		id := c.Admin().Post(t, path+"/reserve",
			harness.Body{"units": 4, "serviceDate": today.AddDate(0, -1, -3).Format(time.DateOnly)}).ReservationID(t)
		require.Equal(t, "EXPIRED", c.Admin().Get(t, path).Text("status"))
		require.Equal(t, http.StatusOK, c.Admin().Post(t, path+"/consume", harness.Body{"reservationId": id}).Status)
		c.RequireBalance(t, path, 10, 4, 0)
	})
	t.Run("it requires units or a reservation", func(t *testing.T) {
		path := c.Authorize(t, 10)
		c.Admin().Post(t, path+"/consume", harness.Body{}).Refused(t, http.StatusUnprocessableEntity, "validation-failed")
		c.Admin().Post(t, path+"/release", harness.Body{}).Refused(t, http.StatusUnprocessableEntity, "validation-failed")
	})
	c.RequireClean(t)
}

func TestPreviewWritesNothing(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	path := c.Authorize(t, 10)
	allowed := c.Admin().Post(t, path+"/preview", harness.Body{"units": 7})
	require.Equal(t, true, allowed.Body["allowed"])
	require.Equal(t, 3, allowed.Number(t, "authorization", "availableUnits"))
	refused := c.Admin().Post(t, path+"/preview", harness.Body{"units": 11})
	require.Equal(t, http.StatusOK, refused.Status)
	require.Equal(t, false, refused.Body["allowed"])
	require.Equal(t, "insufficient-units", refused.Body["refusal"].(map[string]any)["code"])
	c.RequireBalance(t, path, 10, 0, 0)
	require.Empty(t, c.Admin().Get(t, path+"/entries").Body["data"])
}

func TestChangeOfAnAuthorization(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	t.Run("it distinguishes null from absent", func(t *testing.T) {
		path := c.Authorize(t, 10, harness.Body{"notes": "call first", "authNumber": "A-1"})
		answer := c.Admin().Patch(t, path, harness.Body{"notes": nil})
		require.Equal(t, http.StatusOK, answer.Status, "%s", answer.Raw)
		require.Nil(t, answer.Body["notes"])
		require.Equal(t, "A-1", answer.Text("authNumber"))
		require.Equal(t, 2, answer.Number(t, "version"))
	})
	t.Run("it stores decisions and refuses computed states", func(t *testing.T) {
		path := c.Authorize(t, 10)
		c.Admin().Patch(t, path, harness.Body{"status": "EXPIRED"}).
			Refused(t, http.StatusUnprocessableEntity, "validation-failed")
		require.Equal(t, "CANCELLED", c.Admin().Patch(t, path, harness.Body{"status": "CANCELLED"}).Text("status"))
		c.Admin().Post(t, path+"/reserve", harness.Body{"units": 1}).
			Refused(t, http.StatusConflict, "authorization-not-active")
		c.Admin().Patch(t, path, harness.Body{"status": "PENDING"}).
			Refused(t, http.StatusConflict, "status-transition-not-allowed")
	})
	t.Run("it does not strand open reservations", func(t *testing.T) {
		path := c.Authorize(t, 10, harness.Body{"startDate": "2026-03-01", "endDate": "2026-03-31"})
		c.Admin().Post(t, path+"/reserve", harness.Body{"units": 4, "serviceDate": "2026-03-20"})
		answer := c.Admin().Patch(t, path, harness.Body{"endDate": "2026-03-19"}).
			Refused(t, http.StatusConflict, "reservations-outside-dates")
		require.Equal(t, 4, answer.Number(t, "units"))
		require.Equal(t, http.StatusOK, c.Admin().Patch(t, path, harness.Body{"endDate": "2026-03-20"}).Status)
	})
	t.Run("it changes all of it or nothing", func(t *testing.T) {
		path := c.Authorize(t, 10)
		c.Admin().Post(t, path+"/reserve", harness.Body{"units": 4})
		c.Admin().Patch(t, path, harness.Body{"notes": "changed", "totalUnits": 3}).
			Refused(t, http.StatusConflict, "total-below-booked")
		require.Nil(t, c.Admin().Get(t, path).Body["notes"])
	})
	t.Run("it refuses dates in the wrong order and unknown fields", func(t *testing.T) {
		path := c.Authorize(t, 10)
		c.Admin().Patch(t, path, harness.Body{"endDate": "2000-01-01"}).
			Refused(t, http.StatusUnprocessableEntity, "validation-failed")
		for _, column := range []string{"organizationId", "usedUnits", "scheduledUnits", "version", "id", "patientId"} {
			c.Admin().Patch(t, path, harness.Body{column: 0}).Refused(t, http.StatusUnprocessableEntity, "validation-failed")
		}
	})
}

func TestListsArePaged(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	var created []string
	for range 5 {
		created = append(created, strings.TrimPrefix(c.Authorize(t, 10), "/authorizations/"))
	}
	var seen []string
	cursor := ""
	for range 3 {
		page := c.Admin().Get(t, "/authorizations?limit=2"+cursor)
		for _, item := range page.Body["data"].([]any) {
			seen = append(seen, item.(map[string]any)["id"].(string))
		}
		if next, ok := page.Body["nextCursor"].(string); ok {
			cursor = "&cursor=" + next
		}
	}
	require.Equal(t, created, seen)
	for _, query := range []string{
		"?limit=0", "?limit=201", "?cursor=nonsense", "?nonsense=1", "?patientId=7",
		"?status=OPEN",
	} {
		answer := c.Admin().Get(t, "/authorizations"+query)
		require.Contains(t, []int{http.StatusBadRequest, http.StatusUnprocessableEntity}, answer.Status, "%s: %s", query,
			answer.Raw)
	}
}
