package e2e

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omnirapeutic/e2e/harness"
	"omnirapeutic/modules/events"
	"omnirapeutic/modules/rbac"
	"omnirapeutic/platform/db/dbtest"
)

// TestSignOutEverywhereTakesEffectOnEveryInstance ends all sign-ins on one instance, and
// checks their tokens and streams on another.
func TestSignOutEverywhereTakesEffectOnEveryInstance(t *testing.T) {
	t.Parallel()
	database := harness.TwoPractices.New(t)
	first := harness.Serve(t, database, database.Open(t)).FollowRevocations(t)
	first.EventTuning = events.Tuning{Heartbeat: time.Hour} // only the revocation ends a stream
	second := harness.SecondInstance(t, first, database.Open(t)).FollowRevocations(t)
	token, other := first.Own.Tokens[rbac.Scheduler], first.Own.Tokens[rbac.Biller]
	elsewhere := second.SignIn(t, "own", rbac.Scheduler)
	ours, theirs := second.As(token).Stream(t, ""), second.As(other).Stream(t, "")
	require.Equal(t, "ready", ours.Next(t).Name)
	require.Equal(t, "ready", theirs.Next(t).Name)
	second.As(token).Get(t, "/auth/me").OK(t)

	require.Equal(t, http.StatusNoContent, first.As(elsewhere).Post(t, "/auth/logout-everywhere", nil).Status)
	first.As(token).Get(t, "/auth/me").Refused(t, http.StatusUnauthorized, "unauthenticated")
	ours.RequireEnd(t)
	for _, item := range []string{token, elsewhere} {
		second.As(item).Get(t, "/auth/me").Refused(t, http.StatusUnauthorized, "unauthenticated")
	}
	second.As(other).Get(t, "/auth/me").OK(t)
	second.As(second.SignIn(t, "own", rbac.Scheduler)).Get(t, "/auth/me").OK(t)
	path := first.Authorize(t, 4)
	first.StartEvents(t)
	first.Admin().Post(t, path+"/reserve", harness.Body{"units": 1})
	second.StartEvents(t)
	require.Equal(t, "authorization.balance", theirs.Next(t).Name, "the other stream continues")
}

// TestRemovedRoleEndsOnEveryInstance lets an administrator change a user's roles,
// and disable the user, on one instance, and checks both.
func TestRemovedRoleEndsOnEveryInstance(t *testing.T) {
	t.Parallel()
	database := harness.TwoPractices.New(t)
	first := harness.Serve(t, database, database.Open(t)).FollowRevocations(t)
	second := harness.SecondInstance(t, first, database.Open(t)).FollowRevocations(t)
	path := first.Authorize(t, 8)
	who := first.Admin().Get(t, "/users?role=SCHEDULER").OK(t).Body["data"].([]any)[0].(map[string]any)["id"].(string)
	gone := func(token string) {
		t.Helper()
		first.As(token).Post(t, path+"/reserve", harness.Body{"units": 1}).
			Refused(t, http.StatusUnauthorized, "unauthenticated")
		require.Eventually(t, func() bool {
			return second.As(token).
				Get(t, path).Status == http.StatusUnauthorized
		}, harness.Soon,
			time.Millisecond)
		second.As(token).Post(t, path+"/reserve", harness.Body{"units": 1}).
			Refused(t, http.StatusUnauthorized, "unauthenticated")
	}
	token := second.Own.Tokens[rbac.Scheduler]
	second.As(token).Post(t, path+"/reserve", harness.Body{"units": 1}).ReservationID(t)
	first.Admin().Send(t, http.MethodPut, "/users/"+who+"/roles", harness.Body{"roles": []string{"BILLER"}}).OK(t)
	gone(token)
	token = second.SignIn(t, "own", rbac.Scheduler)
	second.As(token).Post(t, path+"/reserve", harness.Body{"units": 1}).Refused(t, http.StatusForbidden, "forbidden")

	first.Admin().Patch(t, "/users/"+who, harness.Body{"name": "Another name"}).OK(t)
	second.As(token).Get(t, "/auth/me").OK(t)
	first.Admin().Patch(t, "/users/"+who, harness.Body{"disabled": true}).OK(t)
	gone(token)
	first.RequireBalance(t, path, 8, 0, 1)
}

// TestTooManyAttempts checks the delay after repeated failures, for any account.
func TestTooManyAttempts(t *testing.T) {
	t.Parallel()
	database := dbtest.New(t)
	c := &harness.Clinic{Database: database, Clock: harness.FrozenClock(time.Now())}
	c.Start(t, database.Open(t))
	c.Own = c.AddPractice(t, "own")
	token := c.Own.Tokens[rbac.Biller]
	for range 10 {
		for _, email := range []string{"SCHEDULER@own.test", "unknown@own.test"} {
			c.As("").Post(t, "/auth/login", harness.Body{"email": email, "password": "wrong"}).
				Refused(t, http.StatusUnauthorized, "wrong-credentials")
		}
		c.As(token).Send(t, http.MethodPut, "/auth/password",
			harness.Body{"currentPassword": "wrong", "newPassword": "a-meadow-of-red-clover"}).
			Refused(t, http.StatusUnprocessableEntity, "validation-failed")
	}
	known := c.As("").Post(t, "/auth/login", harness.Body{"email": "SCHEDULER@own.test", "password": harness.Password}).
		Refused(t, http.StatusTooManyRequests, "sign-in-delayed")
	unknown := c.As("").Post(t, "/auth/login", harness.Body{"email": "unknown@own.test", "password": harness.Password}).
		Refused(t, http.StatusTooManyRequests, "sign-in-delayed")
	require.Equal(t, "1", known.Header.Get("Retry-After"))
	require.Equal(t, known.Header.Get("Retry-After"), unknown.Header.Get("Retry-After"))
	require.Equal(t, known.Text("detail"), unknown.Text("detail"))
	c.As(token).Send(t, http.MethodPut, "/auth/password",
		harness.Body{"currentPassword": harness.Password, "newPassword": "a-meadow-of-red-clover"}).
		Refused(t, http.StatusTooManyRequests, "sign-in-delayed")
	c.As(token).Delete(t, "/auth/sessions/"+harness.NewID().String()).Refused(t, http.StatusNotFound, "sign-in-not-found")
	c.As(token).Get(t, "/auth/me").OK(t)
}
