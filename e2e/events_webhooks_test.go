package e2e

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omnirapeutic/e2e/harness"
	"omnirapeutic/modules/events"
	"omnirapeutic/modules/rbac"
)

// awaitDelivery waits until the only delivery of a webhook has the expected state.
func awaitDelivery(t testing.TB, c *harness.Clinic, path, state string, attempts int) harness.Body {
	t.Helper()
	var found harness.Body
	require.Eventually(t, func() bool {
		all := c.Admin().Get(t, path+"/deliveries").Body["data"].([]any)
		if len(all) != 1 {
			return false
		}
		found = all[0].(map[string]any)
		return found["state"] == state && found["attempts"] == float64(attempts) && !underWay(t, found)
	}, harness.Soon, 5*time.Millisecond, "%s after %d attempts, not %v", state, attempts, found)
	return found
}

// underWay reports whether a delivery is being attempted. It is then claimed for 30 seconds.
func underWay(t testing.TB, delivery harness.Body) bool {
	t.Helper()
	if delivery["nextAttemptAt"] == nil {
		return false
	}
	if delivery["lastAttemptAt"] == nil {
		return true
	}
	var next, last time.Time
	require.NoError(t, next.UnmarshalText([]byte(delivery["nextAttemptAt"].(string))))
	require.NoError(t, last.UnmarshalText([]byte(delivery["lastAttemptAt"].(string))))
	return next.Sub(last) == 30*time.Second
}

func TestWebhookIsDelivered(t *testing.T) {
	t.Parallel()
	c := openPolling(t).StartEvents(t)
	second := harness.SecondInstance(t, c, c.Database.Open(t)).StartEvents(t)
	r := harness.ReceiveWebhooks(t)
	path, secret := c.AddWebhook(t, r.URL+"/hooks?key=theirs")
	require.Regexp(t, `^whsec_.{44}$`, secret)
	authorization := c.Authorize(t, 100)
	const many = 30
	harness.Concurrently(many, func(i int) {
		instance := []*harness.Clinic{c, second}[i%2]
		for instance.Admin().WithHeader("Idempotency-Key", fmt.Sprint("booking ", i)).Post(t, authorization+"/reserve",
			harness.Body{"units": 1}).Status != http.StatusCreated {
		}
	})
	require.Eventually(t, func() bool {
		return len(c.Admin().Get(t, path+"/deliveries?limit=200&state=DELIVERED").Body["data"].([]any)) == many
	}, harness.Soon, 5*time.Millisecond)
	seen := map[string]bool{}
	for _, m := range r.Messages() {
		b := m.Verify(t, secret)
		require.Equal(t, "authorization.balance", b["type"])
		require.Equal(t, fmt.Sprintf("%s_%v", strings.TrimPrefix(path, harness.WebhooksPath+"/"), b["id"]),
			m.Header.Get("webhook-id"))
		require.Equal(t, "application/json", m.Header.Get("Content-Type"))
		seen[m.Header.Get("webhook-id")] = true
	}
	require.Len(t, r.Messages(), many, "two instances send each event once")
	require.Len(t, seen, many)

	t.Run("a new secret signs later events", func(t *testing.T) {
		answer := c.Admin().Post(t, path+"/rotate-secret", nil)
		require.Equal(t, http.StatusOK, answer.Status)
		require.NotEqual(t, secret, answer.Text("secret"))
		c.Admin().Post(t, authorization+"/release", harness.Body{"units": 1})
		r.Await(t, many+1)[many].Verify(t, answer.Text("secret"))
	})
	t.Run("nothing is sent while it is inactive", func(t *testing.T) {
		require.Equal(t, http.StatusOK, c.Admin().Patch(t, path, harness.Body{"active": false}).Status)
		c.Admin().Post(t, authorization+"/release", harness.Body{"units": 1})
		require.Eventually(t, func() bool { return c.Count(t, "SELECT count(*) FROM events") == many+2 }, harness.Soon,
			time.Millisecond)
		require.Equal(t, many+1, c.Count(t, "SELECT count(*) FROM webhook_deliveries"))
	})
}

func TestWebhookIsRetried(t *testing.T) {
	t.Parallel()
	c := openPolling(t).StartEvents(t)
	r := harness.ReceiveWebhooks(t)
	r.Status.Store(http.StatusInternalServerError)
	path, secret := c.AddWebhook(t, r.URL)
	authorization := c.Authorize(t, 100)
	require.Equal(t, http.StatusCreated, c.Admin().Post(t, authorization+"/reserve", harness.Body{"units": 1}).Status)

	awaitDelivery(t, c, path, "PENDING", 1)
	r.Await(t, 1)
	ahead := time.Duration(0)
	token := c.Own.Tokens[rbac.Admin]
	for attempt, delay := range []time.Duration{
		15 * time.Second, time.Minute, 4 * time.Minute, 16 * time.Minute, time.Hour, 4 * time.Hour, 17 * time.Hour,
	} {
		ahead += delay + delay/4
		c.Clock.SetAhead(ahead)
		c.Own.Tokens[rbac.Admin] = c.As("").Post(t, "/auth/login", harness.Body{
			"email": "ADMIN@own.test", "password": harness.Password,
		}).
			Text("accessToken")
		r.Await(t, attempt+2)
		state := "PENDING"
		switch attempt {
		case 6:
			state = "DEAD"
		case 2:
			r.Status.Store(http.StatusFound) // redirects are not followed
		}
		awaitDelivery(t, c, path, state, attempt+2)
	}
	require.NotEqual(t, token, c.Own.Tokens[rbac.Admin])
	dead := c.Admin().Get(t, path+"/deliveries?state=DEAD").Body["data"].([]any)
	require.Len(t, dead, 1)
	last := dead[0].(map[string]any)
	require.Nil(t, last["nextAttemptAt"])
	require.EqualValues(t, http.StatusFound, last["lastStatus"])
	require.Equal(t, "the receiver answered 302", last["lastError"])
	require.Len(t, r.Messages(), 8)

	r.Status.Store(http.StatusNoContent)
	c.Admin().Post(t, path+"/deliveries/1/redeliver", nil)
	delivered := awaitDelivery(t, c, path, "DELIVERED", 1)
	require.Nil(t, delivered["lastError"])
	ids := map[string]bool{}
	for _, m := range r.Await(t, 9) {
		m.Verify(t, secret)
		ids[m.Header.Get("webhook-id")] = true
	}
	require.Len(t, ids, 1, "the receiver can detect the repeated event")
	c.Admin().Post(t, path+"/deliveries/2/redeliver", nil).Refused(t, http.StatusNotFound, "delivery-not-found")

	r.Close()
	c.Admin().Post(t, path+"/deliveries/1/redeliver", nil)
	failed := awaitDelivery(t, c, path, "PENDING", 1)
	require.Nil(t, failed["lastStatus"])
	require.NotEmpty(t, failed["lastError"])
	require.NotContains(t, failed["lastError"], "http://")
}

func TestWebhooksAreManaged(t *testing.T) {
	t.Parallel()
	c := openWithTuning(t, events.Tuning{})
	result := c.Admin().Post(t, harness.WebhooksPath, harness.Body{"url": "https://example.com/hook"})
	path := strings.TrimPrefix(result.Header.Get("Location"), "/api/v1")
	require.Equal(t, harness.WebhooksPath+"/"+result.Created(t).String(), path)
	require.Equal(t, `"1"`, result.Header.Get("ETag"))
	require.Equal(t, []any{}, result.Body["types"])
	require.Equal(t, true, result.Body["active"])

	for _, target := range []string{harness.WebhooksPath, path} {
		answer := c.Admin().Get(t, target)
		require.Equal(t, http.StatusOK, answer.Status)
		require.NotContains(t, strings.ToLower(string(answer.Raw)), "secret")
		require.NotContains(t, string(answer.Raw), "whsec_")
	}
	for _, invalid := range []harness.Body{
		{},
		{"url": "ftp://example.com"},
		{"url": "https://"},
		{"url": "https://user@example.com"},
		{"url": "/hook"},
		{"url": "https://example.com", "types": []string{"authorization.blance"}},
		{"url": "https://example.com", "secret": "mine"},
	} {
		c.Admin().Post(t, harness.WebhooksPath, invalid).Refused(t, http.StatusUnprocessableEntity, "validation-failed")
	}

	changed := c.Admin().WithHeader("If-Match", `"1"`).Patch(t, path,
		harness.Body{"types": []string{"authorization.balance"}, "active": false})
	require.Equal(t, http.StatusOK, changed.Status, "%s", changed.Raw)
	require.Equal(t, `"2"`, changed.Header.Get("ETag"))
	require.Equal(t, []any{"authorization.balance"}, changed.Body["types"])
	c.Admin().WithHeader("If-Match", `"1"`).Patch(t, path, harness.Body{"active": true}).
		Refused(t, http.StatusPreconditionFailed, "stale-version")
	c.Admin().WithHeader("If-Match", `"1"`).Post(t, path+"/rotate-secret", nil).
		Refused(t, http.StatusPreconditionFailed, "stale-version")
	require.EqualValues(t, 2, c.Admin().Patch(t, path, harness.Body{"active": false}).Body["version"], "nothing changed")

	for _, role := range rbac.Roles() {
		if role != rbac.Admin {
			c.As(c.Own.Tokens[role]).Get(t, harness.WebhooksPath).Refused(t, http.StatusForbidden, "forbidden")
		}
	}
	other := c.As(c.Other.Tokens[rbac.Admin])
	require.Empty(t, other.Get(t, harness.WebhooksPath).Body["data"])
	for _, a := range []harness.Answer{
		other.Get(t, path), other.Patch(t, path, harness.Body{"active": true}), other.Delete(t, path),
		other.Post(t, path+"/rotate-secret", nil),
		other.Get(t, path+"/deliveries"), other.Post(t, path+"/deliveries/1/redeliver", nil),
		other.Post(t, path+"/test", nil),
	} {
		a.Refused(t, http.StatusNotFound, "webhook-not-found")
	}
	require.Equal(t, http.StatusNoContent, c.Admin().Delete(t, path).Status)
	c.Admin().Get(t, path).Refused(t, http.StatusNotFound, "webhook-not-found")
}

// TestWebhookIsLimitedToItsCreatorsPermissions lets a scheduler, who reads appointments, sessions and
// balances but no emergencies, manage webhooks.
func TestWebhookIsLimitedToItsCreatorsPermissions(t *testing.T) {
	t.Parallel()
	c := openWithTuning(t, events.Tuning{})
	reads := withPermission(c.Admin().PermissionSet(t, rbac.Scheduler), "session:read", "ORGANIZATION")
	c.Admin().Put(t, "/permission-sets/SCHEDULER", withPermission(reads, "webhook:manage", "ORGANIZATION")).OK(t)
	scheduler := c.As(c.Own.Tokens[rbac.Scheduler])
	const url = "https://example.com/hook"
	beyond := func(a harness.Answer) {
		t.Helper()
		require.Equal(t, "emergency:read", a.Refused(t, http.StatusForbidden, "beyond-own-permissions").Text("exceeds"))
	}
	own, all := []string{"authorization.balance", "appointment.booked"}, []string{}
	beyond(scheduler.Post(t, harness.WebhooksPath, harness.Body{"url": url}))
	beyond(scheduler.Post(t, harness.WebhooksPath, harness.Body{"url": url, "types": all}))
	beyond(scheduler.Post(t, harness.WebhooksPath, harness.Body{
		"url": url, "types": append(own, "emergency.taken"), "active": false,
	}))
	require.Empty(t, scheduler.Get(t, harness.WebhooksPath).OK(t).Body["data"])
	mine := harness.WebhooksPath + "/" + scheduler.Post(t, harness.WebhooksPath, harness.Body{"url": url, "types": own}).
		Created(t).String()
	beyond(scheduler.Patch(t, mine, harness.Body{"types": all}))
	beyond(scheduler.Patch(t, mine, harness.Body{"types": []string{"emergency.reviewed"}}))
	scheduler.Patch(t, mine, harness.Body{"types": own[:1], "url": url + "/2", "active": false}).OK(t)
	scheduler.Patch(t, mine, harness.Body{"active": true}).OK(t)

	whole := harness.WebhooksPath + "/" + c.Admin().Post(t, harness.WebhooksPath, harness.Body{"url": url}).
		Created(t).String()
	beyond(scheduler.Patch(t, whole, harness.Body{"url": "https://elsewhere.example.com"}))
	beyond(scheduler.Patch(t, whole, harness.Body{"types": []string{"emergency.taken"}}))
	scheduler.Patch(t, whole, harness.Body{"url": url, "types": all}).OK(t) // unchanged types
	beyond(scheduler.Patch(t, whole, harness.Body{"active": true}))
	require.Equal(t, 1, c.Admin().Get(t, whole).OK(t).Number(t, "version"), "refused changes have no effect")
	scheduler.Patch(t, whole, harness.Body{"active": false}).OK(t)
	beyond(scheduler.Patch(t, whole, harness.Body{"active": true}))
	beyond(scheduler.Post(t, whole+"/rotate-secret", nil))
	scheduler.Post(t, mine+"/rotate-secret", nil).OK(t)
	c.Admin().Patch(t, whole, harness.Body{"active": true}).OK(t)
	require.Equal(t, http.StatusNoContent, scheduler.Delete(t, whole).Status)

	t.Run("a permission for some records only is not enough", func(t *testing.T) {
		c.Admin().Put(t, "/permission-sets/PRACTITIONER",
			withPermission(c.Admin().PermissionSet(t, rbac.Practitioner), "webhook:manage", "ORGANIZATION")).OK(t)
		beyond(c.As(c.Own.Tokens[rbac.Practitioner]).Post(t, harness.WebhooksPath, harness.Body{
			"url": url, "types": []string{"emergency.taken"},
		}))
	})
}

// awaitDeliveries waits until the deliveries of a webhook have these states, in the order of
// their events.
func awaitDeliveries(t testing.TB, c *harness.Clinic, path string, want ...string) {
	t.Helper()
	owner := c.Owner(t)
	var found []string
	require.Eventually(t, func() bool {
		found = harness.QueryTexts(t, owner, `SELECT state FROM webhook_deliveries WHERE webhook_id = $1 ORDER BY position`,
			harness.IDOf(path))
		return slices.Equal(want, found)
	}, harness.Soon, 5*time.Millisecond, "%v, not %v", want, found)
}

// TestWebhookFollowsItsCreatorsCurrentPermissions removes and restores permissions of a
// webhook's creator; an administrator then takes the webhook over.
func TestWebhookFollowsItsCreatorsCurrentPermissions(t *testing.T) {
	t.Parallel()
	c := openPolling(t).StartEvents(t)
	c.Admin().Put(t, "/permission-sets/SCHEDULER",
		withPermission(c.Admin().PermissionSet(t, rbac.Scheduler), "webhook:manage", "ORGANIZATION")).OK(t)
	user := c.AddUser(t, c.Own, "cy@own.test", rbac.Scheduler)
	r := harness.ReceiveWebhooks(t)
	result := c.SignInByEmail(t, "cy@own.test").Post(t, harness.WebhooksPath, harness.Body{
		"url": r.URL, "types": []string{"authorization.balance"},
	})
	path := harness.WebhooksPath + "/" + result.Created(t).String()
	require.Equal(t, harness.IDOf(user), result.Text("answeredBy"))
	authorization := c.Authorize(t, 100)
	happen := func() {
		t.Helper()
		c.Admin().Post(t, authorization+"/reserve", harness.Body{"units": 1}).ReservationID(t)
	}

	happen()
	awaitDeliveries(t, c, path, "DELIVERED")
	c.Admin().Patch(t, user, harness.Body{"disabled": true}).OK(t)
	happen()
	awaitDeliveries(t, c, path, "DELIVERED", "WITHHELD")
	require.Len(t, r.Messages(), 1)
	withheld := c.Admin().Get(t, path+"/deliveries?state=WITHHELD").OK(t).Body["data"].([]any)[0].(map[string]any)
	require.Equal(t, []any{
		0.0, nil, nil,
		"the user responsible for the webhook can no longer read this event or manage webhooks",
	},
		[]any{withheld["attempts"], withheld["nextAttemptAt"], withheld["lastStatus"], withheld["lastError"]})

	c.Admin().Patch(t, user, harness.Body{"disabled": false}).OK(t)
	happen()
	awaitDeliveries(t, c, path, "DELIVERED", "WITHHELD", "DELIVERED")
	c.SignInByEmail(t, "cy@own.test").Patch(t, path, harness.Body{"active": true}).OK(t)
	awaitDeliveries(t, c, path, "DELIVERED", "DELIVERED", "DELIVERED")

	c.Admin().Put(t, user+"/roles", harness.Body{"roles": []string{"BILLER"}}).
		OK(t) // reads balances, and manages no webhooks
	happen()
	awaitDeliveries(t, c, path, "DELIVERED", "DELIVERED", "DELIVERED", "WITHHELD")
	c.Admin().Post(t, path+"/deliveries/4/redeliver", nil).OK(t)
	awaitDeliveries(t, c, path, "DELIVERED", "DELIVERED", "DELIVERED", "WITHHELD")
	require.Len(t, r.Messages(), 3)

	version := c.Admin().Get(t, path).OK(t).Number(t, "version")
	taken := c.Admin().Patch(t, path, harness.Body{"active": true}).OK(t)
	require.NotEqual(t, harness.IDOf(user), taken.Text("answeredBy"))
	require.Equal(t, version+1, taken.Number(t, "version"))
	awaitDeliveries(t, c, path, "DELIVERED", "DELIVERED", "DELIVERED", "DELIVERED")
	require.Equal(t, version+1, c.Admin().Patch(t, path, harness.Body{"active": true}).OK(t).Number(t, "version"),
		"an unchanged value has no effect")
	require.Contains(t, string(c.Admin().Get(t, "/admin/audit-events?action=webhook.change&limit=1").OK(t).Raw),
		`"changed":["answeredBy"]`)
	require.Len(t, r.Await(t, 4), 4)
	c.RequireClean(t)
}

// TestWebhookWithholdsUnreadableEvents removes one permission from administrators: events
// that need it are withheld without blocking others.
func TestWebhookWithholdsUnreadableEvents(t *testing.T) {
	t.Parallel()
	c := openPolling(t)
	r := harness.ReceiveWebhooks(t)
	path := harness.WebhooksPath + "/" + c.Admin().Post(t, harness.WebhooksPath,
		harness.Body{"url": r.URL, "types": []string{"authorization.balance", "appointment.booked"}}).Created(t).String()
	authorization, practitioner := c.Authorize(t, 100), c.AddPractitioner(t)
	for day := range 10 { // more than one batch
		c.Book(t, c.Booking(authorization, practitioner, c.At(t, day+1, "15:00"), time.Hour))
	}
	c.Admin().Put(t, "/permission-sets/ADMIN",
		withoutPermission(c.Admin().PermissionSet(t, rbac.Admin), "appointment:read")).OK(t)
	c.StartEvents(t)
	require.Eventually(t, func() bool {
		return c.Count(t, "SELECT count(*) FROM webhook_deliveries WHERE state = 'DELIVERED'") == 10 &&
			c.Count(t, "SELECT count(*) FROM webhook_deliveries WHERE state = 'WITHHELD'") == 10
	}, harness.Soon, 5*time.Millisecond)
	for _, m := range r.Messages() {
		require.Contains(t, string(m.Raw), `"type":"authorization.balance"`)
	}

	t.Run("nor is it listed to them, or sent again", func(t *testing.T) {
		seen := c.Admin().Get(t, path+"/deliveries?limit=200").OK(t).Body["data"].([]any)
		require.Len(t, seen, 10)
		for _, item := range seen {
			require.Equal(t, "authorization.balance", item.(map[string]any)["type"])
		}
		hidden := harness.QueryTexts(t, c.Owner(t),
			`SELECT position::text FROM webhook_deliveries WHERE state = 'WITHHELD' LIMIT 1`)[0]
		c.Admin().Post(t, path+"/deliveries/"+hidden+"/redeliver", nil).Refused(t, http.StatusNotFound, "delivery-not-found")
		require.Equal(t, 10, c.Count(t, "SELECT count(*) FROM webhook_deliveries WHERE state = 'WITHHELD'"))
		beyond := c.Admin().Post(t, path+"/rotate-secret", nil).Refused(t, http.StatusForbidden, "beyond-own-permissions")
		require.Equal(t, "appointment:read", beyond.Text("exceeds"))
		c.Admin().Patch(t, path, harness.Body{"active": true}).Refused(t, http.StatusForbidden, "beyond-own-permissions")
	})
	require.Equal(t, http.StatusNoContent, c.Admin().Delete(t, "/permission-sets/ADMIN").Status)
	require.Len(t, c.Admin().Get(t, path+"/deliveries?limit=200").OK(t).Body["data"], 20)
	c.Admin().Patch(t, path, harness.Body{"active": true}).OK(t)
	require.Len(t, r.Await(t, 20), 20)
}
