package app

import (
	"context"
	"encoding/binary"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omnirapeutic/config"
	"omnirapeutic/platform/httpx"
	"omnirapeutic/platform/identity"
)

// stillClock is a clock that tests move.
type stillClock struct{ t time.Time }

func (c *stillClock) now() time.Time { return c.t }

func newStillClock() *stillClock { return &stillClock{time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)} }

// newLimitedServer has two users, ann and bob, who can sign in twice: a token is a name
// followed by a digit.
func newLimitedServer(t *testing.T, user, token config.Rate) (*testServer, *stillClock) {
	t.Helper()
	clock := newStillClock()
	s := &testServer{log: &safeBuffer{}}
	options := testOptions(s,
		route(http.MethodPost, "/things", httpx.SignedIn,
			func(_ context.Context, in thing) (thing, error) { return in, nil }),
		route(http.MethodGet, "/secret", "secret:read", nothing),
		route(http.MethodPost, "/public", httpx.Public, nothing))
	options.Clock, options.HTTP.UserRate, options.HTTP.TokenRate = clock.now, user, token
	options.Authenticate = func(_ context.Context, token string) (identity.Caller, error) {
		if len(token) != len("ann1") {
			return identity.Caller{}, identity.ErrUnauthenticated
		}
		caller := identity.Caller{OrganizationID: someOrganization}
		copy(caller.UserID[:], token[:3])
		return caller, nil
	}
	server, err := NewServer(options)
	require.NoError(t, err)
	s.Server = server
	return s, clock
}

func TestRates(t *testing.T) {
	t.Parallel()
	post := func(t *testing.T, s *testServer, token string) (int, http.Header) {
		t.Helper()
		w := s.do(t, http.MethodPost, "/api/v1/things", `{"name": "x"}`, "Authorization", "Bearer "+token)
		if w.Code != http.StatusOK {
			require.Equal(t, "rate-limited", codeOf(t, w))
		}
		return w.Code, w.Header()
	}
	t.Run("it refuses requests above the rate, with Retry-After", func(t *testing.T) {
		t.Parallel()
		s, clock := newLimitedServer(t, config.Rate{PerSecond: 0.5, Burst: 3}, config.Rate{})
		for _, left := range []string{`"user";r=2;t=2`, `"user";r=1;t=4`, `"user";r=0;t=2`} {
			status, header := post(t, s, "ann1")
			require.Equal(t, http.StatusOK, status)
			require.Equal(t, `"user";q=3;w=6`, header.Get("RateLimit-Policy"))
			require.Equal(t, left, header.Get("RateLimit"))
			require.Empty(t, header.Get("Retry-After"))
		}
		clock.t = clock.t.Add(500 * time.Millisecond)
		status, header := post(t, s, "ann1")
		require.Equal(t, http.StatusTooManyRequests, status)
		require.Equal(t, "2", header.Get("Retry-After"), "one and a half, rounded up")
		require.Equal(t, `"user";r=0;t=2`, header.Get("RateLimit"))
		clock.t = clock.t.Add(2 * time.Second)
		status, _ = post(t, s, "ann1")
		require.Equal(t, http.StatusOK, status, "after the wait, the request is served")
		status, _ = post(t, s, "ann1")
		require.Equal(t, http.StatusTooManyRequests, status)
	})
	t.Run("it limits each user separately, over all tokens", func(t *testing.T) {
		t.Parallel()
		s, _ := newLimitedServer(t, config.Rate{PerSecond: 1, Burst: 2}, config.Rate{})
		for token, want := range map[string]int{"ann1": 200, "ann2": 200} {
			status, _ := post(t, s, token)
			require.Equal(t, want, status)
		}
		status, _ := post(t, s, "ann3")
		require.Equal(t, 429, status)
		status, _ = post(t, s, "bob1")
		require.Equal(t, 200, status, "another user at the same address")
	})
	t.Run("it limits each token, and a refused request does not count against the user", func(t *testing.T) {
		t.Parallel()
		s, _ := newLimitedServer(t, config.Rate{PerSecond: 1, Burst: 3}, config.Rate{PerSecond: 0.25, Burst: 2})
		post(t, s, "ann1")
		post(t, s, "ann1")
		for range 5 {
			status, header := post(t, s, "ann1")
			require.Equal(t, 429, status)
			require.Equal(t, "4", header.Get("Retry-After"))
			require.Equal(t, `"user";q=3;w=3, "token";q=2;w=8`, header.Get("RateLimit-Policy"))
			require.Equal(t, `"user";r=1;t=2, "token";r=0;t=4`, header.Get("RateLimit"))
		}
		status, _ := post(t, s, "ann2")
		require.Equal(t, 200, status)
		w := s.do(t, http.MethodPost, "/api/v1/things", `{"name": "x"}`, "Authorization", "Bearer ann2")
		require.Contains(t, w.Body.String(), `"policy":"user"`)
	})
	t.Run("it decides before the permission and before the body", func(t *testing.T) {
		t.Parallel()
		s, _ := newLimitedServer(t, config.Rate{PerSecond: 1, Burst: 1}, config.Rate{})
		w := s.do(t, http.MethodGet, "/api/v1/secret", "", "Authorization", "Bearer ann1")
		require.Equal(t, 403, w.Code)
		require.NotEmpty(t, w.Header().Get("RateLimit"), "a denial counts")
		w = s.do(t, http.MethodGet, "/api/v1/secret", "", "Authorization", "Bearer ann1")
		require.Equal(t, 429, w.Code)
		w = s.do(t, http.MethodPost, "/api/v1/things", "{no JSON", "Authorization", "Bearer ann1")
		require.Equal(t, 429, w.Code)
	})
	t.Run("it does not count requests with an invalid token", func(t *testing.T) {
		t.Parallel()
		s, _ := newLimitedServer(t, config.Rate{PerSecond: 1, Burst: 1}, config.Rate{PerSecond: 1, Burst: 1})
		for range 3 {
			w := s.do(t, http.MethodPost, "/api/v1/things", "", "Authorization", "Bearer x")
			require.Equal(t, 401, w.Code)
			require.Empty(t, w.Header().Get("RateLimit"))
		}
		require.Empty(t, s.rates.Load().user.buckets)
		require.Empty(t, s.rates.Load().token.buckets)
	})
	t.Run("it limits an address without sign-in, regardless of its headers", func(t *testing.T) {
		t.Parallel()
		s, _ := newLimitedServer(t, config.Rate{PerSecond: 1, Burst: 1}, config.Rate{})
		w := s.do(t, http.MethodPost, "/api/v1/public", "", "X-Forwarded-For", "192.0.2.7")
		require.Equal(t, 200, w.Code)
		require.Equal(t, `"address";q=1;w=1`, w.Header().Get("RateLimit-Policy"))
		w = s.do(t, http.MethodPost, "/api/v1/public", "", "X-Forwarded-For", "192.0.2.8", "X-Real-Ip", "192.0.2.9")
		require.Equal(t, 429, w.Code)
		status, _ := post(t, s, "ann1")
		require.Equal(t, 200, status, "signed-in callers are not limited by address")
		require.Equal(t, 200, s.do(t, http.MethodGet, "/healthz", "").Code)
	})
	t.Run("it has no limits unless configured", func(t *testing.T) {
		t.Parallel()
		s, _ := newLimitedServer(t, config.Rate{Burst: 1}, config.Rate{Burst: 1})
		for range 5 {
			status, header := post(t, s, "ann1")
			require.Equal(t, 200, status)
			require.Empty(t, header.Get("RateLimit-Policy"))
			require.Empty(t, header.Get("RateLimit"))
		}
	})
	t.Run("it grants no more than the limit to concurrent requests", func(t *testing.T) {
		t.Parallel()
		l := newRateLimits(newStillClock().now, config.Rate{PerSecond: 1, Burst: 10}, config.Rate{PerSecond: 1, Burst: 10})
		served := make(chan bool, 100)
		for range cap(served) {
			go func() {
				_, _, err := l.take(claim{&l.user, bucketKey{1}}, claim{&l.token, bucketKey{2}})
				served <- err == nil
			}()
		}
		n := 0
		for range cap(served) {
			if <-served {
				n++
			}
		}
		require.Equal(t, 10, n)
	})
}

func TestBuckets(t *testing.T) {
	t.Parallel()
	key := func(n int) (k bucketKey) { binary.BigEndian.PutUint64(k[:], uint64(n)); return k }
	t.Run("it forgets full buckets", func(t *testing.T) {
		t.Parallel()
		clock := newStillClock()
		l := newRateLimits(clock.now, config.Rate{PerSecond: 1, Burst: 5}, config.Rate{})
		for i := range 1000 {
			_, _, err := l.take(claim{&l.user, key(i)})
			require.NoError(t, err)
			clock.t = clock.t.Add(100 * time.Millisecond)
		}
		require.LessOrEqual(t, len(l.user.buckets), 11, "only buckets of the last second")
		require.Equal(t, len(l.user.buckets), l.user.recent.Len())
	})
	t.Run("it keeps a bounded number of buckets, the most recently used", func(t *testing.T) {
		t.Parallel()
		l := newRateLimits(newStillClock().now, config.Rate{PerSecond: 1, Burst: 1}, config.Rate{})
		for i := range maxBuckets + 10 {
			_, _, err := l.take(claim{&l.user, key(i)})
			require.NoError(t, err)
		}
		require.Len(t, l.user.buckets, maxBuckets)
		_, _, err := l.take(claim{&l.user, key(maxBuckets)})
		require.ErrorIs(t, err, errRateLimited)
	})
}

func TestAddressKey(t *testing.T) {
	t.Parallel()
	same := func(a, b string) bool { return addressKey(a) == addressKey(b) }
	require.False(t, same("192.0.2.1", "192.0.2.2"))
	require.True(t, same("192.0.2.1", "::ffff:192.0.2.1"))
	require.True(t, same("2001:db8::1", "2001:db8::ffff:1"), "one holder")
	require.False(t, same("2001:db8::1", "2001:db8:0:1::1"))
	require.True(t, same("fe80::1%eth0", "fe80::2"))
	require.True(t, same("", "@"))
}
