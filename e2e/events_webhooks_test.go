package e2e

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omnirapeutic/modules/events"
	"omnirapeutic/modules/rbac"
)

// receiver is an external server that receives webhooks.
type receiver struct {
	*httptest.Server
	status atomic.Int64 // status of its answers
	mu     sync.Mutex
	got    []message
}

type message struct {
	header http.Header
	raw    []byte
}

func receive(t testing.TB) *receiver {
	t.Helper()
	r := &receiver{}
	r.status.Store(http.StatusOK)
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		raw, err := io.ReadAll(request.Body)
		if err != nil {
			return
		}
		r.mu.Lock()
		r.got = append(r.got, message{request.Header.Clone(), raw})
		r.mu.Unlock()
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(int(r.status.Load()))
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) messages() []message {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]message(nil), r.got...)
}

func (r *receiver) await(t testing.TB, n int) []message {
	t.Helper()
	require.Eventually(t, func() bool { return len(r.messages()) >= n }, soon, time.Millisecond)
	return r.messages()
}

// verified checks the signature like a Standard Webhooks library, and returns the body.
func (m message) verified(t testing.TB, secret string) body {
	t.Helper()
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	require.NoError(t, err)
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "%s.%s.%s", m.header.Get("webhook-id"), m.header.Get("webhook-timestamp"), m.raw)
	require.Equal(t, "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)), m.header.Get("webhook-signature"))
	var b body
	require.NoError(t, json.Unmarshal(m.raw, &b))
	return b
}

const webhooks = "/admin/webhooks"

// hook creates a webhook and returns its path and secret.
func (c *clinic) hook(t testing.TB, url string) (path, secret string) {
	t.Helper()
	answer := c.admin().post(t, webhooks, body{"url": url, "types": []string{"authorization.balance"}})
	return webhooks + "/" + answer.created(t).String(), answer.text("secret")
}

// delivery waits until the only delivery of a webhook has the expected state.
func (c *clinic) delivery(t testing.TB, path, state string, attempts int) body {
	t.Helper()
	var found body
	require.Eventually(t, func() bool {
		all := c.admin().get(t, path+"/deliveries").body["data"].([]any)
		if len(all) != 1 {
			return false
		}
		found = all[0].(map[string]any)
		return found["state"] == state && found["attempts"] == float64(attempts) && !underWay(t, found)
	}, soon, 5*time.Millisecond, "%s after %d attempts, not %v", state, attempts, found)
	return found
}

// underWay reports whether a delivery is being attempted. It is then claimed for 30 seconds.
func underWay(t testing.TB, delivery body) bool {
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
	c := openPolling(t).live(t)
	second := secondInstance(t, c, c.database.Open(t)).live(t)
	r := receive(t)
	path, secret := c.hook(t, r.URL+"/hooks?key=theirs")
	require.Regexp(t, `^whsec_.{44}$`, secret)
	authorization := c.authorize(t, 100)
	const many = 30
	together(many, func(i int) {
		instance := []*clinic{c, second}[i%2]
		for instance.admin().with("Idempotency-Key", fmt.Sprint("booking ", i)).post(t, authorization+"/reserve",
			body{"units": 1}).status != http.StatusCreated {
		}
	})
	require.Eventually(t, func() bool {
		return len(c.admin().get(t, path+"/deliveries?limit=200&state=DELIVERED").body["data"].([]any)) == many
	}, soon, 5*time.Millisecond)
	seen := map[string]bool{}
	for _, m := range r.messages() {
		b := m.verified(t, secret)
		require.Equal(t, "authorization.balance", b["type"])
		require.Equal(t, fmt.Sprintf("%s_%v", strings.TrimPrefix(path, webhooks+"/"), b["id"]), m.header.Get("webhook-id"))
		require.Equal(t, "application/json", m.header.Get("Content-Type"))
		seen[m.header.Get("webhook-id")] = true
	}
	require.Len(t, r.messages(), many, "two instances send each event once")
	require.Len(t, seen, many)

	t.Run("a new secret signs later events", func(t *testing.T) {
		answer := c.admin().post(t, path+"/rotate-secret", nil)
		require.Equal(t, http.StatusOK, answer.status)
		require.NotEqual(t, secret, answer.text("secret"))
		c.admin().post(t, authorization+"/release", body{"units": 1})
		r.await(t, many+1)[many].verified(t, answer.text("secret"))
	})
	t.Run("nothing is sent while it is inactive", func(t *testing.T) {
		require.Equal(t, http.StatusOK, c.admin().patch(t, path, body{"active": false}).status)
		c.admin().post(t, authorization+"/release", body{"units": 1})
		require.Eventually(t, func() bool { return c.count(t, "SELECT count(*) FROM events") == many+2 }, soon,
			time.Millisecond)
		require.Equal(t, many+1, c.count(t, "SELECT count(*) FROM webhook_deliveries"))
	})
}

func TestWebhookIsRetried(t *testing.T) {
	t.Parallel()
	c := openPolling(t).live(t)
	r := receive(t)
	r.status.Store(http.StatusInternalServerError)
	path, secret := c.hook(t, r.URL)
	authorization := c.authorize(t, 100)
	require.Equal(t, http.StatusCreated, c.admin().post(t, authorization+"/reserve", body{"units": 1}).status)

	c.delivery(t, path, "PENDING", 1)
	r.await(t, 1)
	ahead := time.Duration(0)
	token := c.own.tokens[rbac.Admin]
	for attempt, delay := range []time.Duration{
		15 * time.Second, time.Minute, 4 * time.Minute, 16 * time.Minute, time.Hour, 4 * time.Hour, 17 * time.Hour,
	} {
		ahead += delay + delay/4
		c.clock.set(ahead)
		c.own.tokens[rbac.Admin] = c.as("").post(t, "/auth/login", body{"email": "ADMIN@own.test", "password": password}).
			text("accessToken")
		r.await(t, attempt+2)
		state := "PENDING"
		switch attempt {
		case 6:
			state = "DEAD"
		case 2:
			r.status.Store(http.StatusFound) // redirects are not followed
		}
		c.delivery(t, path, state, attempt+2)
	}
	require.NotEqual(t, token, c.own.tokens[rbac.Admin])
	dead := c.admin().get(t, path+"/deliveries?state=DEAD").body["data"].([]any)
	require.Len(t, dead, 1)
	last := dead[0].(map[string]any)
	require.Nil(t, last["nextAttemptAt"])
	require.EqualValues(t, http.StatusFound, last["lastStatus"])
	require.Equal(t, "the receiver answered 302", last["lastError"])
	require.Len(t, r.messages(), 8)

	r.status.Store(http.StatusNoContent)
	c.admin().post(t, path+"/deliveries/1/redeliver", nil)
	delivered := c.delivery(t, path, "DELIVERED", 1)
	require.Nil(t, delivered["lastError"])
	ids := map[string]bool{}
	for _, m := range r.await(t, 9) {
		m.verified(t, secret)
		ids[m.header.Get("webhook-id")] = true
	}
	require.Len(t, ids, 1, "the receiver can detect the repeated event")
	c.admin().post(t, path+"/deliveries/2/redeliver", nil).refused(t, http.StatusNotFound, "delivery-not-found")

	r.Close()
	c.admin().post(t, path+"/deliveries/1/redeliver", nil)
	failed := c.delivery(t, path, "PENDING", 1)
	require.Nil(t, failed["lastStatus"])
	require.NotEmpty(t, failed["lastError"])
	require.NotContains(t, failed["lastError"], "http://")
}

func TestWebhooksAreManaged(t *testing.T) {
	t.Parallel()
	c := openLive(t, events.Tuning{})
	result := c.admin().post(t, webhooks, body{"url": "https://example.com/hook"})
	path := strings.TrimPrefix(result.header.Get("Location"), "/api/v1")
	require.Equal(t, webhooks+"/"+result.created(t).String(), path)
	require.Equal(t, `"1"`, result.header.Get("ETag"))
	require.Equal(t, []any{}, result.body["types"])
	require.Equal(t, true, result.body["active"])

	for _, place := range []string{webhooks, path} {
		answer := c.admin().get(t, place)
		require.Equal(t, http.StatusOK, answer.status)
		require.NotContains(t, strings.ToLower(string(answer.raw)), "secret")
		require.NotContains(t, string(answer.raw), "whsec_")
	}
	for _, invalid := range []body{
		{},
		{"url": "ftp://example.com"},
		{"url": "https://"},
		{"url": "https://user@example.com"},
		{"url": "/hook"},
		{"url": "https://example.com", "types": []string{"authorization.blance"}},
		{"url": "https://example.com", "secret": "mine"},
	} {
		c.admin().post(t, webhooks, invalid).refused(t, http.StatusUnprocessableEntity, "validation-failed")
	}

	changed := c.admin().with("If-Match", `"1"`).patch(t, path,
		body{"types": []string{"authorization.balance"}, "active": false})
	require.Equal(t, http.StatusOK, changed.status, "%s", changed.raw)
	require.Equal(t, `"2"`, changed.header.Get("ETag"))
	require.Equal(t, []any{"authorization.balance"}, changed.body["types"])
	c.admin().with("If-Match", `"1"`).patch(t, path, body{"active": true}).
		refused(t, http.StatusPreconditionFailed, "stale-version")
	c.admin().with("If-Match", `"1"`).post(t, path+"/rotate-secret", nil).
		refused(t, http.StatusPreconditionFailed, "stale-version")
	require.EqualValues(t, 2, c.admin().patch(t, path, body{"active": false}).body["version"], "nothing changed")

	for _, role := range rbac.Roles() {
		if role != rbac.Admin {
			c.as(c.own.tokens[role]).get(t, webhooks).refused(t, http.StatusForbidden, "forbidden")
		}
	}
	other := c.as(c.other.tokens[rbac.Admin])
	require.Empty(t, other.get(t, webhooks).body["data"])
	for _, a := range []answer{
		other.get(t, path), other.patch(t, path, body{"active": true}), other.delete(t, path),
		other.post(t, path+"/rotate-secret", nil),
		other.get(t, path+"/deliveries"), other.post(t, path+"/deliveries/1/redeliver", nil),
		other.post(t, path+"/test", nil),
	} {
		a.refused(t, http.StatusNotFound, "webhook-not-found")
	}
	require.Equal(t, http.StatusNoContent, c.admin().delete(t, path).status)
	c.admin().get(t, path).refused(t, http.StatusNotFound, "webhook-not-found")
}

// TestWebhookIsLimitedToItsCreatorsPermissions lets a scheduler, who reads appointments and
// balances but no emergencies, manage webhooks.
func TestWebhookIsLimitedToItsCreatorsPermissions(t *testing.T) {
	t.Parallel()
	c := openLive(t, events.Tuning{})
	c.admin().put(t, "/permission-sets/SCHEDULER",
		with(c.admin().set(t, rbac.Scheduler), "webhook:manage", "ORGANIZATION")).ok(t)
	scheduler := c.as(c.own.tokens[rbac.Scheduler])
	const url = "https://example.com/hook"
	beyond := func(a answer) {
		t.Helper()
		require.Equal(t, "emergency:read", a.refused(t, http.StatusForbidden, "beyond-own-permissions").text("exceeds"))
	}
	own, all := []string{"authorization.balance", "appointment.booked"}, []string{}
	beyond(scheduler.post(t, webhooks, body{"url": url}))
	beyond(scheduler.post(t, webhooks, body{"url": url, "types": all}))
	beyond(scheduler.post(t, webhooks, body{"url": url, "types": append(own, "emergency.taken"), "active": false}))
	require.Empty(t, scheduler.get(t, webhooks).ok(t).body["data"])
	mine := webhooks + "/" + scheduler.post(t, webhooks, body{"url": url, "types": own}).created(t).String()
	beyond(scheduler.patch(t, mine, body{"types": all}))
	beyond(scheduler.patch(t, mine, body{"types": []string{"emergency.reviewed"}}))
	scheduler.patch(t, mine, body{"types": own[:1], "url": url + "/2", "active": false}).ok(t)
	scheduler.patch(t, mine, body{"active": true}).ok(t)

	whole := webhooks + "/" + c.admin().post(t, webhooks, body{"url": url}).created(t).String()
	beyond(scheduler.patch(t, whole, body{"url": "https://elsewhere.example.com"}))
	beyond(scheduler.patch(t, whole, body{"types": []string{"emergency.taken"}}))
	scheduler.patch(t, whole, body{"url": url, "types": all}).ok(t) // unchanged types
	beyond(scheduler.patch(t, whole, body{"active": true}))
	require.Equal(t, 1, c.admin().get(t, whole).ok(t).number(t, "version"), "refused changes have no effect")
	scheduler.patch(t, whole, body{"active": false}).ok(t)
	beyond(scheduler.patch(t, whole, body{"active": true}))
	beyond(scheduler.post(t, whole+"/rotate-secret", nil))
	scheduler.post(t, mine+"/rotate-secret", nil).ok(t)
	c.admin().patch(t, whole, body{"active": true}).ok(t)
	require.Equal(t, http.StatusNoContent, scheduler.delete(t, whole).status)

	t.Run("a permission for some records only is not enough", func(t *testing.T) {
		c.admin().put(t, "/permission-sets/PRACTITIONER",
			with(c.admin().set(t, rbac.Practitioner), "webhook:manage", "ORGANIZATION")).ok(t)
		beyond(c.as(c.own.tokens[rbac.Practitioner]).post(t, webhooks, body{"url": url, "types": []string{"emergency.taken"}}))
	})
}

// deliveries waits until the deliveries of a webhook have these states, in the order of
// their events.
func (c *clinic) deliveries(t testing.TB, path string, want ...string) {
	t.Helper()
	owner := c.owner(t)
	var found []string
	require.Eventually(t, func() bool {
		found = texts(t, owner, `SELECT state FROM webhook_deliveries WHERE webhook_id = $1 ORDER BY position`, idOf(path))
		return slices.Equal(want, found)
	}, soon, 5*time.Millisecond, "%v, not %v", want, found)
}

// TestWebhookFollowsItsCreatorsCurrentPermissions removes and restores permissions of a
// webhook's creator; an administrator then takes the webhook over.
func TestWebhookFollowsItsCreatorsCurrentPermissions(t *testing.T) {
	t.Parallel()
	c := openPolling(t).live(t)
	c.admin().put(t, "/permission-sets/SCHEDULER",
		with(c.admin().set(t, rbac.Scheduler), "webhook:manage", "ORGANIZATION")).ok(t)
	user := c.hire(t, c.own, "cy@own.test", rbac.Scheduler)
	r := receive(t)
	result := c.enter(t, "cy@own.test").post(t, webhooks, body{"url": r.URL, "types": []string{"authorization.balance"}})
	path := webhooks + "/" + result.created(t).String()
	require.Equal(t, idOf(user), result.text("answeredBy"))
	authorization := c.authorize(t, 100)
	happen := func() { t.Helper(); c.admin().post(t, authorization+"/reserve", body{"units": 1}).reservationID(t) }

	happen()
	c.deliveries(t, path, "DELIVERED")
	c.admin().patch(t, user, body{"disabled": true}).ok(t)
	happen()
	c.deliveries(t, path, "DELIVERED", "WITHHELD")
	require.Len(t, r.messages(), 1)
	withheld := c.admin().get(t, path+"/deliveries?state=WITHHELD").ok(t).body["data"].([]any)[0].(map[string]any)
	require.Equal(t, []any{
		0.0, nil, nil,
		"the user responsible for the webhook can no longer read this event or manage webhooks",
	},
		[]any{withheld["attempts"], withheld["nextAttemptAt"], withheld["lastStatus"], withheld["lastError"]})

	c.admin().patch(t, user, body{"disabled": false}).ok(t)
	happen()
	c.deliveries(t, path, "DELIVERED", "WITHHELD", "DELIVERED")
	c.enter(t, "cy@own.test").patch(t, path, body{"active": true}).ok(t)
	c.deliveries(t, path, "DELIVERED", "DELIVERED", "DELIVERED")

	c.admin().put(t, user+"/roles", body{"roles": []string{"BILLER"}}).ok(t) // reads balances, and manages no webhooks
	happen()
	c.deliveries(t, path, "DELIVERED", "DELIVERED", "DELIVERED", "WITHHELD")
	c.admin().post(t, path+"/deliveries/4/redeliver", nil).ok(t)
	c.deliveries(t, path, "DELIVERED", "DELIVERED", "DELIVERED", "WITHHELD")
	require.Len(t, r.messages(), 3)

	version := c.admin().get(t, path).ok(t).number(t, "version")
	taken := c.admin().patch(t, path, body{"active": true}).ok(t)
	require.NotEqual(t, idOf(user), taken.text("answeredBy"))
	require.Equal(t, version+1, taken.number(t, "version"))
	c.deliveries(t, path, "DELIVERED", "DELIVERED", "DELIVERED", "DELIVERED")
	require.Equal(t, version+1, c.admin().patch(t, path, body{"active": true}).ok(t).number(t, "version"),
		"an unchanged value has no effect")
	require.Contains(t, string(c.admin().get(t, "/admin/audit-events?action=webhook.change&limit=1").ok(t).raw),
		`"changed":["answeredBy"]`)
	require.Len(t, r.await(t, 4), 4)
	c.requireClean(t)
}

// TestWebhookWithholdsUnreadableEvents removes one permission from administrators: events
// that need it are withheld without blocking others.
func TestWebhookWithholdsUnreadableEvents(t *testing.T) {
	t.Parallel()
	c := openPolling(t)
	r := receive(t)
	path := webhooks + "/" + c.admin().post(t, webhooks,
		body{"url": r.URL, "types": []string{"authorization.balance", "appointment.booked"}}).created(t).String()
	authorization, who := c.authorize(t, 100), c.employ(t)
	for day := range 10 { // more than one batch
		c.book(t, c.booking(authorization, who, c.hour(t, day+1, "15:00"), hour))
	}
	c.admin().put(t, "/permission-sets/ADMIN", without(c.admin().set(t, rbac.Admin), "appointment:read")).ok(t)
	c.live(t)
	require.Eventually(t, func() bool {
		return c.count(t, "SELECT count(*) FROM webhook_deliveries WHERE state = 'DELIVERED'") == 10 &&
			c.count(t, "SELECT count(*) FROM webhook_deliveries WHERE state = 'WITHHELD'") == 10
	}, soon, 5*time.Millisecond)
	for _, m := range r.messages() {
		require.Contains(t, string(m.raw), `"type":"authorization.balance"`)
	}

	t.Run("nor is it listed to them, or sent again", func(t *testing.T) {
		seen := c.admin().get(t, path+"/deliveries?limit=200").ok(t).body["data"].([]any)
		require.Len(t, seen, 10)
		for _, item := range seen {
			require.Equal(t, "authorization.balance", item.(map[string]any)["type"])
		}
		hidden := texts(t, c.owner(t), `SELECT position::text FROM webhook_deliveries WHERE state = 'WITHHELD' LIMIT 1`)[0]
		c.admin().post(t, path+"/deliveries/"+hidden+"/redeliver", nil).refused(t, http.StatusNotFound, "delivery-not-found")
		require.Equal(t, 10, c.count(t, "SELECT count(*) FROM webhook_deliveries WHERE state = 'WITHHELD'"))
		beyond := c.admin().post(t, path+"/rotate-secret", nil).refused(t, http.StatusForbidden, "beyond-own-permissions")
		require.Equal(t, "appointment:read", beyond.text("exceeds"))
		c.admin().patch(t, path, body{"active": true}).refused(t, http.StatusForbidden, "beyond-own-permissions")
	})
	require.Equal(t, http.StatusNoContent, c.admin().delete(t, "/permission-sets/ADMIN").status)
	require.Len(t, c.admin().get(t, path+"/deliveries?limit=200").ok(t).body["data"], 20)
	c.admin().patch(t, path, body{"active": true}).ok(t)
	require.Len(t, r.await(t, 20), 20)
}
