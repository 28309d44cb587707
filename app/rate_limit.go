package app

import (
	"container/list"
	"crypto/sha256"
	"fmt"
	"math"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/labstack/echo/v4"
	"golang.org/x/time/rate"

	"omnirapeutic/config"
	"omnirapeutic/platform/fault"
	"omnirapeutic/platform/identity"
)

var errRateLimited = fault.Define(fault.TooMany, "rate-limited", "Too many requests in a short time. This request was "+
	"not processed; try again in a moment.").Carrying(tooFast{}).
	Advising("Wait for the time in `Retry-After`, and retry. The `RateLimit` header of earlier answers shows the " +
		"remaining quota.")

// tooFast are the details of errRateLimited.
type tooFast struct {
	Policy string `json:"policy"` // The exceeded limit, as named in `RateLimit-Policy`.
	wait   time.Duration
}

// RetryAfter returns the delay after which the next request is accepted.
func (t tooFast) RetryAfter() time.Duration { return t.wait }

// maxBuckets limits the memory of one policy to about ten megabytes.
const maxBuckets = 1 << 16

// bucketKey identifies a bucket: a user's id, an address, a token's digest.
type bucketKey [16]byte

// rateLimits are the rate limits of this instance, in memory, so that they cost nothing
// when the database is overloaded. Two instances together allow twice the rate. Safe
// for concurrent use.
type rateLimits struct {
	clock                func() time.Time
	user, token, address policy

	mu sync.Mutex // guards all buckets: a request takes from two at once or from none
}

// newRateLimits also applies the rate of users to addresses. It is high for one
// address, because a whole clinic may share it.
func newRateLimits(clock func() time.Time, user, token config.Rate) *rateLimits {
	return &rateLimits{
		clock: clock, user: newPolicy("user", user), token: newPolicy("token", token), address: newPolicy("address", user),
	}
}

// policy is one limit and the buckets of its recent callers.
type policy struct {
	name    string
	rate    rate.Limit // 0 for no limit
	burst   int
	buckets map[bucketKey]*list.Element // of *bucket
	recent  *list.List                  // most recently used first
}

type bucket struct {
	key     bucketKey
	limiter *rate.Limiter
}

func newPolicy(name string, r config.Rate) policy {
	return policy{
		name:    name,
		rate:    rate.Limit(r.PerSecond),
		burst:   r.Burst,
		buckets: map[bucketKey]*list.Element{},
		recent:  list.New(),
	}
}

// bucketOf returns the bucket of the key. A new bucket is full, like a bucket that has
// been idle long enough, so dropping idle ones changes nothing.
func (p *policy) bucketOf(key bucketKey, now time.Time) *rate.Limiter {
	if found, ok := p.buckets[key]; ok {
		p.recent.MoveToFront(found)
		return found.Value.(*bucket).limiter
	}
	for last := p.recent.Back(); last != nil; last = p.recent.Back() {
		b := last.Value.(*bucket)
		if len(p.buckets) < maxBuckets && b.limiter.TokensAt(now) < float64(p.burst) {
			break
		}
		p.recent.Remove(last)
		delete(p.buckets, b.key)
	}
	b := &bucket{key: key, limiter: rate.NewLimiter(p.rate, p.burst)}
	p.buckets[key] = p.recent.PushFront(b)
	return b.limiter
}

// after returns the time until so many more tokens are available.
func (p *policy) after(tokens float64) time.Duration {
	return time.Duration(max(tokens, 0) / float64(p.rate) * float64(time.Second))
}

// claim requests one token of a policy.
type claim struct {
	policy *policy
	key    bucketKey
}

// take takes one token from the bucket of every claim, or from none if one of them is
// empty. It returns the rate limit headers.
func (l *rateLimits) take(claims ...claim) (policies, left string, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.clock()
	var limiters []*rate.Limiter
	var wait tooFast
	for _, c := range claims {
		b := c.policy.bucketOf(c.key, now)
		limiters = append(limiters, b)
		if missing := 1 - b.TokensAt(now); missing > 0 && (wait.Policy == "" || c.policy.after(missing) > wait.wait) {
			wait = tooFast{c.policy.name, c.policy.after(missing)}
		}
	}
	var all, rest []string
	for i, c := range claims {
		if wait.Policy == "" {
			limiters[i].AllowN(now, 1)
		}
		p, tokens := c.policy, limiters[i].TokensAt(now)
		remaining, reset := int(math.Max(tokens, 0)), p.after(float64(p.burst)-tokens)
		if remaining == 0 {
			reset = p.after(1 - tokens) // as Retry-After
		}
		all = append(all, fmt.Sprintf("%q;q=%d;w=%d", p.name, p.burst, wholeSeconds(p.after(float64(p.burst)))))
		rest = append(rest, fmt.Sprintf("%q;r=%d;t=%d", p.name, remaining, wholeSeconds(reset)))
	}
	if wait.Policy != "" {
		err = errRateLimited.With(wait, "Too many requests in a short time. This request was not processed; try "+
			"again in %d s.", wholeSeconds(wait.wait))
	}
	return strings.Join(all, ", "), strings.Join(rest, ", "), err
}

// limitCaller applies the rate limits of the user and of the access token. It runs
// after authenticate, so that callers cannot use up the rate of others, and before all
// expensive work.
func (s *Server) limitCaller(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		caller, err := identity.From(c.Request().Context())
		if err != nil {
			return err
		}
		var claims []claim
		rates := s.rates.Load()
		if rates.user.rate > 0 {
			claims = append(claims, claim{&rates.user, bucketKey(caller.UserID)})
		}
		if rates.token.rate > 0 {
			token, _ := bearerToken(c.Request().Header)
			digest := sha256.Sum256([]byte(token)) // a token is a secret, so only its digest is stored
			claims = append(claims, claim{&rates.token, bucketKey(digest[:16])})
		}
		return limit(c, next, rates, claims...)
	}
}

// limitAddress applies the rate limit of the network address to routes without sign-in;
// see addressBehind.
func (s *Server) limitAddress(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		rates := s.rates.Load()
		if rates.address.rate == 0 {
			return next(c)
		}
		return limit(c, next, rates, claim{&rates.address, addressKey(c.RealIP())})
	}
}

// ofOneHolder is the prefix length of an IPv6 network of a single holder, who can
// choose the remaining bits freely.
const ofOneHolder = 64

func addressKey(text string) bucketKey {
	address, err := netip.ParseAddr(text)
	if err != nil {
		return bucketKey{} // no address, as on a unix socket: one shared bucket
	}
	address = address.Unmap().WithZone("")
	if address.Is6() {
		network, _ := address.Prefix(ofOneHolder) // 64 is a valid length
		address = network.Addr()
	}
	return address.As16()
}

// Headers of draft-ietf-httpapi-ratelimit-headers: the policies with quota and window
// in seconds, and the remaining quota with the seconds until it is full. A window is
// the time in which an empty bucket fills up.
const (
	headerRateLimitPolicy = "RateLimit-Policy"
	headerRateLimit       = "RateLimit"
)

func limit(c echo.Context, next echo.HandlerFunc, rates *rateLimits, claims ...claim) error {
	if len(claims) == 0 {
		return next(c)
	}
	policies, left, err := rates.take(claims...)
	c.Response().Header().Set(headerRateLimitPolicy, policies)
	c.Response().Header().Set(headerRateLimit, left)
	if err != nil {
		return err
	}
	return next(c)
}
