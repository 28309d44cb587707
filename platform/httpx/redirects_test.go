package httpx_test

import (
	"context"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/httpx"
)

func TestARedirect(t *testing.T) {
	t.Parallel()
	type in struct {
		httpx.AnyQuery
		ID    string `param:"id"`
		Known string `query:"known" validate:"max=5"`
		Taste string `cookie:"taste" validate:"max=5"`
	}
	var got in
	var refusal error
	endpoint := httpx.HandleRedirect(func(_ context.Context, given in) (httpx.Redirect, error) {
		got = given
		return httpx.Redirect{
			URL:    "https://elsewhere.test/#" + given.Known,
			Cookie: &http.Cookie{Name: "taste", Value: "sweet", MaxAge: -1},
		}, refusal
	})
	r := request(http.MethodGet, "/things/"+someID+"?known=yes&unknown=1&unknown=2", "")
	r.AddCookie(&http.Cookie{Name: "other", Value: "x"})
	r.AddCookie(&http.Cookie{Name: "taste", Value: "sour"})
	w, err := serve(t, endpoint, r)
	require.NoError(t, err)
	require.Equal(t, http.StatusFound, w.Code)
	require.Equal(t, "https://elsewhere.test/#yes", w.Header().Get("Location"))
	require.Equal(t, "taste=sweet; Max-Age=0", w.Header().Get("Set-Cookie"))
	require.Empty(t, w.Body.String())
	require.Equal(t, in{ID: someID, Known: "yes", Taste: "sour"}, got)

	_, err = serve(t, endpoint, request(http.MethodGet, "/things/"+someID+"?known=too-long", ""))
	require.ErrorIs(t, err, fault.ErrInvalid, "it validates known parameters")
	twice := request(http.MethodGet, "/things/"+someID, "")
	twice.Header.Add("Cookie", "taste=sweet; taste=sour")
	_, err = serve(t, endpoint, twice)
	require.ErrorIs(t, err, fault.ErrInvalid, "two cookies of one name are ambiguous")

	refusal = fault.ErrInvalid
	w, err = serve(t, endpoint, request(http.MethodGet, "/things/"+someID, ""))
	require.ErrorIs(t, err, fault.ErrInvalid)
	require.NotEmpty(t, w.Header().Get("Set-Cookie"), "the cookie is also set with an error")
	require.Empty(t, w.Header().Get("Location"))
}
