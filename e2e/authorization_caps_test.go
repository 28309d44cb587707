package e2e

import (
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// caps returns the caps of a request from alternating periods and units.
func caps(pairs ...any) []body {
	list := []body{}
	for i := 0; i < len(pairs); i += 2 {
		list = append(list, body{"period": pairs[i], "units": pairs[i+1]})
	}
	return list
}

// march is the dates of an authorization that include all of March 2026.
var march = body{"startDate": "2026-03-01", "endDate": "2026-03-31"}

// insured creates an insurance of the clinic's patient by a payer whose weeks begin on
// the day.
func (c *clinic) insured(t testing.TB, weekStartsOn string) string {
	t.Helper()
	payer := c.admin().post(t, "/payers", body{"name": "Example Health Plan", "weekStartsOn": weekStartsOn}).created(t)
	return c.admin().post(t, "/insurances", body{
		"patientId": c.own.patient, "payerId": payer, "memberNumber": "M-1", "startsOn": "2026-01-01",
	}).created(t).String()
}

func TestCapsAreEnteredAndChanged(t *testing.T) {
	t.Parallel()
	c := open(t)
	path := c.authorize(t, 10, body{"caps": caps("TOTAL", 9, "DAY", 0)})
	shown := func() any { return c.admin().get(t, path).body["caps"] }
	is := func(pairs ...any) []any {
		list := []any{}
		for i := 0; i < len(pairs); i += 2 {
			list = append(list, map[string]any{"period": pairs[i], "units": float64(pairs[i+1].(int))})
		}
		return list
	}
	require.Equal(t, is("DAY", 0, "TOTAL", 9), shown())

	t.Run("it leaves absent caps unchanged", func(t *testing.T) {
		c.admin().patch(t, path, body{"notes": "changed"})
		require.Equal(t, is("DAY", 0, "TOTAL", 9), shown())
	})
	t.Run("it replaces all of them", func(t *testing.T) {
		answer := c.admin().patch(t, path, body{"caps": caps("WEEK", 4, "MONTH", 8)})
		require.Equal(t, is("WEEK", 4, "MONTH", 8), answer.body["caps"], "%s", answer.raw)
		require.Equal(t, 3, answer.number(t, "version"))
		require.Equal(t, 3, c.admin().patch(t, path, body{"caps": caps("MONTH", 8, "WEEK", 4)}).number(t, "version"),
			"no change")
	})
	t.Run("it clears them with null or an empty list", func(t *testing.T) {
		for _, none := range []any{nil, []body{}} {
			c.admin().patch(t, path, body{"caps": caps("WEEK", 4)})
			require.Equal(t, is(), c.admin().patch(t, path, body{"caps": none}).body["caps"])
			require.Equal(t, is(), shown())
		}
		require.Equal(t, is(), c.admin().get(t, c.authorize(t, 10, body{"caps": nil})).body["caps"])
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
		"no units":               {[]body{{"period": "DAY"}}, "caps[0].units"},
		"no period":              {[]body{{"units": 1}}, "caps[0].period"},
		"an unknown field":       {[]body{{"units": 1, "period": "DAY", "from": 1}}, "caps[0].from"},
		"no list":                {7, "caps"},
	} {
		t.Run("it refuses "+name, func(t *testing.T) {
			answer := c.admin().patch(t, path, body{"caps": test.caps}).
				refused(t, http.StatusUnprocessableEntity, "validation-failed")
			require.Equal(t, test.field, answer.body["errors"].([]any)[0].(map[string]any)["field"], "%s", answer.raw)
		})
	}
}

func TestCapRefusalReportsMissingUnits(t *testing.T) {
	t.Parallel()
	c := open(t)
	insurance := c.insured(t, "MONDAY")
	payer := c.admin().get(t, "/insurances/"+insurance).text("payerId")
	path := c.authorize(t, 100, march, body{"insuranceId": insurance, "caps": caps("WEEK", 10)})
	reserve := func(units int, day string) answer {
		return c.admin().post(t, path+"/reserve", body{"units": units, "serviceDate": day})
	}
	reserve(4, "2026-03-09").reservationID(t) // a Monday
	sunday := reserve(5, "2026-03-15").reservationID(t)

	refused := reserve(3, "2026-03-11").refused(t, http.StatusConflict, "cap-exceeded")
	require.Equal(t, "WEEK", refused.text("cap"))
	require.Equal(t, "2026-03-09", refused.text("periodStart"))
	require.Equal(t, "2026-03-15", refused.text("periodEnd"))
	for member, want := range map[string]int{"limit": 10, "booked": 9, "requested": 3, "missing": 2} {
		require.Equal(t, want, refused.number(t, member), member)
	}
	require.Equal(t,
		"The authorization allows 10 units in the week from 2026-03-09 to 2026-03-15. Booked: 9, Requested: 3, Missing: 2",
		refused.text("detail"))
	reserve(10, "2026-03-16").reservationID(t)
	reserve(10, "2026-03-08").reservationID(t)

	t.Run("a preview has the same refusal", func(t *testing.T) {
		preview := c.admin().post(t, path+"/preview", body{"units": 3, "serviceDate": "2026-03-11"})
		require.Equal(t, false, preview.body["allowed"])
		refusal := preview.body["refusal"].(map[string]any)
		require.Equal(t, "cap-exceeded", refusal["code"])
		require.Equal(t, refused.text("detail"), refusal["detail"])
		require.EqualValues(t, 2, refusal["details"].(map[string]any)["missing"])
		require.Equal(t, true,
			c.admin().post(t, path+"/preview", body{"units": 1, "serviceDate": "2026-03-11"}).body["allowed"])
	})
	t.Run("it stores the refusal of a key", func(t *testing.T) {
		keyed := c.admin().with("Idempotency-Key", "too-many")
		for range 2 {
			again := keyed.post(t, path+"/reserve", body{"units": 3, "serviceDate": "2026-03-11"})
			require.Equal(t, 2, again.refused(t, http.StatusConflict, "cap-exceeded").number(t, "missing"))
		}
	})
	t.Run("consuming above the cap is not refused, and counts", func(t *testing.T) {
		consumed := c.admin().post(t, path+"/consume", body{"reservationId": sunday, "units": 8})
		require.Equal(t, http.StatusOK, consumed.status, "%s", consumed.raw)
		require.Equal(t, 8, consumed.number(t, "consumedUnits"))
		require.Zero(t, consumed.number(t, "missingUnits"))
		require.Equal(t, 12, reserve(1, "2026-03-11").refused(t, http.StatusConflict, "cap-exceeded").number(t, "booked"))
	})
	t.Run("a changed week of the payer applies from then on", func(t *testing.T) {
		// From Sunday to Saturday: 10 units on the 8th, 4 on the 9th.
		c.admin().patch(t, "/payers/"+payer, body{"weekStartsOn": "SUNDAY"})
		again := reserve(1, "2026-03-11").refused(t, http.StatusConflict, "cap-exceeded")
		require.Equal(t, "2026-03-08", again.text("periodStart"))
		require.Equal(t, 14, again.number(t, "booked"))
	})
	c.requireClean(t)
}

func TestCapsThatAreLowered(t *testing.T) {
	t.Parallel()
	c := open(t)
	path := c.authorize(t, 100, march, body{"caps": caps("MONTH", 20)})
	onTenth := body{"units": 10, "serviceDate": "2026-03-10"}
	first := c.admin().post(t, path+"/reserve", onTenth).reservationID(t)
	second := c.admin().post(t, path+"/reserve", onTenth).reservationID(t)
	require.Equal(t, http.StatusOK, c.admin().patch(t, path, body{"caps": caps("MONTH", 5)}).status)
	c.requireBalance(t, path, 100, 0, 20)

	require.Equal(t, http.StatusOK, c.admin().post(t, path+"/consume", body{"reservationId": first}).status)
	one := body{"units": 1, "serviceDate": "2026-03-20"}
	require.Equal(t, 16,
		c.admin().post(t, path+"/reserve", one).refused(t, http.StatusConflict, "cap-exceeded").number(t, "missing"))
	require.Equal(t, http.StatusOK, c.admin().post(t, path+"/release", body{"reservationId": second}).status)
	require.Equal(t, 10,
		c.admin().post(t, path+"/reserve", one).refused(t, http.StatusConflict, "cap-exceeded").number(t, "booked"))
	require.Equal(t, http.StatusOK, c.admin().patch(t, path, body{"caps": caps("MONTH", 11)}).status)
	c.admin().post(t, path+"/reserve", one).reservationID(t)
	c.requireClean(t)
}

func TestCapsThatComeLater(t *testing.T) {
	t.Parallel()
	c := open(t)
	path := c.authorize(t, 100, march)
	on := func(day string, units int) body { return body{"units": units, "serviceDate": "2026-03-" + day} }
	used := c.admin().post(t, path+"/reserve", on("10", 4)).reservationID(t)
	c.admin().post(t, path+"/consume", body{"reservationId": used, "units": 3}) // 1 is released
	gone := c.admin().post(t, path+"/reserve", on("10", 7)).reservationID(t)
	c.admin().post(t, path+"/release", body{"reservationId": gone})
	c.admin().post(t, path+"/reserve", on("10", 2)).reservationID(t)
	c.admin().post(t, path+"/reserve", on("11", 5)).reservationID(t)

	c.admin().patch(t, path, body{"caps": caps("DAY", 6), "totalUnits": 90})
	require.Equal(t, 5,
		c.admin().post(t, path+"/reserve", on("10", 2)).refused(t, http.StatusConflict, "cap-exceeded").number(t, "booked"))
	c.admin().post(t, path+"/reserve", on("10", 1)).reservationID(t)
	c.requireClean(t)

	c.admin().patch(t, path, body{"caps": nil})
	c.admin().post(t, path+"/reserve", on("10", 4)).reservationID(t)
	c.admin().patch(t, path, body{"caps": caps("MONTH", 16)})
	require.Equal(t, 15,
		c.admin().post(t, path+"/reserve", on("31", 2)).refused(t, http.StatusConflict, "cap-exceeded").number(t, "booked"))
	c.requireClean(t)
}

func TestExpiredHoldsDoNotCountAgainstCaps(t *testing.T) {
	t.Parallel()
	c := open(t)
	path := c.authorize(t, 100, body{"caps": caps("DAY", 10, "TOTAL", 10)})
	day := c.clock.now().Format(time.DateOnly)
	c.admin().post(t, path+"/reserve", body{"units": 10, "expiresInSeconds": 60, "serviceDate": day}).reservationID(t)
	c.admin().post(t, path+"/reserve", body{"units": 1, "serviceDate": day}).refused(t, http.StatusConflict,
		"cap-exceeded")
	c.clock.set(time.Minute)
	require.Equal(t, true, c.admin().post(t, path+"/preview", body{"units": 10, "serviceDate": day}).body["allowed"])
	c.admin().post(t, path+"/reserve", body{"units": 10, "serviceDate": day}).reservationID(t)
	c.admin().post(t, path+"/reserve", body{"units": 1, "serviceDate": day}).refused(t, http.StatusConflict,
		"cap-exceeded")
	c.requireClean(t)
}

func TestFiftyReservesAgainstACapForTwenty(t *testing.T) {
	t.Parallel()
	c := open(t)
	path := c.authorize(t, 1000, march, body{"caps": caps("DAY", 20)})
	var accepted, refused atomic.Int64
	together(50, func(int) {
		answer := c.admin().post(t, path+"/reserve", body{"units": 1, "serviceDate": "2026-03-10"})
		switch {
		case answer.status == http.StatusCreated:
			accepted.Add(1)
		case answer.status == http.StatusConflict && answer.text("code") == "cap-exceeded":
			refused.Add(1)
		default:
			t.Errorf("neither accepted nor refused: %s", answer.raw)
		}
	})
	require.EqualValues(t, 20, accepted.Load())
	require.EqualValues(t, 30, refused.Load())
	c.requireBalance(t, path, 1000, 0, 20)
	c.requireClean(t)
}
