package e2e

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"omnirapeutic/modules/events"
	"omnirapeutic/modules/rbac"
)

func TestAWebhookIsTested(t *testing.T) {
	t.Parallel()
	c := openLive(t, events.Tuning{})
	r := receive(t)
	path, secret := c.hook(t, r.URL+"/hooks?key=theirs")
	before := c.admin().get(t, path).ok(t)

	delivered := c.admin().post(t, path+"/test", nil).ok(t)
	require.Equal(t, true, delivered.body["delivered"])
	require.Equal(t, http.StatusOK, delivered.number(t, "status"))
	require.Nil(t, delivered.body["error"])
	require.GreaterOrEqual(t, delivered.number(t, "durationMilliseconds"), 0)
	sent := r.await(t, 1)[0]
	event := sent.verified(t, secret)
	contract, err := published()
	require.NoError(t, err)
	contract.keepsEvent(t, "webhook.test", map[string]any(event))
	require.Equal(t, []any{"webhook.test", idOf(path), 0.0, map[string]any{"active": true}},
		[]any{event["type"], event["subjectId"], event["id"], event["data"]})
	require.Equal(t, delivered.text("messageId"), sent.header.Get("webhook-id"))
	require.True(t, strings.HasPrefix(delivered.text("messageId"), idOf(path)+"_test_"))

	t.Run("each request sends its own event", func(t *testing.T) {
		keyed := c.admin().with("Idempotency-Key", "once more")
		first, second := keyed.post(t, path+"/test", nil).ok(t), keyed.post(t, path+"/test", nil).ok(t)
		require.NotEqual(t, first.text("messageId"), second.text("messageId"))
		require.Len(t, r.messages(), 3)
	})
	t.Run("an inactive webhook is tested too", func(t *testing.T) {
		c.admin().patch(t, path, body{"active": false}).ok(t)
		require.Equal(t, true, c.admin().post(t, path+"/test", nil).ok(t).body["delivered"])
		require.Equal(t, map[string]any{"active": false}, r.await(t, 4)[3].verified(t, secret)["data"])
		c.admin().patch(t, path, body{"active": true}).ok(t)
	})
	t.Run("the answer of the receiver is not shown", func(t *testing.T) {
		r.status.Store(http.StatusTeapot)
		failed := c.admin().post(t, path+"/test", nil).ok(t)
		require.Equal(t, []any{false, float64(http.StatusTeapot), "the receiver answered 418"},
			[]any{failed.body["delivered"], failed.body["status"], failed.body["error"]})
		require.Len(t, failed.body, 5)
	})
	t.Run("a receiver that cannot be reached", func(t *testing.T) {
		r.Close()
		failed := c.admin().post(t, path+"/test", nil).ok(t)
		require.Equal(t, []any{false, nil, "the receiver refused the connection"},
			[]any{failed.body["delivered"], failed.body["status"], failed.body["error"]})
	})
	t.Run("deliveries and streams do not change", func(t *testing.T) {
		require.Equal(t, before.number(t, "version")+2, c.admin().get(t, path).ok(t).number(t, "version"),
			"of the two changes above")
		for _, table := range []string{"outbox", "events", "webhook_deliveries"} {
			require.Zero(t, c.count(t, "SELECT count(*) FROM "+table), table)
		}
	})
	t.Run("the trail records every test", func(t *testing.T) {
		recorded := c.admin().get(t, "/admin/audit-events?action=webhook.test").ok(t)
		require.Len(t, recorded.body["data"], 6)
		require.Contains(t, string(recorded.raw), `"subjectId":"`+idOf(path)+`"`)
		require.NotContains(t, string(recorded.raw), "theirs")
	})
	t.Run("only users who may change a webhook can test it", func(t *testing.T) {
		for _, role := range rbac.Roles() {
			if role != rbac.Admin {
				c.as(c.own.tokens[role]).post(t, path+"/test", nil).refused(t, http.StatusForbidden, "forbidden")
			}
		}
		c.as(c.other.tokens[rbac.Admin]).post(t, path+"/test", nil).refused(t, http.StatusNotFound, "webhook-not-found")
	})
}

// hang starts a receiver that reports each request, and answers once it is released.
func hang(t *testing.T) (url string, arrived, release chan struct{}) {
	t.Helper()
	arrived, release = make(chan struct{}, 1000), make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // otherwise the server does not notice that the client is gone
		arrived <- struct{}{}
		select {
		case <-release:
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(server.Close)
	return server.URL, arrived, release
}

func TestAnOrganizationTestsOneWebhookAtATime(t *testing.T) {
	t.Parallel()
	c := openPolling(t, "OMNI_WEBHOOK_SLOTS=4") // so that only one test can run at a time
	url, arrived, release := hang(t)
	path, _ := c.hook(t, url)
	other := c.as(c.other.tokens[rbac.Admin])
	theirs := webhooks + "/" + other.post(t, webhooks, body{"url": receive(t).URL}).created(t).String()

	tested := make(chan answer, 1)
	go func() { tested <- c.admin().post(t, path+"/test", nil) }() //nolint:testifylint // what fails in it fails here: nothing is received
	<-arrived
	own := c.admin().post(t, path+"/test", nil).refused(t, http.StatusTooManyRequests, "too-many-webhook-tests")
	require.Equal(t, "Your organization is testing a webhook right now. Wait for the result, and then try again.",
		own.text("detail"))
	all := other.post(t, theirs+"/test", nil).refused(t, http.StatusTooManyRequests, "too-many-webhook-tests")
	require.Equal(t, "Too many webhooks are being tested right now. Try again in a few seconds.", all.text("detail"))
	close(release)
	require.Equal(t, true, (<-tested).ok(t).body["delivered"])

	require.Equal(t, true, other.post(t, theirs+"/test", nil).ok(t).body["delivered"])
	require.Equal(t, true, c.admin().post(t, path+"/test", nil).ok(t).body["delivered"])
}

func TestATestOfAHangingReceiverIsAnsweredInTime(t *testing.T) {
	t.Parallel()
	c := openPolling(t, "OMNI_REQUEST_TIMEOUT=1s")
	url, _, _ := hang(t)
	path, _ := c.hook(t, url)
	failed := c.admin().post(t, path+"/test", nil).ok(t)
	require.Equal(t, []any{false, nil}, []any{failed.body["delivered"], failed.body["status"]})
	require.Regexp(t, `^no answer within [\d.]+m?s$`, failed.text("error"))
}

func TestATestIsNotSentWithoutARecord(t *testing.T) {
	t.Parallel()
	c := openLive(t, events.Tuning{})
	r := receive(t)
	path, _ := c.hook(t, r.URL)
	c.asOwner(t, "ALTER TABLE audit_events ADD CONSTRAINT full_up CHECK (false) NOT VALID")
	require.Equal(t, http.StatusInternalServerError, c.admin().post(t, path+"/test", nil).status)
	require.Empty(t, r.messages())
}

func TestATestReachesPublicAddressesOnly(t *testing.T) {
	t.Parallel()
	c := openPolling(t, "OMNI_PROFILE=production", "OMNI_DATA_DIR=/d",
		"OMNI_TOKEN_SECRET=3q2-7w8kD1cXb5Jm0aVfT9yRzLhQeNsU", "OMNI_RATE_LIMIT=0")
	c.own.tokens[rbac.Admin] = c.as("").post(t, "/auth/login", body{"email": "ADMIN@own.test", "password": password}).
		text("accessToken")
	r := receive(t)
	for _, url := range []string{
		strings.Replace(r.URL, "http:", "https:", 1), "https://10.1.2.3/hook",
		"https://[fe80::1]/hook",
	} {
		path, _ := c.hook(t, url)
		failed := c.admin().post(t, path+"/test", nil).ok(t)
		require.Equal(t, []any{false, nil, "the address is not public"},
			[]any{failed.body["delivered"], failed.body["status"], failed.body["error"]}, url)
	}
	require.Empty(t, r.messages())
}
