package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"omnirapeutic/modules/rbac"
)

// on returns a bulk's item on the authorization with that path.
func on(path, operation string, fields body) body {
	item := body{"operation": operation, "authorizationId": strings.TrimPrefix(path, "/authorizations/")}
	for k, v := range fields {
		item[k] = v
	}
	return item
}

func bulk(items ...body) body { return body{"operations": items} }

func atomically(items ...body) body { return body{"operations": items, "atomic": true} }

// result returns one of the results of a bulk.
func (a answer) result(t testing.TB, i int) answer {
	t.Helper()
	results, ok := a.body["results"].([]any)
	require.True(t, ok, "%s", a.raw)
	require.Greater(t, len(results), i, "%s", a.raw)
	one := answer{raw: a.raw, body: results[i].(map[string]any)}
	require.Equal(t, i, one.number(t, "index"))
	return one
}

// verdicts returns the code of each result's refusal, "" if it was accepted.
func (a answer) verdicts(t testing.TB) []string {
	t.Helper()
	var all []string
	refused := 0
	for i := range a.body["results"].([]any) {
		r := a.result(t, i)
		refusal, isRefused := r.body["refusal"].(map[string]any)
		code, _ := refusal["code"].(string)
		all = append(all, code)
		require.Equal(t, isRefused, r.text("status") == "refused", "%s", a.raw)
		require.Equal(t, !isRefused, r.text("status") == "accepted", "%s", a.raw)
		if isRefused {
			refused++
			require.NotEmpty(t, refusal["detail"])
		}
	}
	require.Equal(t, refused, a.number(t, "refused"))
	require.Equal(t, len(all)-refused, a.number(t, "accepted"))
	return all
}

func TestBulkReportsTheOutcomeOfEachOperation(t *testing.T) {
	t.Parallel()
	c := open(t)
	one, other, capped := c.authorize(t, 10), c.authorize(t, 5), c.authorize(t, 50, march, body{"caps": caps("DAY", 4)})
	held := c.admin().post(t, one+"/reserve", body{"units": 4}).reservationID(t)
	onTenth := func(units int) body { return body{"units": units, "serviceDate": "2026-03-10"} }

	answer := c.admin().post(t, "/units/bulk", bulk(
		on(one, "reserve", body{"units": 6, "reference": "a visit"}),
		on(other, "reserve", body{"units": 6}),
		on(one, "reserve", body{"units": 1}),
		on(one, "consume", body{"reservationId": held, "units": 3, "reason": "shorter"}),
		on(one, "reserve", body{"units": 1}),
		on(capped, "reserve", onTenth(3)),
		on(capped, "reserve", onTenth(2)),
		on(capped, "release", body{"units": 2}),
		on(capped, "reserve", onTenth(2)),
		on(other, "release", body{"reservationId": held}),
		on(other, "consume", body{"units": 7}),
	))
	require.Equal(t, http.StatusOK, answer.status, "%s", answer.raw)
	require.Equal(t, []string{
		"", "insufficient-units", "insufficient-units", "", "", "", "cap-exceeded", "", "", "reservation-not-found", "",
	}, answer.verdicts(t))

	t.Run("an accepted item has the answer of the single call", func(t *testing.T) {
		reserved := answer.result(t, 0)
		require.Equal(t, 6, reserved.number(t, "reservation", "units"))
		require.Equal(t, "a visit", reserved.body["reservation"].(map[string]any)["reference"])
		require.Equal(t, 10, reserved.number(t, "authorization", "scheduledUnits"))
		require.Zero(t, reserved.number(t, "authorization", "availableUnits"))
		consumed := answer.result(t, 3)
		require.Equal(t, 3, consumed.number(t, "consumedUnits"))
		require.Zero(t, consumed.number(t, "missingUnits"))
		require.Len(t, consumed.body["reservations"], 1)
		require.Equal(t, 6, consumed.number(t, "authorization", "scheduledUnits"), "as of then")
		require.Equal(t, 2, answer.result(t, 10).number(t, "missingUnits"))
	})
	t.Run("a refused item has its reason", func(t *testing.T) {
		refused := answer.result(t, 6)
		require.Equal(t, 1, refused.number(t, "refusal", "details", "missing"))
		require.NotContains(t, refused.body, "authorization")
		require.Zero(t, answer.result(t, 2).number(t, "refusal", "details", "available"))
	})
	c.requireBalance(t, one, 10, 3, 7)
	c.requireBalance(t, other, 5, 5, 0)
	c.requireBalance(t, capped, 50, 0, 3)
	c.requireClean(t)
}

func TestAtomicBulk(t *testing.T) {
	t.Parallel()
	c := open(t)
	one, other := c.authorize(t, 10), c.authorize(t, 5)
	held := c.admin().post(t, one+"/reserve", body{"units": 4}).reservationID(t)
	state := func() string { return string(c.admin().get(t, one).raw) + string(c.admin().get(t, other).raw) }
	before := state()
	keyed := c.admin().with("Idempotency-Key", "all-or-nothing")
	request := atomically(
		on(one, "release", body{"reservationId": held}),
		on(other, "reserve", body{"units": 6}),
		on(one, "reserve", body{"units": 10}),
	)

	t.Run("it changes nothing if one of them is refused", func(t *testing.T) {
		for range 2 {
			answer := c.admin().post(t, "/units/bulk", request).refused(t, http.StatusConflict, "bulk-refused")
			require.Equal(t, "1 of 3 operations were refused, so nothing was changed.", answer.text("detail"))
			require.Equal(t, []string{"", "insufficient-units", ""}, answer.verdicts(t))
			require.NotContains(t, answer.result(t, 0).body, "reservations", "nothing was executed")
		}
		require.Equal(t, before, state())
		require.Len(t, c.admin().get(t, one+"/entries").body["data"], 1)
	})
	t.Run("it stores the refusal of a key", func(t *testing.T) {
		first := keyed.post(t, "/units/bulk", request).refused(t, http.StatusConflict, "bulk-refused")
		require.Empty(t, first.header.Get("Idempotency-Replayed"))
		c.admin().patch(t, other, body{"totalUnits": 50})
		again := keyed.post(t, "/units/bulk", request).refused(t, http.StatusConflict, "bulk-refused")
		require.Equal(t, "true", again.header.Get("Idempotency-Replayed"))
		require.Equal(t, first.body["results"], again.body["results"])
		c.requireBalance(t, one, 10, 0, 4)
		request["atomic"] = false
		keyed.post(t, "/units/bulk", request).refused(t, http.StatusUnprocessableEntity, "idempotency-key-reused")
		request["atomic"] = true
	})
	t.Run("it executes all if none is refused", func(t *testing.T) {
		answer := c.admin().post(t, "/units/bulk", request)
		require.Equal(t, http.StatusOK, answer.status, "%s", answer.raw)
		require.Equal(t, []string{"", "", ""}, answer.verdicts(t))
		c.requireBalance(t, one, 10, 0, 10)
		c.requireBalance(t, other, 50, 0, 6)
	})
	c.requireClean(t)
}

func TestBulkIsRepeated(t *testing.T) {
	t.Parallel()
	c := open(t)
	one, other := c.authorize(t, 10), c.authorize(t, 5)
	items := []body{
		on(one, "reserve", body{"units": 3}), on(other, "reserve", body{"units": 9}),
		on(one, "consume", body{"units": 2}), on("/authorizations/"+uuid.NewString(), "reserve", body{"units": 1}),
	}
	keyed := c.admin().with("Idempotency-Key", "many")
	first := keyed.post(t, "/units/bulk", bulk(items...))
	require.Equal(t, []string{"", "insufficient-units", "", "authorization-not-found"}, first.verdicts(t))
	require.Empty(t, first.header.Get("Idempotency-Replayed"))

	t.Run("it gets the same answer, also concurrently", func(t *testing.T) {
		answers := make([]answer, 6)
		together(len(answers), func(i int) { answers[i] = keyed.post(t, "/units/bulk", bulk(items...)) })
		for _, again := range answers {
			require.Equal(t, http.StatusOK, again.status, "%s", again.raw)
			require.JSONEq(t, string(first.raw), string(again.raw))
			require.Equal(t, "true", again.header.Get("Idempotency-Replayed"))
		}
		c.requireBalance(t, one, 10, 2, 1)
	})
	for it, another := range map[string][]body{
		"with fewer":          items[:1],
		"with more":           append(items[:len(items):len(items)], on(one, "reserve", body{"units": 1})),
		"in another order":    {items[1], items[0], items[2], items[3]},
		"with another number": {items[0], items[1], items[2], on(one, "reserve", body{"units": 2})},
	} {
		t.Run("it refuses the key for a request "+it, func(t *testing.T) {
			keyed.post(t, "/units/bulk", bulk(another...)).refused(t, http.StatusUnprocessableEntity, "idempotency-key-reused")
		})
	}
	t.Run("it refuses the key of a bulk for a single operation, and the reverse", func(t *testing.T) {
		keyed.post(t, one+"/reserve", body{"units": 3}).refused(t, http.StatusUnprocessableEntity, "idempotency-key-reused")
		single := c.admin().with("Idempotency-Key", "one")
		single.post(t, one+"/reserve", body{"units": 1}).reservationID(t)
		single.post(t, "/units/bulk", bulk(on(one, "reserve", body{"units": 1}))).
			refused(t, http.StatusUnprocessableEntity, "idempotency-key-reused")
	})
	c.requireBalance(t, one, 10, 2, 2)
	c.requireClean(t)
}

func TestBulkStaysInItsOrganization(t *testing.T) {
	t.Parallel()
	c := open(t)
	own := c.authorize(t, 10)
	stranger := c.as(c.other.tokens[rbac.Admin])
	answer := stranger.post(t, "/units/bulk", bulk(on(own, "reserve", body{"units": 1})))
	require.Equal(t, []string{"authorization-not-found"}, answer.verdicts(t))
	stranger.post(t, "/units/bulk", atomically(on(own, "reserve", body{"units": 1}))).
		refused(t, http.StatusConflict, "bulk-refused")
	c.requireBalance(t, own, 10, 0, 0)
}

func TestBulkNeedsThePermissionOfEachOperation(t *testing.T) {
	t.Parallel()
	c := open(t)
	path := c.authorize(t, 10)
	scheduler := c.as(c.own.tokens["SCHEDULER"]) // may reserve and release
	require.Equal(t, http.StatusOK, scheduler.post(t, "/units/bulk", bulk(
		on(path, "reserve", body{"units": 2}), on(path, "release", body{"units": 1}))).status)

	denied := scheduler.post(t, "/units/bulk",
		bulk(on(path, "reserve", body{"units": 1}), on(path, "consume", body{"units": 1}))).
		refused(t, http.StatusForbidden, "forbidden")
	require.Equal(t, "authorization:consume", denied.text("permission"))
	require.Contains(t, denied.text("detail"), "operations[1]")
	c.as(c.own.tokens["PATIENT"]).post(t, "/units/bulk", bulk(on(path, "reserve", body{"units": 1}))).
		refused(t, http.StatusForbidden, "forbidden")
	c.as("").post(t, "/units/bulk", bulk(on(path, "reserve", body{"units": 1}))).
		refused(t, http.StatusUnauthorized, "unauthenticated")
	c.requireBalance(t, path, 10, 0, 1)
}

func TestBulkIsValidated(t *testing.T) {
	t.Parallel()
	c := open(t)
	path := c.authorize(t, 1000)
	id := uuid.NewString()
	for name, test := range map[string]struct {
		item  body
		field string
	}{
		"no units":                      {on(path, "reserve", nil), "units"},
		"units that are zero":           {on(path, "release", body{"units": 0}), "units"},
		"half a unit":                   {on(path, "reserve", body{"units": 1.5}), "units"},
		"neither units nor reservation": {on(path, "consume", nil), "units"},
		"no authorization":              {body{"operation": "reserve", "units": 1}, "authorizationId"},
		"no operation":                  {body{"authorizationId": id, "units": 1}, "operation"},
		"an operation of another kind":  {on(path, "adjust", body{"units": 1}), "operation"},
		"a reserve on a reservation":    {on(path, "reserve", body{"units": 1, "reservationId": id}), "reservationId"},
		"a reserve with a reason":       {on(path, "reserve", body{"units": 1, "reason": "why"}), "reason"},
		"a release with a date": {
			on(path, "release", body{"units": 1, "serviceDate": "2026-03-10"}),
			"serviceDate",
		},
		"a release with a reference": {on(path, "release", body{"units": 1, "reference": "x"}), "reference"},
		"a release with a remainder": {on(path, "release", body{"units": 1, "remainder": "keep"}), "remainder"},
		"a consume that expires": {
			on(path, "consume", body{"units": 1, "expiresInSeconds": 5}),
			"expiresInSeconds",
		},
		"a remainder without consumed units": {on(path, "consume", body{"units": 1, "remainder": "lose"}), "remainder"},
		"a hold without length": {
			on(path, "reserve", body{"units": 1, "expiresInSeconds": 0}),
			"expiresInSeconds",
		},
		"an unknown field": {on(path, "reserve", body{"units": 1, "force": true}), "force"},
	} {
		t.Run("it refuses "+name, func(t *testing.T) {
			answer := c.admin().post(t, "/units/bulk", bulk(on(path, "reserve", body{"units": 1}), test.item)).
				refused(t, http.StatusUnprocessableEntity, "validation-failed")
			require.Equal(t, "operations[1]."+test.field, answer.body["errors"].([]any)[0].(map[string]any)["field"], "%s",
				answer.raw)
		})
	}
	many := func(n int) body {
		items := make([]body, n)
		for i := range items {
			items[i] = on(path, "reserve", body{"units": 1, "reference": fmt.Sprint(i)})
		}
		return bulk(items...)
	}
	t.Run("it takes 1 to 200 operations", func(t *testing.T) {
		c.admin().post(t, "/units/bulk", many(0)).refused(t, http.StatusUnprocessableEntity, "validation-failed")
		c.admin().post(t, "/units/bulk", many(201)).refused(t, http.StatusUnprocessableEntity, "validation-failed")
		c.requireBalance(t, path, 1000, 0, 0)
		answer := c.admin().post(t, "/units/bulk", many(200))
		require.Equal(t, 200, answer.number(t, "accepted"), "%s", answer.raw)
		c.requireBalance(t, path, 1000, 0, 200)
		c.requireClean(t)
	})
}

// TestBulksAndSingleOperationsAtOnce runs bulks that name the same authorizations in
// different orders, with single operations in between.
func TestBulksAndSingleOperationsAtOnce(t *testing.T) {
	t.Parallel()
	c := open(t)
	paths := []string{c.authorize(t, 30), c.authorize(t, 30), c.authorize(t, 30)}
	var accepted [3]atomic.Int64
	together(24, func(i int) {
		if i%3 == 0 {
			if c.admin().post(t, paths[i%2]+"/reserve", body{"units": 1}).status == http.StatusCreated {
				accepted[i%2].Add(1)
			}
			return
		}
		var items []body
		for k := range 6 {
			items = append(items, on(paths[(i*(k+1)+k)%3], "reserve", body{"units": 1}))
		}
		request := bulk(items...)
		request["atomic"] = i%2 == 0
		answer := c.admin().post(t, "/units/bulk", request)
		if answer.status == http.StatusConflict {
			return
		}
		if answer.status != http.StatusOK {
			t.Errorf("neither executed nor refused: %s", answer.raw)
			return
		}
		for k, code := range answer.verdicts(t) {
			if code == "" {
				accepted[(i*(k+1)+k)%3].Add(1)
			}
		}
	})
	for i, path := range paths {
		c.requireBalance(t, path, 30, 0, int(accepted[i].Load()))
	}
	c.requireClean(t)
}
