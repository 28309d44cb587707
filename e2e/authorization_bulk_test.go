package e2e

import (
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"omnirapeutic/e2e/harness"
	"omnirapeutic/modules/rbac"
)

func atomically(items ...harness.Body) harness.Body {
	return harness.Body{"operations": items, "atomic": true}
}

func TestBulkReportsTheOutcomeOfEachOperation(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	one, other, capped := c.Authorize(t, 10), c.Authorize(t,
		5), c.Authorize(t, 50, march, harness.Body{"caps": caps("DAY", 4)})
	held := c.Admin().Post(t, one+"/reserve", harness.Body{"units": 4}).ReservationID(t)
	onTenth := func(units int) harness.Body { return harness.Body{"units": units, "serviceDate": "2026-03-10"} }

	answer := c.Admin().Post(t, "/units/bulk", harness.BulkBody(
		harness.BulkItem(one, "reserve", harness.Body{"units": 6, "reference": "a visit"}),
		harness.BulkItem(other, "reserve", harness.Body{"units": 6}),
		harness.BulkItem(one, "reserve", harness.Body{"units": 1}),
		harness.BulkItem(one, "consume", harness.Body{"reservationId": held, "units": 3, "reason": "shorter"}),
		harness.BulkItem(one, "reserve", harness.Body{"units": 1}),
		harness.BulkItem(capped, "reserve", onTenth(3)),
		harness.BulkItem(capped, "reserve", onTenth(2)),
		harness.BulkItem(capped, "release", harness.Body{"units": 2}),
		harness.BulkItem(capped, "reserve", onTenth(2)),
		harness.BulkItem(other, "release", harness.Body{"reservationId": held}),
		harness.BulkItem(other, "consume", harness.Body{"units": 7}),
	))
	require.Equal(t, http.StatusOK, answer.Status, "%s", answer.Raw)
	require.Equal(t, []string{
		"", "insufficient-units", "insufficient-units", "", "", "", "cap-exceeded", "", "", "reservation-not-found", "",
	}, answer.RefusalCodes(t))

	t.Run("an accepted item has the answer of the single call", func(t *testing.T) {
		reserved := answer.Result(t, 0)
		require.Equal(t, 6, reserved.Number(t, "reservation", "units"))
		require.Equal(t, "a visit", reserved.Body["reservation"].(map[string]any)["reference"])
		require.Equal(t, 10, reserved.Number(t, "authorization", "scheduledUnits"))
		require.Zero(t, reserved.Number(t, "authorization", "availableUnits"))
		consumed := answer.Result(t, 3)
		require.Equal(t, 3, consumed.Number(t, "consumedUnits"))
		require.Zero(t, consumed.Number(t, "missingUnits"))
		require.Len(t, consumed.Body["reservations"], 1)
		require.Equal(t, 6, consumed.Number(t, "authorization", "scheduledUnits"), "as of then")
		require.Equal(t, 2, answer.Result(t, 10).Number(t, "missingUnits"))
	})
	t.Run("a refused item has its reason", func(t *testing.T) {
		refused := answer.Result(t, 6)
		require.Equal(t, 1, refused.Number(t, "refusal", "details", "missing"))
		require.NotContains(t, refused.Body, "authorization")
		require.Zero(t, answer.Result(t, 2).Number(t, "refusal", "details", "available"))
	})
	c.RequireBalance(t, one, 10, 3, 7)
	c.RequireBalance(t, other, 5, 5, 0)
	c.RequireBalance(t, capped, 50, 0, 3)
	c.RequireClean(t)
}

func TestAtomicBulk(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	one, other := c.Authorize(t, 10), c.Authorize(t, 5)
	held := c.Admin().Post(t, one+"/reserve", harness.Body{"units": 4}).ReservationID(t)
	state := func() string { return string(c.Admin().Get(t, one).Raw) + string(c.Admin().Get(t, other).Raw) }
	before := state()
	keyed := c.Admin().WithHeader("Idempotency-Key", "all-or-nothing")
	request := atomically(
		harness.BulkItem(one, "release", harness.Body{"reservationId": held}),
		harness.BulkItem(other, "reserve", harness.Body{"units": 6}),
		harness.BulkItem(one, "reserve", harness.Body{"units": 10}),
	)

	t.Run("it changes nothing if one of them is refused", func(t *testing.T) {
		for range 2 {
			answer := c.Admin().Post(t, "/units/bulk", request).Refused(t, http.StatusConflict, "bulk-refused")
			require.Equal(t, "1 of 3 operations were refused, so nothing was changed.", answer.Text("detail"))
			require.Equal(t, []string{"", "insufficient-units", ""}, answer.RefusalCodes(t))
			require.NotContains(t, answer.Result(t, 0).Body, "reservations", "nothing was executed")
		}
		require.Equal(t, before, state())
		require.Len(t, c.Admin().Get(t, one+"/entries").Body["data"], 1)
	})
	t.Run("it stores the refusal of a key", func(t *testing.T) {
		first := keyed.Post(t, "/units/bulk", request).Refused(t, http.StatusConflict, "bulk-refused")
		require.Empty(t, first.Header.Get("Idempotency-Replayed"))
		c.Admin().Patch(t, other, harness.Body{"totalUnits": 50})
		again := keyed.Post(t, "/units/bulk", request).Refused(t, http.StatusConflict, "bulk-refused")
		require.Equal(t, "true", again.Header.Get("Idempotency-Replayed"))
		require.Equal(t, first.Body["results"], again.Body["results"])
		c.RequireBalance(t, one, 10, 0, 4)
		request["atomic"] = false
		keyed.Post(t, "/units/bulk", request).Refused(t, http.StatusUnprocessableEntity, "idempotency-key-reused")
		request["atomic"] = true
	})
	t.Run("it executes all if none is refused", func(t *testing.T) {
		answer := c.Admin().Post(t, "/units/bulk", request)
		require.Equal(t, http.StatusOK, answer.Status, "%s", answer.Raw)
		require.Equal(t, []string{"", "", ""}, answer.RefusalCodes(t))
		c.RequireBalance(t, one, 10, 0, 10)
		c.RequireBalance(t, other, 50, 0, 6)
	})
	c.RequireClean(t)
}

func TestBulkIsRepeated(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	one, other := c.Authorize(t, 10), c.Authorize(t, 5)
	items := []harness.Body{
		harness.BulkItem(one, "reserve", harness.Body{
			"units": 3,
		}), harness.BulkItem(other, "reserve", harness.Body{"units": 9}),
		harness.BulkItem(one, "consume", harness.Body{
			"units": 2,
		}), harness.BulkItem("/authorizations/"+uuid.NewString(), "reserve", harness.Body{"units": 1}),
	}
	keyed := c.Admin().WithHeader("Idempotency-Key", "many")
	first := keyed.Post(t, "/units/bulk", harness.BulkBody(items...))
	require.Equal(t, []string{"", "insufficient-units", "", "authorization-not-found"}, first.RefusalCodes(t))
	require.Empty(t, first.Header.Get("Idempotency-Replayed"))

	t.Run("it gets the same answer, also concurrently", func(t *testing.T) {
		answers := make([]harness.Answer, 6)
		harness.Concurrently(len(answers), func(i int) {
			answers[i] = keyed.Post(t, "/units/bulk",
				harness.BulkBody(items...))
		})
		for _, again := range answers {
			require.Equal(t, http.StatusOK, again.Status, "%s", again.Raw)
			require.JSONEq(t, string(first.Raw), string(again.Raw))
			require.Equal(t, "true", again.Header.Get("Idempotency-Replayed"))
		}
		c.RequireBalance(t, one, 10, 2, 1)
	})
	for it, another := range map[string][]harness.Body{
		"with fewer": items[:1],
		"with more": append(items[:len(items):len(items)],
			harness.BulkItem(one, "reserve", harness.Body{"units": 1})),
		"in another order":    {items[1], items[0], items[2], items[3]},
		"with another number": {items[0], items[1], items[2], harness.BulkItem(one, "reserve", harness.Body{"units": 2})},
	} {
		t.Run("it refuses the key for a request "+it, func(t *testing.T) {
			keyed.Post(t, "/units/bulk", harness.BulkBody(another...)).Refused(t, http.StatusUnprocessableEntity,
				"idempotency-key-reused")
		})
	}
	t.Run("it refuses the key of a bulk for a single operation, and the reverse", func(t *testing.T) {
		keyed.Post(t, one+"/reserve", harness.Body{"units": 3}).Refused(t, http.StatusUnprocessableEntity,
			"idempotency-key-reused")
		single := c.Admin().WithHeader("Idempotency-Key", "one")
		single.Post(t, one+"/reserve", harness.Body{"units": 1}).ReservationID(t)
		single.Post(t, "/units/bulk", harness.BulkBody(harness.BulkItem(one, "reserve", harness.Body{"units": 1}))).
			Refused(t, http.StatusUnprocessableEntity, "idempotency-key-reused")
	})
	c.RequireBalance(t, one, 10, 2, 2)
	c.RequireClean(t)
}

func TestBulkStaysInItsOrganization(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	own := c.Authorize(t, 10)
	stranger := c.As(c.Other.Tokens[rbac.Admin])
	answer := stranger.Post(t, "/units/bulk", harness.BulkBody(harness.BulkItem(own, "reserve", harness.Body{"units": 1})))
	require.Equal(t, []string{"authorization-not-found"}, answer.RefusalCodes(t))
	stranger.Post(t, "/units/bulk", atomically(harness.BulkItem(own, "reserve", harness.Body{"units": 1}))).
		Refused(t, http.StatusConflict, "bulk-refused")
	c.RequireBalance(t, own, 10, 0, 0)
}

func TestBulkNeedsThePermissionOfEachOperation(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	path := c.Authorize(t, 10)
	scheduler := c.As(c.Own.Tokens["SCHEDULER"]) // may reserve and release
	require.Equal(t, http.StatusOK, scheduler.Post(t, "/units/bulk", harness.BulkBody(
		harness.BulkItem(path, "reserve", harness.Body{
			"units": 2,
		}), harness.BulkItem(path, "release", harness.Body{"units": 1}))).Status)

	denied := scheduler.Post(t, "/units/bulk",
		harness.BulkBody(harness.BulkItem(path, "reserve", harness.Body{"units": 1}),
			harness.BulkItem(path, "consume", harness.Body{"units": 1}))).
		Refused(t, http.StatusForbidden, "forbidden")
	require.Equal(t, "authorization:consume", denied.Text("permission"))
	require.Contains(t, denied.Text("detail"), "operations[1]")
	c.As(c.Own.Tokens["PATIENT"]).Post(t, "/units/bulk",
		harness.BulkBody(harness.BulkItem(path, "reserve", harness.Body{"units": 1}))).
		Refused(t, http.StatusForbidden, "forbidden")
	c.As("").Post(t, "/units/bulk", harness.BulkBody(harness.BulkItem(path, "reserve", harness.Body{"units": 1}))).
		Refused(t, http.StatusUnauthorized, "unauthenticated")
	c.RequireBalance(t, path, 10, 0, 1)
}

func TestBulkIsValidated(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	path := c.Authorize(t, 1000)
	id := uuid.NewString()
	for name, test := range map[string]struct {
		item  harness.Body
		field string
	}{
		"no units":                      {harness.BulkItem(path, "reserve", nil), "units"},
		"units that are zero":           {harness.BulkItem(path, "release", harness.Body{"units": 0}), "units"},
		"half a unit":                   {harness.BulkItem(path, "reserve", harness.Body{"units": 1.5}), "units"},
		"neither units nor reservation": {harness.BulkItem(path, "consume", nil), "units"},
		"no authorization":              {harness.Body{"operation": "reserve", "units": 1}, "authorizationId"},
		"no operation":                  {harness.Body{"authorizationId": id, "units": 1}, "operation"},
		"an operation of another kind":  {harness.BulkItem(path, "adjust", harness.Body{"units": 1}), "operation"},
		"a reserve on a reservation": {
			harness.BulkItem(path, "reserve", harness.Body{"units": 1, "reservationId": id}), "reservationId",
		},
		"a reserve with a reason": {harness.BulkItem(path, "reserve", harness.Body{"units": 1, "reason": "why"}), "reason"},
		"a release with a date": {
			harness.BulkItem(path, "release", harness.Body{"units": 1, "serviceDate": "2026-03-10"}),
			"serviceDate",
		},
		"a release with a reference": {
			harness.BulkItem(path, "release", harness.Body{"units": 1, "reference": "x"}), "reference",
		},
		"a release with a remainder": {
			harness.BulkItem(path, "release", harness.Body{"units": 1, "remainder": "keep"}), "remainder",
		},
		"a consume that expires": {
			harness.BulkItem(path, "consume", harness.Body{"units": 1, "expiresInSeconds": 5}),
			"expiresInSeconds",
		},
		"a remainder without consumed units": {
			harness.BulkItem(path, "consume", harness.Body{"units": 1, "remainder": "lose"}), "remainder",
		},
		"a hold without length": {
			harness.BulkItem(path, "reserve", harness.Body{"units": 1, "expiresInSeconds": 0}),
			"expiresInSeconds",
		},
		"an unknown field": {harness.BulkItem(path, "reserve", harness.Body{"units": 1, "force": true}), "force"},
	} {
		t.Run("it refuses "+name, func(t *testing.T) {
			answer := c.Admin().Post(t, "/units/bulk",
				harness.BulkBody(harness.BulkItem(path, "reserve", harness.Body{"units": 1}), test.item)).
				Refused(t, http.StatusUnprocessableEntity, "validation-failed")
			require.Equal(t, "operations[1]."+test.field, answer.Body["errors"].([]any)[0].(map[string]any)["field"], "%s",
				answer.Raw)
		})
	}
	many := func(n int) harness.Body {
		items := make([]harness.Body, n)
		for i := range items {
			items[i] = harness.BulkItem(path, "reserve", harness.Body{"units": 1, "reference": fmt.Sprint(i)})
		}
		return harness.BulkBody(items...)
	}
	t.Run("it takes 1 to 200 operations", func(t *testing.T) {
		c.Admin().Post(t, "/units/bulk", many(0)).Refused(t, http.StatusUnprocessableEntity, "validation-failed")
		c.Admin().Post(t, "/units/bulk", many(201)).Refused(t, http.StatusUnprocessableEntity, "validation-failed")
		c.RequireBalance(t, path, 1000, 0, 0)
		answer := c.Admin().Post(t, "/units/bulk", many(200))
		require.Equal(t, 200, answer.Number(t, "accepted"), "%s", answer.Raw)
		c.RequireBalance(t, path, 1000, 0, 200)
		c.RequireClean(t)
	})
}

// TestBulksAndSingleOperationsAtOnce runs bulks that name the same authorizations in
// different orders, with single operations in between.
func TestBulksAndSingleOperationsAtOnce(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	paths := []string{c.Authorize(t, 30), c.Authorize(t, 30), c.Authorize(t, 30)}
	var accepted [3]atomic.Int64
	harness.Concurrently(24, func(i int) {
		if i%3 == 0 {
			if c.Admin().Post(t, paths[i%2]+"/reserve", harness.Body{"units": 1}).Status == http.StatusCreated {
				accepted[i%2].Add(1)
			}
			return
		}
		var items []harness.Body
		for k := range 6 {
			items = append(items, harness.BulkItem(paths[(i*(k+1)+k)%3], "reserve", harness.Body{"units": 1}))
		}
		request := harness.BulkBody(items...)
		request["atomic"] = i%2 == 0
		answer := c.Admin().Post(t, "/units/bulk", request)
		if answer.Status == http.StatusConflict {
			return
		}
		if answer.Status != http.StatusOK {
			t.Errorf("neither executed nor refused: %s", answer.Raw)
			return
		}
		for k, code := range answer.RefusalCodes(t) {
			if code == "" {
				accepted[(i*(k+1)+k)%3].Add(1)
			}
		}
	})
	for i, path := range paths {
		c.RequireBalance(t, path, 30, 0, int(accepted[i].Load()))
	}
	c.RequireClean(t)
}
