package e2e

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"omnirapeutic/e2e/harness"
	"omnirapeutic/modules/events"
	"omnirapeutic/modules/rbac"
)

func TestAWebhookIsTested(t *testing.T) {
	t.Parallel()
	c := openWithTuning(t, events.Tuning{})
	r := harness.ReceiveWebhooks(t)
	path, secret := c.AddWebhook(t, r.URL+"/hooks?key=theirs")
	before := c.Admin().Get(t, path).OK(t)

	delivered := c.Admin().Post(t, path+"/test", nil).OK(t)
	require.Equal(t, true, delivered.Body["delivered"])
	require.Equal(t, http.StatusOK, delivered.Number(t, "status"))
	require.Nil(t, delivered.Body["error"])
	require.GreaterOrEqual(t, delivered.Number(t, "durationMilliseconds"), 0)
	sent := r.Await(t, 1)[0]
	event := sent.Verify(t, secret)
	contract, err := harness.PublishedContract()
	require.NoError(t, err)
	contract.RequireEvent(t, "webhook.test", map[string]any(event))
	require.Equal(t, []any{"webhook.test", harness.IDOf(path), 0.0, map[string]any{"active": true}},
		[]any{event["type"], event["subjectId"], event["id"], event["data"]})
	require.Equal(t, delivered.Text("messageId"), sent.Header.Get("webhook-id"))
	require.True(t, strings.HasPrefix(delivered.Text("messageId"), harness.IDOf(path)+"_test_"))

	t.Run("each request sends its own event", func(t *testing.T) {
		keyed := c.Admin().WithHeader("Idempotency-Key", "once more")
		first, second := keyed.Post(t, path+"/test", nil).OK(t), keyed.Post(t, path+"/test", nil).OK(t)
		require.NotEqual(t, first.Text("messageId"), second.Text("messageId"))
		require.Len(t, r.Messages(), 3)
	})
	t.Run("an inactive webhook is tested too", func(t *testing.T) {
		c.Admin().Patch(t, path, harness.Body{"active": false}).OK(t)
		require.Equal(t, true, c.Admin().Post(t, path+"/test", nil).OK(t).Body["delivered"])
		require.Equal(t, map[string]any{"active": false}, r.Await(t, 4)[3].Verify(t, secret)["data"])
		c.Admin().Patch(t, path, harness.Body{"active": true}).OK(t)
	})
	t.Run("the answer of the receiver is not shown", func(t *testing.T) {
		r.Status.Store(http.StatusTeapot)
		failed := c.Admin().Post(t, path+"/test", nil).OK(t)
		require.Equal(t, []any{false, float64(http.StatusTeapot), "the receiver answered 418"},
			[]any{failed.Body["delivered"], failed.Body["status"], failed.Body["error"]})
		require.Len(t, failed.Body, 5)
	})
	t.Run("a receiver that cannot be reached", func(t *testing.T) {
		r.Close()
		failed := c.Admin().Post(t, path+"/test", nil).OK(t)
		require.Equal(t, []any{false, nil, "the receiver refused the connection"},
			[]any{failed.Body["delivered"], failed.Body["status"], failed.Body["error"]})
	})
	t.Run("deliveries and streams do not change", func(t *testing.T) {
		require.Equal(t, before.Number(t, "version")+2, c.Admin().Get(t, path).OK(t).Number(t, "version"),
			"of the two changes above")
		for _, table := range []string{"outbox", "events", "webhook_deliveries"} {
			require.Zero(t, c.Count(t, "SELECT count(*) FROM "+table), table)
		}
	})
	t.Run("the trail records every test", func(t *testing.T) {
		recorded := c.Admin().Get(t, "/admin/audit-events?action=webhook.test").OK(t)
		require.Len(t, recorded.Body["data"], 6)
		require.Contains(t, string(recorded.Raw), `"subjectId":"`+harness.IDOf(path)+`"`)
		require.NotContains(t, string(recorded.Raw), "theirs")
	})
	t.Run("only users who may change a webhook can test it", func(t *testing.T) {
		for _, role := range rbac.Roles() {
			if role != rbac.Admin {
				c.As(c.Own.Tokens[role]).Post(t, path+"/test", nil).Refused(t, http.StatusForbidden, "forbidden")
			}
		}
		c.As(c.Other.Tokens[rbac.Admin]).Post(t, path+"/test", nil).Refused(t, http.StatusNotFound, "webhook-not-found")
	})
}

// startHangingReceiver starts a receiver that reports each request, and answers once it is released.
func startHangingReceiver(t *testing.T) (url string, arrived, release chan struct{}) {
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
	url, arrived, release := startHangingReceiver(t)
	path, _ := c.AddWebhook(t, url)
	other := c.As(c.Other.Tokens[rbac.Admin])
	theirs := harness.WebhooksPath + "/" + other.Post(t, harness.WebhooksPath, harness.Body{
		"url": harness.ReceiveWebhooks(t).URL,
	}).Created(t).String()

	tested := make(chan harness.Answer, 1)
	go func() {
		tested <- c.Admin().Post(t, path+"/test", nil)
	}() // what fails in it fails here: nothing is received
	<-arrived
	own := c.Admin().Post(t, path+"/test", nil).Refused(t, http.StatusTooManyRequests, "too-many-webhook-tests")
	require.Equal(t, "Your organization is testing a webhook right now. Wait for the result, and then try again.",
		own.Text("detail"))
	all := other.Post(t, theirs+"/test", nil).Refused(t, http.StatusTooManyRequests, "too-many-webhook-tests")
	require.Equal(t, "Too many webhooks are being tested right now. Try again in a few seconds.", all.Text("detail"))
	close(release)
	require.Equal(t, true, (<-tested).OK(t).Body["delivered"])

	require.Equal(t, true, other.Post(t, theirs+"/test", nil).OK(t).Body["delivered"])
	require.Equal(t, true, c.Admin().Post(t, path+"/test", nil).OK(t).Body["delivered"])
}

func TestATestOfAHangingReceiverIsAnsweredInTime(t *testing.T) {
	t.Parallel()
	c := openPolling(t, "OMNI_REQUEST_TIMEOUT=1s")
	url, _, _ := startHangingReceiver(t)
	path, _ := c.AddWebhook(t, url)
	failed := c.Admin().Post(t, path+"/test", nil).OK(t)
	require.Equal(t, []any{false, nil}, []any{failed.Body["delivered"], failed.Body["status"]})
	require.Regexp(t, `^no answer within [\d.]+m?s$`, failed.Text("error"))
}

func TestATestIsNotSentWithoutARecord(t *testing.T) {
	t.Parallel()
	c := openWithTuning(t, events.Tuning{})
	r := harness.ReceiveWebhooks(t)
	path, _ := c.AddWebhook(t, r.URL)
	c.ExecAsOwner(t, "ALTER TABLE audit_events ADD CONSTRAINT full_up CHECK (false) NOT VALID")
	require.Equal(t, http.StatusInternalServerError, c.Admin().Post(t, path+"/test", nil).Status)
	require.Empty(t, r.Messages())
}

func TestATestReachesPublicAddressesOnly(t *testing.T) {
	t.Parallel()
	c := openPolling(t, "OMNI_PROFILE=production", "OMNI_DATA_DIR=/d",
		"OMNI_TOKEN_SECRET=3q2-7w8kD1cXb5Jm0aVfT9yRzLhQeNsU", "OMNI_RATE_LIMIT=0")
	c.Own.Tokens[rbac.Admin] = c.As("").Post(t, "/auth/login", harness.Body{
		"email": "ADMIN@own.test", "password": harness.Password,
	}).
		Text("accessToken")
	r := harness.ReceiveWebhooks(t)
	for _, url := range []string{
		strings.Replace(r.URL, "http:", "https:", 1), "https://10.1.2.3/hook",
		"https://[fe80::1]/hook",
	} {
		path, _ := c.AddWebhook(t, url)
		failed := c.Admin().Post(t, path+"/test", nil).OK(t)
		require.Equal(t, []any{false, nil, "the address is not public"},
			[]any{failed.Body["delivered"], failed.Body["status"], failed.Body["error"]}, url)
	}
	require.Empty(t, r.Messages())
}
