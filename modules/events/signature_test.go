package events

import (
	"encoding/json"
	"fmt"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omnirapeutic/platform/safehttp"
)

func TestReasonsOmitTheURL(t *testing.T) {
	t.Parallel()
	err := &url.Error{URL: "https://example.com/?key=theirs", Err: safehttp.ErrNotPublic}
	require.Equal(t, "the address is not public", deliveryError(err, attemptTimeout))
}

func TestProductionRequiresHTTPS(t *testing.T) {
	t.Parallel()
	production, development := &Service{}, &Service{anyAddress: true}
	require.Empty(t, production.checkURL("https://example.com/hook"))
	require.NotEmpty(t, production.checkURL("http://example.com/hook"))
	require.Empty(t, development.checkURL("http://127.0.0.1:8081/hook"))
}

// The values are from the examples of Standard Webhooks.
func TestSignature(t *testing.T) {
	t.Parallel()
	s := secret{mustDecode(t, "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")}
	at := time.Unix(1614265330, 0)
	require.Equal(t, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
		s.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", at, []byte(`{"test": 2432232314}`)))
	require.Equal(t, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", s.reveal())
}

func TestSecretIsHidden(t *testing.T) {
	t.Parallel()
	w := Webhook{Secret: secret{[]byte("do not reveal")}}
	encoded, err := json.Marshal(map[string]any{"w": w, "s": w.Secret, "p": &w.Secret})
	require.NoError(t, err)
	for _, text := range []string{
		string(encoded), fmt.Sprintf("%v %+v %#v", w, w, w),
		fmt.Sprintf("%v %+v %#v %s %x", w.Secret, w.Secret, w.Secret, &w.Secret, w.Secret),
	} {
		require.NotContains(t, text, "do not reveal")
		require.NotContains(t, text, "ZG8gbm90IHRlbGw")
		require.NotContains(t, text, "100 111 32")
		require.NotContains(t, text, "0x64, 0x6f")
		require.NotContains(t, text, "646f206e6f74")
	}
}
