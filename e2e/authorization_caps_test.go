package e2e

import (
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omnirapeutic/e2e/harness"
)

// caps returns the caps of a request from alternating periods and units.
func caps(pairs ...any) []harness.Body {
	list := []harness.Body{}
	for i := 0; i < len(pairs); i += 2 {
		list = append(list, harness.Body{"period": pairs[i], "units": pairs[i+1]})
	}
	return list
}

// march is the dates of an authorization that include all of March 2026.
var march = harness.Body{"startDate": "2026-03-01", "endDate": "2026-03-31"}

func TestCapsAreEnteredAndChanged(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	path := c.Authorize(t, 10, harness.Body{"caps": caps("TOTAL", 9, "DAY", 0)})
	shown := func() any { return c.Admin().Get(t, path).Body["caps"] }
	is := func(pairs ...any) []any {
		list := []any{}
		for i := 0; i < len(pairs); i += 2 {
			list = append(list, map[string]any{"period": pairs[i], "units": float64(pairs[i+1].(int))})
		}
		return list
	}
	require.Equal(t, is("DAY", 0, "TOTAL", 9), shown())

	t.Run("it leaves absent caps unchanged", func(t *testing.T) {
		c.Admin().Patch(t, path, harness.Body{"notes": "changed"})
		require.Equal(t, is("DAY", 0, "TOTAL", 9), shown())
	})
	t.Run("it replaces all of them", func(t *testing.T) {
		answer := c.Admin().Patch(t, path, harness.Body{"caps": caps("WEEK", 4, "MONTH", 8)})
		require.Equal(t, is("WEEK", 4, "MONTH", 8), answer.Body["caps"], "%s", answer.Raw)
		require.Equal(t, 3, answer.Number(t, "version"))
		require.Equal(t, 3, c.Admin().Patch(t, path, harness.Body{"caps": caps("MONTH", 8, "WEEK", 4)}).Number(t, "version"),
			"no change")
	})
	t.Run("it clears them with null or an empty list", func(t *testing.T) {
		for _, none := range []any{nil, []harness.Body{}} {
			c.Admin().Patch(t, path, harness.Body{"caps": caps("WEEK", 4)})
			require.Equal(t, is(), c.Admin().Patch(t, path, harness.Body{"caps": none}).Body["caps"])
			require.Equal(t, is(), shown())
		}
		require.Equal(t, is(), c.Admin().Get(t, c.Authorize(t, 10, harness.Body{"caps": nil})).Body["caps"])
	})
	for name, test := range map[string]struct {
		caps  any
		field string
	}{
		"two caps of one period": {caps("DAY", 1, "WEEK", 1, "DAY", 2), "caps[2].period"},
		"an unknown period":      {caps("YEAR", 1), "caps[0].period"},
		"units below zero":       {caps("DAY", -1), "caps[0].units"},
		"too many units":         {caps("DAY", 10_000_001), "caps[0].units"},
		"half a unit":            {caps("DAY", 1.5), "caps[0].units"},
		"no units":               {[]harness.Body{{"period": "DAY"}}, "caps[0].units"},
		"no period":              {[]harness.Body{{"units": 1}}, "caps[0].period"},
		"an unknown field":       {[]harness.Body{{"units": 1, "period": "DAY", "from": 1}}, "caps[0].from"},
		"no list":                {7, "caps"},
	} {
		t.Run("it refuses "+name, func(t *testing.T) {
			answer := c.Admin().Patch(t, path, harness.Body{"caps": test.caps}).
				Refused(t, http.StatusUnprocessableEntity, "validation-failed")
			require.Equal(t, test.field, answer.Body["errors"].([]any)[0].(map[string]any)["field"], "%s", answer.Raw)
		})
	}
}

func TestCapRefusalReportsMissingUnits(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	insurance := c.AddInsurance(t, "weekStartsOn", "MONDAY")
	payer := c.Admin().Get(t, "/insurances/"+insurance.String()).Text("payerId")
	path := c.Authorize(t, 100, march, harness.Body{"insuranceId": insurance, "caps": caps("WEEK", 10)})
	reserve := func(units int, day string) harness.Answer {
		return c.Admin().Post(t, path+"/reserve", harness.Body{"units": units, "serviceDate": day})
	}
	reserve(4, "2026-03-09").ReservationID(t) // a Monday
	sunday := reserve(5, "2026-03-15").ReservationID(t)

	refused := reserve(3, "2026-03-11").Refused(t, http.StatusConflict, "cap-exceeded")
	require.Equal(t, "WEEK", refused.Text("cap"))
	require.Equal(t, "2026-03-09", refused.Text("periodStart"))
	require.Equal(t, "2026-03-15", refused.Text("periodEnd"))
	for member, want := range map[string]int{"limit": 10, "booked": 9, "requested": 3, "missing": 2} {
		require.Equal(t, want, refused.Number(t, member), member)
	}
	require.Equal(t,
		"The authorization allows 10 units in the week from 2026-03-09 to 2026-03-15. Booked: 9, Requested: 3, Missing: 2",
		refused.Text("detail"))
	reserve(10, "2026-03-16").ReservationID(t)
	reserve(10, "2026-03-08").ReservationID(t)

	t.Run("a preview has the same refusal", func(t *testing.T) {
		preview := c.Admin().Post(t, path+"/preview", harness.Body{"units": 3, "serviceDate": "2026-03-11"})
		require.Equal(t, false, preview.Body["allowed"])
		refusal := preview.Body["refusal"].(map[string]any)
		require.Equal(t, "cap-exceeded", refusal["code"])
		require.Equal(t, refused.Text("detail"), refusal["detail"])
		require.EqualValues(t, 2, refusal["details"].(map[string]any)["missing"])
		require.Equal(t, true,
			c.Admin().Post(t, path+"/preview", harness.Body{"units": 1, "serviceDate": "2026-03-11"}).Body["allowed"])
	})
	t.Run("it stores the refusal of a key", func(t *testing.T) {
		keyed := c.Admin().WithHeader("Idempotency-Key", "too-many")
		for range 2 {
			again := keyed.Post(t, path+"/reserve", harness.Body{"units": 3, "serviceDate": "2026-03-11"})
			require.Equal(t, 2, again.Refused(t, http.StatusConflict, "cap-exceeded").Number(t, "missing"))
		}
	})
	t.Run("consuming above the cap is not refused, and counts", func(t *testing.T) {
		consumed := c.Admin().Post(t, path+"/consume", harness.Body{"reservationId": sunday, "units": 8})
		require.Equal(t, http.StatusOK, consumed.Status, "%s", consumed.Raw)
		require.Equal(t, 8, consumed.Number(t, "consumedUnits"))
		require.Zero(t, consumed.Number(t, "missingUnits"))
		require.Equal(t, 12, reserve(1, "2026-03-11").Refused(t, http.StatusConflict, "cap-exceeded").Number(t, "booked"))
	})
	t.Run("a changed week of the payer applies from then on", func(t *testing.T) {
		// From Sunday to Saturday: 10 units on the 8th, 4 on the 9th.
		c.Admin().Patch(t, "/payers/"+payer, harness.Body{"weekStartsOn": "SUNDAY"})
		again := reserve(1, "2026-03-11").Refused(t, http.StatusConflict, "cap-exceeded")
		require.Equal(t, "2026-03-08", again.Text("periodStart"))
		require.Equal(t, 14, again.Number(t, "booked"))
	})
	c.RequireClean(t)
}

func TestCapsThatAreLowered(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	path := c.Authorize(t, 100, march, harness.Body{"caps": caps("MONTH", 20)})
	onTenth := harness.Body{"units": 10, "serviceDate": "2026-03-10"}
	first := c.Admin().Post(t, path+"/reserve", onTenth).ReservationID(t)
	second := c.Admin().Post(t, path+"/reserve", onTenth).ReservationID(t)
	require.Equal(t, http.StatusOK, c.Admin().Patch(t, path, harness.Body{"caps": caps("MONTH", 5)}).Status)
	c.RequireBalance(t, path, 100, 0, 20)

	require.Equal(t, http.StatusOK, c.Admin().Post(t, path+"/consume", harness.Body{"reservationId": first}).Status)
	one := harness.Body{"units": 1, "serviceDate": "2026-03-20"}
	require.Equal(t, 16,
		c.Admin().Post(t, path+"/reserve", one).Refused(t, http.StatusConflict, "cap-exceeded").Number(t, "missing"))
	require.Equal(t, http.StatusOK, c.Admin().Post(t, path+"/release", harness.Body{"reservationId": second}).Status)
	require.Equal(t, 10,
		c.Admin().Post(t, path+"/reserve", one).Refused(t, http.StatusConflict, "cap-exceeded").Number(t, "booked"))
	require.Equal(t, http.StatusOK, c.Admin().Patch(t, path, harness.Body{"caps": caps("MONTH", 11)}).Status)
	c.Admin().Post(t, path+"/reserve", one).ReservationID(t)
	c.RequireClean(t)
}

func TestCapsThatComeLater(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	path := c.Authorize(t, 100, march)
	on := func(day string, units int) harness.Body {
		return harness.Body{"units": units, "serviceDate": "2026-03-" + day}
	}
	used := c.Admin().Post(t, path+"/reserve", on("10", 4)).ReservationID(t)
	c.Admin().Post(t, path+"/consume", harness.Body{"reservationId": used, "units": 3}) // 1 is released
	gone := c.Admin().Post(t, path+"/reserve", on("10", 7)).ReservationID(t)
	c.Admin().Post(t, path+"/release", harness.Body{"reservationId": gone})
	c.Admin().Post(t, path+"/reserve", on("10", 2)).ReservationID(t)
	c.Admin().Post(t, path+"/reserve", on("11", 5)).ReservationID(t)

	c.Admin().Patch(t, path, harness.Body{"caps": caps("DAY", 6), "totalUnits": 90})
	require.Equal(t, 5,
		c.Admin().Post(t, path+"/reserve", on("10", 2)).Refused(t, http.StatusConflict, "cap-exceeded").Number(t, "booked"))
	c.Admin().Post(t, path+"/reserve", on("10", 1)).ReservationID(t)
	c.RequireClean(t)

	c.Admin().Patch(t, path, harness.Body{"caps": nil})
	c.Admin().Post(t, path+"/reserve", on("10", 4)).ReservationID(t)
	c.Admin().Patch(t, path, harness.Body{"caps": caps("MONTH", 16)})
	require.Equal(t, 15,
		c.Admin().Post(t, path+"/reserve", on("31", 2)).Refused(t, http.StatusConflict, "cap-exceeded").Number(t, "booked"))
	c.RequireClean(t)
}

func TestExpiredHoldsDoNotCountAgainstCaps(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	path := c.Authorize(t, 100, harness.Body{"caps": caps("DAY", 10, "TOTAL", 10)})
	day := c.Clock.Now().Format(time.DateOnly)
	c.Admin().Post(t, path+"/reserve", harness.Body{"units": 10, "expiresInSeconds": 60, "serviceDate": day}).
		ReservationID(t)
	c.Admin().Post(t, path+"/reserve", harness.Body{"units": 1, "serviceDate": day}).Refused(t, http.StatusConflict,
		"cap-exceeded")
	c.Clock.SetAhead(time.Minute)
	require.Equal(t, true, c.Admin().Post(t, path+"/preview", harness.Body{
		"units": 10, "serviceDate": day,
	}).Body["allowed"])
	c.Admin().Post(t, path+"/reserve", harness.Body{"units": 10, "serviceDate": day}).ReservationID(t)
	c.Admin().Post(t, path+"/reserve", harness.Body{"units": 1, "serviceDate": day}).Refused(t, http.StatusConflict,
		"cap-exceeded")
	c.RequireClean(t)
}

func TestFiftyReservesAgainstACapForTwenty(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	path := c.Authorize(t, 1000, march, harness.Body{"caps": caps("DAY", 20)})
	var accepted, refused atomic.Int64
	harness.Concurrently(50, func(int) {
		answer := c.Admin().Post(t, path+"/reserve", harness.Body{"units": 1, "serviceDate": "2026-03-10"})
		switch {
		case answer.Status == http.StatusCreated:
			accepted.Add(1)
		case answer.Status == http.StatusConflict && answer.Text("code") == "cap-exceeded":
			refused.Add(1)
		default:
			t.Errorf("neither accepted nor refused: %s", answer.Raw)
		}
	})
	require.EqualValues(t, 20, accepted.Load())
	require.EqualValues(t, 30, refused.Load())
	c.RequireBalance(t, path, 1000, 0, 20)
	c.RequireClean(t)
}
