package harness

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// WebhooksPath is the path of the webhooks.
const WebhooksPath = "/admin/webhooks"

// AddWebhook creates a webhook and returns its path and secret.
func (c *Clinic) AddWebhook(t testing.TB, url string) (path, secret string) {
	t.Helper()
	answer := c.Admin().Post(t, WebhooksPath, Body{"url": url, "types": []string{"authorization.balance"}})
	return WebhooksPath + "/" + answer.Created(t).String(), answer.Text("secret")
}

// Receiver is an external server that receives webhooks.
type Receiver struct {
	*httptest.Server
	Status atomic.Int64 // status of its answers
	mu     sync.Mutex
	got    []Message
}

// Message is a received request.
type Message struct {
	Header http.Header
	Raw    []byte
}

// ReceiveWebhooks starts a receiver.
func ReceiveWebhooks(t testing.TB) *Receiver {
	t.Helper()
	r := &Receiver{}
	r.Status.Store(http.StatusOK)
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		raw, err := io.ReadAll(request.Body)
		if err != nil {
			return
		}
		r.mu.Lock()
		r.got = append(r.got, Message{request.Header.Clone(), raw})
		r.mu.Unlock()
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(int(r.Status.Load()))
	}))
	t.Cleanup(r.Close)
	return r
}

// Messages returns the received messages.
func (r *Receiver) Messages() []Message {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]Message(nil), r.got...)
}

// Await waits until there are n messages.
func (r *Receiver) Await(t testing.TB, n int) []Message {
	t.Helper()
	require.Eventually(t, func() bool { return len(r.Messages()) >= n }, Soon, time.Millisecond)
	return r.Messages()
}

// Verify checks the signature like a Standard Webhooks library, and returns the body.
func (m Message) Verify(t testing.TB, secret string) Body {
	t.Helper()
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	require.NoError(t, err)
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "%s.%s.%s", m.Header.Get("webhook-id"), m.Header.Get("webhook-timestamp"), m.Raw)
	require.Equal(t, "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)), m.Header.Get("webhook-signature"))
	var b Body
	require.NoError(t, json.Unmarshal(m.Raw, &b))
	return b
}
