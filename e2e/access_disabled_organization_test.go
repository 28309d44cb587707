package e2e

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"omnirapeutic/e2e/harness"
	"omnirapeutic/modules/authorization"
	"omnirapeutic/modules/events"
	"omnirapeutic/modules/rbac"
)

// switchPath is the path that disables the clinic's own practice.
func switchPath(c *harness.Clinic) string { return "/organizations/" + c.Own.ID.String() + "/disabled" }

// superAdmin administers all practices, and belongs to the other one.
func superAdmin(c *harness.Clinic) harness.Caller { return c.As(c.Other.Tokens[rbac.SuperAdmin]) }

// TestADisabledOrganizationIsClosed disables a practice on one instance while its users
// sign in on both, and tries every way in on both.
func TestADisabledOrganizationIsClosed(t *testing.T) {
	t.Parallel()
	database := harness.TwoPractices.New(t)
	first := harness.Serve(t, database, database.Open(t)).FollowRevocations(t)
	first.EventTuning = events.Tuning{Heartbeat: time.Hour} // only disabling ends a stream
	second := harness.SecondInstance(t, first, database.Open(t)).FollowRevocations(t)
	instances := []*harness.Clinic{first, second}
	units := first.Authorize(t, 8)
	first.Admin().Post(t, units+"/reserve", harness.Body{"units": 1}).ReservationID(t)
	scheduler, other := first.Own.Tokens[rbac.Scheduler], first.Other.Tokens[rbac.Scheduler]
	_, key := first.AddAPIKey(t, "authorization:read")
	_, unused := first.AddAPIKey(t, "authorization:read")
	link := first.Admin().Post(t, "/practitioners/"+first.AddPractitioner(t).String()+"/calendar-feed", harness.Body{}).
		Text("path")
	_, invitation := first.Admin().Invite(t, "rosa@example.test", "BILLER")
	kept := first.SignInTokens(t, "scheduler@own.test")
	for _, instance := range instances {
		instance.As(key).Get(t, units).OK(t)
	}
	ours, theirs := second.As(scheduler).Stream(t, ""), second.As(other).Stream(t, "")
	require.Equal(t, "ready", ours.Next(t).Name)
	require.Equal(t, "ready", theirs.Next(t).Name)

	meanwhile := make([]harness.Tokens, len(rbac.Roles()))
	harness.Concurrently(len(meanwhile)+1, func(i int) {
		if i == len(meanwhile) {
			superAdmin(first).Put(t, switchPath(first), harness.Body{"disabled": true}).OK(t)
			return
		}
		a := instances[i%2].As("").Post(t, "/auth/login",
			harness.Body{"email": string(rbac.Roles()[i]) + "@own.test", "password": harness.Password})
		meanwhile[i] = harness.Tokens{Access: a.Text("accessToken"), Refresh: a.Text("refreshToken")}
		if a.Status != http.StatusOK {
			a.Refused(t, http.StatusUnauthorized, "wrong-credentials")
		}
	})
	first.As(scheduler).Get(t, "/auth/me").Refused(t, http.StatusUnauthorized, "unauthenticated")
	ours.RequireEnd(t) // the other instance has received the change

	for _, item := range instances {
		for _, token := range []string{
			scheduler, kept.Access, key, unused, item.Own.Tokens[rbac.Admin],
			item.Own.Tokens[rbac.SuperAdmin],
		} {
			item.As(token).Get(t, units).Refused(t, http.StatusUnauthorized, "unauthenticated")
		}
		for _, m := range slices.Concat(meanwhile, []harness.Tokens{kept}) {
			if m.Access != "" {
				item.As(m.Access).Get(t, "/auth/me").Refused(t, http.StatusUnauthorized, "unauthenticated")
				item.Refresh(t, m.Refresh).Refused(t, http.StatusUnauthorized, "refresh-refused")
			}
		}
		invalid := item.As("").Post(t, "/auth/login",
			harness.Body{"email": "scheduler@own.test", "password": "not the password"}).
			Refused(t, http.StatusUnauthorized, "wrong-credentials")
		right := item.As("").Post(t, "/auth/login", harness.Body{
			"email": "scheduler@own.test", "password": harness.Password,
		}).
			Refused(t, http.StatusUnauthorized, "wrong-credentials")
		require.Equal(t, invalid.Text("detail"), right.Text("detail"), "the answer does not reveal that the practice exists")
		item.AcceptInvitation(t, invitation).Refused(t, http.StatusNotFound, "invitation-not-found")
		item.As("").Get(t, strings.TrimPrefix(link, "/api/v1")).Refused(t, http.StatusNotFound, "calendar-feed-not-found")
		item.As(other).Get(t, "/auth/me").OK(t)
	}

	require.Equal(t, true, superAdmin(second).Get(t, "/organizations/"+first.Own.ID.String()).OK(t).Body["disabled"],
		"an administrator of all organizations sees it")
	report, err := second.App.Authorizations.Verify(t.Context(), authorization.VerificationScope{}, nil)
	require.NoError(t, err)
	require.True(t, report.OK, "its ledger exists and is consistent, as the command verify finds")
	require.Equal(t, 1, report.Authorizations)

	back := second.As(scheduler)
	superAdmin(second).Put(t, switchPath(first), harness.Body{"disabled": false}).OK(t)
	back.Get(t, units).OK(t)
	require.Eventually(t, func() bool {
		return first.As(scheduler).
			Get(t, units).Status == http.StatusOK
	}, harness.Soon,
		time.Millisecond)
	for _, instance := range instances {
		for _, token := range []string{kept.Access, key, unused} {
			instance.As(token).Get(t, units).OK(t)
		}
		response, _ := instance.FetchCalendar(t, link)
		require.Equal(t, http.StatusOK, response.StatusCode)
	}
	second.Refresh(t, kept.Refresh).OK(t)
	require.Equal(t, http.StatusCreated, first.AcceptInvitation(t, invitation).Status)
	path := first.Authorize(t, 4)
	first.StartEvents(t)
	second.StartEvents(t)
	first.As(other).Get(t, "/auth/me").OK(t)
	again := second.As(scheduler).Stream(t, "")
	require.Equal(t, "ready", again.Next(t).Name)
	first.Admin().Post(t, path+"/reserve", harness.Body{"units": 1})
	require.Equal(t, "authorization.balance", again.Next(t).Name)
	first.RequireClean(t)
}

// TestLaterInstanceLoadsDisabledOrganizations uses earlier tokens on an instance
// that starts after the change.
func TestLaterInstanceLoadsDisabledOrganizations(t *testing.T) {
	t.Parallel()
	database := harness.TwoPractices.New(t)
	first := harness.Serve(t, database, database.Open(t))
	superAdmin(first).Put(t, switchPath(first), harness.Body{"disabled": true}).OK(t)
	second := harness.SecondInstance(t, first, database.Open(t)).FollowRevocations(t)
	second.Admin().Get(t, "/auth/me").Refused(t, http.StatusUnauthorized, "unauthenticated")
	superAdmin(first).Put(t, switchPath(first), harness.Body{"disabled": false}).OK(t)
	third := harness.SecondInstance(t, first, database.Open(t)).FollowRevocations(t)
	third.Admin().Get(t, "/auth/me").OK(t)
}

func TestPermissionToDisableOrganizations(t *testing.T) {
	t.Parallel()
	c := harness.Open(t)
	for _, role := range rbac.Roles() {
		if role == rbac.SuperAdmin {
			continue
		}
		for _, p := range []harness.Practice{c.Own, c.Other} {
			c.As(p.Tokens[role]).Put(t, switchPath(c), harness.Body{"disabled": true}).
				Refused(t, http.StatusForbidden, "forbidden")
		}
	}
	c.As("").Put(t, switchPath(c), harness.Body{"disabled": true}).Refused(t, http.StatusUnauthorized, "unauthenticated")
	c.As(c.Own.Tokens[rbac.SuperAdmin]).Put(t, switchPath(c), harness.Body{"disabled": true}).
		Refused(t, http.StatusConflict, "own-organization")
	superAdmin(c).Put(t, "/organizations/"+uuid.NewString()+"/disabled",
		harness.Body{"disabled": true}).Refused(t, http.StatusNotFound,
		"organization-not-found")
	superAdmin(c).Put(t, switchPath(c), harness.Body{}).Refused(t, http.StatusUnprocessableEntity, "validation-failed")
	c.Admin().Patch(t, strings.TrimSuffix(switchPath(c), "/disabled"), harness.Body{"disabled": true}).
		Refused(t, http.StatusUnprocessableEntity, "validation-failed")
	c.Admin().Get(t, "/auth/me").OK(t)

	superAdmin(c).WithHeader("If-Match", `"7"`).Put(t, switchPath(c), harness.Body{"disabled": true}).
		Refused(t, http.StatusPreconditionFailed, "stale-version")
	off := superAdmin(c).WithHeader("If-Match", `"1"`).Put(t, switchPath(c), harness.Body{"disabled": true}).OK(t)
	require.Equal(t, 2, off.Number(t, "version"))
	require.Equal(t, 2, superAdmin(c).Put(t, switchPath(c), harness.Body{"disabled": true}).OK(t).Number(t, "version"),
		"an unchanged value has no effect")
	c.As("").Post(t, "/auth/login", harness.Body{"email": "scheduler@own.test", "password": harness.Password}).
		Refused(t, http.StatusUnauthorized, "wrong-credentials")
	require.Equal(t, false, superAdmin(c).Put(t, switchPath(c), harness.Body{"disabled": false}).OK(t).Body["disabled"])

	trail := c.Admin().Get(t, "/admin/audit-events?action=organization.change").OK(t)
	found := trail.Body["data"].([]any)
	require.Len(t, found, 2, "%s", trail.Raw)
	require.Contains(t, string(trail.Raw),
		`"before":{"disabled":false,"version":1},"after":{"changed":["disabled"],"disabled":true,"version":2}`)
	require.Contains(t, string(trail.Raw),
		`"before":{"disabled":true,"version":2},"after":{"changed":["disabled"],"disabled":false,"version":3}`)
	refused := c.Admin().Get(t, "/admin/audit-events?action=user.sign-in&outcome=denied").OK(t)
	require.Contains(t, string(refused.Raw), `"reason":"organization-disabled"`)
}

// TestBackgroundWorkOfADisabledOrganization checks that it sends nothing, and
// continues to maintain the ledger.
func TestBackgroundWorkOfADisabledOrganization(t *testing.T) {
	t.Parallel()
	c := openWithTuning(t, events.Tuning{})
	r := harness.ReceiveWebhooks(t)
	path, _ := c.AddWebhook(t, r.URL)
	authorization := c.Authorize(t, 100)
	c.Book(t, c.Booking(authorization, c.AddPractitioner(t), c.Clock.Now().Add(time.Hour).Truncate(time.Minute),
		time.Hour))
	c.Admin().Post(t, authorization+"/reserve", harness.Body{"units": 2, "expiresInSeconds": 60}).ReservationID(t)
	for moved := int64(1); moved > 0; {
		var err error
		moved, err = c.App.Events.Relay(t.Context())
		require.NoError(t, err)
	}
	remind := func() int {
		n, err := c.App.Appointments.Remind(t.Context(), []time.Duration{2 * time.Hour})
		require.NoError(t, err)
		return n
	}

	superAdmin(c).Put(t, switchPath(c), harness.Body{"disabled": true}).OK(t)
	c.StartEvents(t)
	require.Zero(t, remind())
	c.Clock.Advance(2 * time.Minute)
	n, err := c.App.Authorizations.SweepHolds(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 1, n, "holds expire on time")
	_, err = c.App.Events.Relay(t.Context())
	require.NoError(t, err)
	require.Positive(t, c.Count(t, "SELECT count(*) FROM webhook_deliveries WHERE state = 'PENDING'"))
	other := harness.ReceiveWebhooks(t)
	c.As(c.Other.Tokens[rbac.Admin]).Post(t, harness.WebhooksPath, harness.Body{
		"url": other.URL, "types": []string{"authorization.balance"},
	}).
		Created(t)
	theirs := c.As(c.Other.Tokens[rbac.Admin]).Post(t, "/authorizations", harness.Body{
		"patientId":     c.Other.Patient,
		"serviceCodeId": c.Other.ServiceCode,
		"totalUnits":    4,
		"startDate":     "2026-01-01",
		"endDate":       "2026-12-31",
	}).Created(t).String()
	c.As(c.Other.Tokens[rbac.Admin]).Post(t, "/authorizations/"+theirs+"/reserve", harness.Body{"units": 1}).
		ReservationID(t)
	other.Await(t, 1) // a round of deliveries has run
	require.Empty(t, r.Messages(), "they wait")

	superAdmin(c).Put(t, switchPath(c), harness.Body{"disabled": false}).OK(t)
	r.Await(t, 3)
	require.Equal(t, 1, remind())
	require.NotEmpty(t, c.Admin().Get(t, path+"/deliveries").OK(t).Body["data"])
	c.RequireClean(t)
}
