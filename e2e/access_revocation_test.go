package e2e

import (
	"context"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omnirapeutic/modules/events"
	"omnirapeutic/modules/rbac"
	"omnirapeutic/platform/db/dbtest"
)

// following lets the instance receive revocations of others, as serve does, until the
// test ends.
func (c *clinic) following(t testing.TB) *clinic {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	require.NoError(t, c.app.Access.Revocations.LoadRevocations(ctx))
	var running sync.WaitGroup
	running.Go(func() { c.app.Access.Revocations.Listen(ctx) })
	running.Go(func() { c.app.RunJobs(ctx, "load-revocations") })
	t.Cleanup(func() { cancel(); running.Wait() })
	return c
}

// TestSignOutEverywhereTakesEffectOnEveryInstance ends all sign-ins on one instance, and
// checks their tokens and streams on another.
func TestSignOutEverywhereTakesEffectOnEveryInstance(t *testing.T) {
	t.Parallel()
	database := twoPractices.New(t)
	first := serve(t, database, database.Open(t)).following(t)
	first.tuning = events.Tuning{Heartbeat: time.Hour} // only the revocation ends a stream
	second := secondInstance(t, first, database.Open(t)).following(t)
	token, other := first.own.tokens[rbac.Scheduler], first.own.tokens[rbac.Biller]
	elsewhere := second.signIn(t, "own", rbac.Scheduler)
	ours, theirs := second.as(token).stream(t, ""), second.as(other).stream(t, "")
	require.Equal(t, "ready", ours.next(t).name)
	require.Equal(t, "ready", theirs.next(t).name)
	second.as(token).get(t, "/auth/me").ok(t)

	require.Equal(t, http.StatusNoContent, first.as(elsewhere).post(t, "/auth/logout-everywhere", nil).status)
	first.as(token).get(t, "/auth/me").refused(t, http.StatusUnauthorized, "unauthenticated")
	ours.ended(t)
	for _, item := range []string{token, elsewhere} {
		second.as(item).get(t, "/auth/me").refused(t, http.StatusUnauthorized, "unauthenticated")
	}
	second.as(other).get(t, "/auth/me").ok(t)
	second.as(second.signIn(t, "own", rbac.Scheduler)).get(t, "/auth/me").ok(t)
	path := first.authorize(t, 4)
	first.live(t)
	first.admin().post(t, path+"/reserve", body{"units": 1})
	second.live(t)
	require.Equal(t, "authorization.balance", theirs.next(t).name, "the other stream continues")
}

// TestRemovedRoleEndsOnEveryInstance lets an administrator change a user's roles,
// and disable the user, on one instance, and checks both.
func TestRemovedRoleEndsOnEveryInstance(t *testing.T) {
	t.Parallel()
	database := twoPractices.New(t)
	first := serve(t, database, database.Open(t)).following(t)
	second := secondInstance(t, first, database.Open(t)).following(t)
	path := first.authorize(t, 8)
	who := first.admin().get(t, "/users?role=SCHEDULER").ok(t).body["data"].([]any)[0].(map[string]any)["id"].(string)
	gone := func(token string) {
		t.Helper()
		first.as(token).post(t, path+"/reserve", body{"units": 1}).refused(t, http.StatusUnauthorized, "unauthenticated")
		require.Eventually(t, func() bool { return second.as(token).get(t, path).status == http.StatusUnauthorized }, soon,
			time.Millisecond)
		second.as(token).post(t, path+"/reserve", body{"units": 1}).refused(t, http.StatusUnauthorized, "unauthenticated")
	}
	token := second.own.tokens[rbac.Scheduler]
	second.as(token).post(t, path+"/reserve", body{"units": 1}).reservationID(t)
	first.admin().send(t, http.MethodPut, "/users/"+who+"/roles", body{"roles": []string{"BILLER"}}).ok(t)
	gone(token)
	token = second.signIn(t, "own", rbac.Scheduler)
	second.as(token).post(t, path+"/reserve", body{"units": 1}).refused(t, http.StatusForbidden, "forbidden")

	first.admin().patch(t, "/users/"+who, body{"name": "Another name"}).ok(t)
	second.as(token).get(t, "/auth/me").ok(t)
	first.admin().patch(t, "/users/"+who, body{"disabled": true}).ok(t)
	gone(token)
	first.requireBalance(t, path, 8, 0, 1)
}

// TestTooManyAttempts checks the delay after repeated failures, for any account.
func TestTooManyAttempts(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	c := &clinic{database: database, clock: frozen(time.Now())}
	c.listen(t, database.Open(t))
	c.own = c.found(t, "own")
	token := c.own.tokens[rbac.Biller]
	for range 10 {
		for _, email := range []string{"SCHEDULER@own.test", "nobody@own.test"} {
			c.as("").post(t, "/auth/login", body{"email": email, "password": "wrong"}).
				refused(t, http.StatusUnauthorized, "wrong-credentials")
		}
		c.as(token).send(t, http.MethodPut, "/auth/password",
			body{"currentPassword": "wrong", "newPassword": "a-meadow-of-red-clover"}).
			refused(t, http.StatusUnprocessableEntity, "validation-failed")
	}
	known := c.as("").post(t, "/auth/login", body{"email": "SCHEDULER@own.test", "password": password}).
		refused(t, http.StatusTooManyRequests, "sign-in-delayed")
	unknown := c.as("").post(t, "/auth/login", body{"email": "nobody@own.test", "password": password}).
		refused(t, http.StatusTooManyRequests, "sign-in-delayed")
	require.Equal(t, "1", known.header.Get("Retry-After"))
	require.Equal(t, known.header.Get("Retry-After"), unknown.header.Get("Retry-After"))
	require.Equal(t, known.text("detail"), unknown.text("detail"))
	c.as(token).send(t, http.MethodPut, "/auth/password",
		body{"currentPassword": password, "newPassword": "a-meadow-of-red-clover"}).
		refused(t, http.StatusTooManyRequests, "sign-in-delayed")
	c.as(token).delete(t, "/auth/sessions/"+newID().String()).refused(t, http.StatusNotFound, "sign-in-not-found")
	c.as(token).get(t, "/auth/me").ok(t)
}
