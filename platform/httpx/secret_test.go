package httpx_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/require"

	"omnirapeutic/platform/httpx"
)

type thing struct {
	Name string `json:"name"`
}

type thingWithKeys struct {
	thing
	Key   httpx.Secret `json:"key"`
	Spare httpx.Secret `json:"spare"`
}

func TestSecret(t *testing.T) {
	t.Parallel()
	whole := thingWithKeys{thing{"a"}, "open sesame", ""}

	t.Run("it is shown in JSON only", func(t *testing.T) {
		t.Parallel()
		text, err := json.Marshal(whole)
		require.NoError(t, err)
		require.JSONEq(t, `{"name":"a","key":"open sesame","spare":null}`, string(text))
		require.Equal(t, "open sesame", whole.Key.Reveal())
		for _, verb := range []string{"%s", "%v", "%+v", "%#v", "%q"} {
			require.NotContains(t, fmt.Sprintf(verb, whole), "sesame", verb)
		}
	})
	t.Run("the stored answer has no secrets, and is otherwise complete", func(t *testing.T) {
		t.Parallel()
		endpoint := httpx.Handle(http.StatusCreated,
			func(context.Context, httpx.None) (thingWithKeys, error) { return whole, nil })
		reply := run(t, endpoint)
		require.JSONEq(t, `{"name":"a","key":"open sesame","spare":null}`, string(reply.Body))
		require.JSONEq(t, `{"name":"a","key":null,"spare":null}`, string(reply.Stored))
	})
	t.Run("an answer without secrets is stored unchanged", func(t *testing.T) {
		t.Parallel()
		reply := run(t, httpx.Handle(http.StatusOK, func(context.Context, httpx.None) (thing, error) { return whole.thing, nil }))
		require.Equal(t, string(reply.Body), string(reply.Stored))
	})
	t.Run("a secret that cannot be removed is refused at startup", func(t *testing.T) {
		t.Parallel()
		type list struct {
			Data []thingWithKeys `json:"data"`
		}
		type pointer struct {
			Key *httpx.Secret `json:"key"`
		}
		require.Panics(t, func() {
			httpx.Handle(http.StatusOK, func(context.Context, httpx.None) (list, error) { return list{}, nil })
		})
		require.Panics(t, func() {
			httpx.Handle(http.StatusOK, func(context.Context, httpx.None) (pointer, error) { return pointer{}, nil })
		})
		require.Panics(t, func() {
			httpx.Handle(http.StatusOK, func(context.Context, httpx.None) ([]thingWithKeys, error) { return nil, nil })
		})
	})
}

func run(t *testing.T, endpoint httpx.Endpoint) httpx.Reply {
	t.Helper()
	c := echo.New().NewContext(httptest.NewRequest(http.MethodPost, "/", strings.NewReader("")), httptest.NewRecorder())
	call, err := endpoint.Prepare(c)
	require.NoError(t, err)
	reply, err := call.Run(t.Context())
	require.NoError(t, err)
	return reply
}

func TestSecretLists(t *testing.T) {
	t.Parallel()
	type keys struct {
		Codes httpx.Secrets `json:"codes"`
		None  httpx.Secrets `json:"none"`
	}
	reply := run(t, httpx.Handle(http.StatusOK, func(context.Context, httpx.None) (keys, error) {
		return keys{Codes: httpx.Secrets{"open", "sesame"}}, nil
	}))
	require.JSONEq(t, `{"codes":["open","sesame"],"none":null}`, string(reply.Body))
	require.JSONEq(t, `{"codes":null,"none":null}`, string(reply.Stored))
	require.NotContains(t,
		fmt.Sprintf("%v %+v %#v", httpx.Secrets{"sesame"}, httpx.Secrets{"sesame"}, httpx.Secrets{"sesame"}), "sesame")
}
