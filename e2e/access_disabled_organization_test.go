package e2e

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"omnirapeutic/modules/events"
	"omnirapeutic/modules/rbac"
)

// switchPath is the path that disables the own practice.
func (c *clinic) switchPath() string { return "/organizations/" + c.own.id.String() + "/disabled" }

// root administers all practices, and belongs to the other one.
func (c *clinic) root() caller { return c.as(c.other.tokens[rbac.SuperAdmin]) }

// entered holds the credentials of a signed-in user.
type entered struct{ token, refresh string }

func (c *clinic) enters(t testing.TB, email string) entered {
	t.Helper()
	a := c.as("").post(t, "/auth/login", body{"email": email, "password": password}).ok(t)
	return entered{a.text("accessToken"), a.text("refreshToken")}
}

func (c *clinic) refresh(t testing.TB, token string) answer {
	t.Helper()
	return c.as("").post(t, "/auth/refresh", body{"refreshToken": token})
}

// TestADisabledOrganizationIsClosed disables a practice on one instance while its users
// sign in on both, and tries every way in on both.
func TestADisabledOrganizationIsClosed(t *testing.T) {
	t.Parallel()
	database := twoPractices.New(t)
	first := serve(t, database, database.Open(t)).following(t)
	first.tuning = events.Tuning{Heartbeat: time.Hour} // only disabling ends a stream
	second := secondInstance(t, first, database.Open(t)).following(t)
	instances := []*clinic{first, second}
	authorization := first.authorize(t, 8)
	first.admin().post(t, authorization+"/reserve", body{"units": 1}).reservationID(t)
	scheduler, other := first.own.tokens[rbac.Scheduler], first.other.tokens[rbac.Scheduler]
	_, key := first.key(t, "authorization:read")
	_, unused := first.key(t, "authorization:read")
	link := first.admin().post(t, "/practitioners/"+first.employ(t).String()+"/calendar-feed", body{}).text("path")
	_, invitation := first.admin().invite(t, "rosa@example.test", "BILLER")
	kept := first.enters(t, "scheduler@own.test")
	for _, instance := range instances {
		instance.as(key).get(t, authorization).ok(t)
	}
	ours, theirs := second.as(scheduler).stream(t, ""), second.as(other).stream(t, "")
	require.Equal(t, "ready", ours.next(t).name)
	require.Equal(t, "ready", theirs.next(t).name)

	meanwhile := make([]entered, len(rbac.Roles()))
	together(len(meanwhile)+1, func(i int) {
		if i == len(meanwhile) {
			first.root().put(t, first.switchPath(), body{"disabled": true}).ok(t)
			return
		}
		a := instances[i%2].as("").post(t, "/auth/login",
			body{"email": string(rbac.Roles()[i]) + "@own.test", "password": password})
		meanwhile[i] = entered{a.text("accessToken"), a.text("refreshToken")}
		if a.status != http.StatusOK {
			a.refused(t, http.StatusUnauthorized, "wrong-credentials")
		}
	})
	first.as(scheduler).get(t, "/auth/me").refused(t, http.StatusUnauthorized, "unauthenticated")
	ours.ended(t) // the other instance has received the change

	for _, item := range instances {
		for _, token := range []string{
			scheduler, kept.token, key, unused, item.own.tokens[rbac.Admin],
			item.own.tokens[rbac.SuperAdmin],
		} {
			item.as(token).get(t, authorization).refused(t, http.StatusUnauthorized, "unauthenticated")
		}
		for _, m := range slices.Concat(meanwhile, []entered{kept}) {
			if m.token != "" {
				item.as(m.token).get(t, "/auth/me").refused(t, http.StatusUnauthorized, "unauthenticated")
				item.refresh(t, m.refresh).refused(t, http.StatusUnauthorized, "refresh-refused")
			}
		}
		invalid := item.as("").post(t, "/auth/login",
			body{"email": "scheduler@own.test", "password": "not the password"}).
			refused(t, http.StatusUnauthorized, "wrong-credentials")
		right := item.as("").post(t, "/auth/login", body{"email": "scheduler@own.test", "password": password}).
			refused(t, http.StatusUnauthorized, "wrong-credentials")
		require.Equal(t, invalid.text("detail"), right.text("detail"), "the answer does not reveal that the practice exists")
		item.accept(t, invitation).refused(t, http.StatusNotFound, "invitation-not-found")
		item.as("").get(t, strings.TrimPrefix(link, "/api/v1")).refused(t, http.StatusNotFound, "calendar-feed-not-found")
		item.as(other).get(t, "/auth/me").ok(t)
	}

	require.Equal(t, true, second.root().get(t, "/organizations/"+first.own.id.String()).ok(t).body["disabled"],
		"an administrator of all organizations sees it")
	report, err := second.app.Authorizations.Verify(t.Context(), uuid.Nil, nil)
	require.NoError(t, err)
	require.True(t, report.OK, "its ledger exists and is consistent, as the command verify finds")
	require.Equal(t, 1, report.Authorizations)

	back := second.as(scheduler)
	second.root().put(t, first.switchPath(), body{"disabled": false}).ok(t)
	back.get(t, authorization).ok(t)
	require.Eventually(t, func() bool { return first.as(scheduler).get(t, authorization).status == http.StatusOK }, soon,
		time.Millisecond)
	for _, each := range instances {
		for _, token := range []string{kept.token, key, unused} {
			each.as(token).get(t, authorization).ok(t)
		}
		response, _ := each.subscribe(t, link)
		require.Equal(t, http.StatusOK, response.StatusCode)
	}
	second.refresh(t, kept.refresh).ok(t)
	require.Equal(t, http.StatusCreated, first.accept(t, invitation).status)
	path := first.authorize(t, 4)
	first.live(t)
	second.live(t)
	first.as(other).get(t, "/auth/me").ok(t)
	again := second.as(scheduler).stream(t, "")
	require.Equal(t, "ready", again.next(t).name)
	first.admin().post(t, path+"/reserve", body{"units": 1})
	require.Equal(t, "authorization.balance", again.next(t).name)
	first.requireClean(t)
}

// TestLaterInstanceLoadsDisabledOrganizations uses earlier tokens on an instance
// that starts after the change.
func TestLaterInstanceLoadsDisabledOrganizations(t *testing.T) {
	t.Parallel()
	database := twoPractices.New(t)
	first := serve(t, database, database.Open(t))
	first.root().put(t, first.switchPath(), body{"disabled": true}).ok(t)
	second := secondInstance(t, first, database.Open(t)).following(t)
	second.admin().get(t, "/auth/me").refused(t, http.StatusUnauthorized, "unauthenticated")
	first.root().put(t, first.switchPath(), body{"disabled": false}).ok(t)
	third := secondInstance(t, first, database.Open(t)).following(t)
	third.admin().get(t, "/auth/me").ok(t)
}

func TestPermissionToDisableOrganizations(t *testing.T) {
	t.Parallel()
	c := open(t)
	for _, role := range rbac.Roles() {
		if role == rbac.SuperAdmin {
			continue
		}
		for _, p := range []practice{c.own, c.other} {
			c.as(p.tokens[role]).put(t, c.switchPath(), body{"disabled": true}).refused(t, http.StatusForbidden, "forbidden")
		}
	}
	c.as("").put(t, c.switchPath(), body{"disabled": true}).refused(t, http.StatusUnauthorized, "unauthenticated")
	c.as(c.own.tokens[rbac.SuperAdmin]).put(t, c.switchPath(), body{"disabled": true}).
		refused(t, http.StatusConflict, "own-organization")
	c.root().put(t, "/organizations/"+uuid.NewString()+"/disabled", body{"disabled": true}).refused(t, http.StatusNotFound,
		"organization-not-found")
	c.root().put(t, c.switchPath(), body{}).refused(t, http.StatusUnprocessableEntity, "validation-failed")
	c.admin().patch(t, strings.TrimSuffix(c.switchPath(), "/disabled"), body{"disabled": true}).
		refused(t, http.StatusUnprocessableEntity, "validation-failed")
	c.admin().get(t, "/auth/me").ok(t)

	c.root().with("If-Match", `"7"`).put(t, c.switchPath(), body{"disabled": true}).
		refused(t, http.StatusPreconditionFailed, "stale-version")
	off := c.root().with("If-Match", `"1"`).put(t, c.switchPath(), body{"disabled": true}).ok(t)
	require.Equal(t, 2, off.number(t, "version"))
	require.Equal(t, 2, c.root().put(t, c.switchPath(), body{"disabled": true}).ok(t).number(t, "version"),
		"an unchanged value has no effect")
	c.as("").post(t, "/auth/login", body{"email": "scheduler@own.test", "password": password}).
		refused(t, http.StatusUnauthorized, "wrong-credentials")
	require.Equal(t, false, c.root().put(t, c.switchPath(), body{"disabled": false}).ok(t).body["disabled"])

	trail := c.admin().get(t, "/admin/audit-events?action=organization.change").ok(t)
	found := trail.body["data"].([]any)
	require.Len(t, found, 2, "%s", trail.raw)
	require.Contains(t, string(trail.raw),
		`"before":{"disabled":false,"version":1},"after":{"changed":["disabled"],"disabled":true,"version":2}`)
	require.Contains(t, string(trail.raw),
		`"before":{"disabled":true,"version":2},"after":{"changed":["disabled"],"disabled":false,"version":3}`)
	refused := c.admin().get(t, "/admin/audit-events?action=user.sign-in&outcome=denied").ok(t)
	require.Contains(t, string(refused.raw), `"reason":"organization-disabled"`)
}

// TestBackgroundWorkOfADisabledOrganization checks that it sends nothing, and
// continues to maintain the ledger.
func TestBackgroundWorkOfADisabledOrganization(t *testing.T) {
	t.Parallel()
	c := openLive(t, events.Tuning{})
	r := receive(t)
	path, _ := c.hook(t, r.URL)
	authorization := c.authorize(t, 100)
	c.book(t, c.booking(authorization, c.employ(t), c.clock.now().Add(time.Hour).Truncate(time.Minute), hour))
	c.admin().post(t, authorization+"/reserve", body{"units": 2, "expiresInSeconds": 60}).reservationID(t)
	for moved := int64(1); moved > 0; {
		var err error
		moved, err = c.app.Events.Relay(t.Context())
		require.NoError(t, err)
	}
	remind := func() int {
		n, err := c.app.Appointments.Remind(t.Context(), []time.Duration{2 * hour})
		require.NoError(t, err)
		return n
	}

	c.root().put(t, c.switchPath(), body{"disabled": true}).ok(t)
	c.live(t)
	require.Zero(t, remind())
	c.clock.advance(2 * time.Minute)
	n, err := c.app.Authorizations.SweepHolds(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 1, n, "holds expire on time")
	_, err = c.app.Events.Relay(t.Context())
	require.NoError(t, err)
	require.Positive(t, c.count(t, "SELECT count(*) FROM webhook_deliveries WHERE state = 'PENDING'"))
	other := receive(t)
	c.as(c.other.tokens[rbac.Admin]).post(t, webhooks, body{"url": other.URL, "types": []string{"authorization.balance"}}).
		created(t)
	theirs := c.as(c.other.tokens[rbac.Admin]).post(t, "/authorizations", body{
		"patientId":     c.other.patient,
		"serviceCodeId": c.other.serviceCode,
		"totalUnits":    4,
		"startDate":     "2026-01-01",
		"endDate":       "2026-12-31",
	}).created(t).String()
	c.as(c.other.tokens[rbac.Admin]).post(t, "/authorizations/"+theirs+"/reserve", body{"units": 1}).reservationID(t)
	other.await(t, 1) // a round of deliveries has run
	require.Empty(t, r.messages(), "they wait")

	c.root().put(t, c.switchPath(), body{"disabled": false}).ok(t)
	r.await(t, 3)
	require.Equal(t, 1, remind())
	require.NotEmpty(t, c.admin().get(t, path+"/deliveries").ok(t).body["data"])
	c.requireClean(t)
}
