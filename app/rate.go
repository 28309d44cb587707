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

var errRateLimited = fault.Define(fault.TooMany, "rate-limited", "Too many requests came in a short time. This one has not been looked at; try again in a moment.").Carrying(tooFast{}).
	Advising("Wait as `Retry-After` says and send the same request. The `RateLimit` header tells before what is left.")

// tooFast are the details of errRateLimited.
type tooFast struct {
	Policy string `json:"policy"` // whose limit it was, as RateLimit-Policy calls it
	wait   time.Duration
}

// RetryAfter says when one more request is taken.
func (t tooFast) RetryAfter() time.Duration { return t.wait }

// maxBuckets bounds the memory of one policy to some ten megabytes.
const maxBuckets = 1 << 16

// bucketKey names whose bucket it is: a user's id, an address, a token's digest.
type bucketKey [16]byte

// rateLimits are the rates of this instance of the program, in its own memory: a
// limit must cost nothing when the database is what is overloaded. Two instances
// together allow twice as much. Safe for concurrent use.
type rateLimits struct {
	clock                func() time.Time
	user, token, address policy

	mu sync.Mutex // of all buckets: a request takes from two at once or from none
}

// newRateLimits takes the rate of users for addresses too. It is high for one
// address, as a clinic sits behind one.
func newRateLimits(clock func() time.Time, user, token config.Rate) *rateLimits {
	return &rateLimits{
		clock: clock, user: newPolicy("user", user), token: newPolicy("token", token), address: newPolicy("address", user),
	}
}

// policy is one limit with the bucket of everybody whom it has met of late.
type policy struct {
	name    string
	rate    rate.Limit // 0 for none
	burst   int
	buckets map[bucketKey]*list.Element // of *bucket
	recent  *list.List                  // the one that was asked last stands in front
}

type bucket struct {
	key     bucketKey
	limiter *rate.Limiter
}

func newPolicy(name string, r config.Rate) policy {
	return policy{name: name, rate: rate.Limit(r.PerSecond), burst: r.Burst, buckets: map[bucketKey]*list.Element{}, recent: list.New()}
}

// bucketOf returns the bucket of the key. A new one is full, and so is every one
// that nobody asked for long enough: forgetting those changes nothing.
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

// after returns how long it takes until there are so many tokens more.
func (p *policy) after(tokens float64) time.Duration {
	return time.Duration(max(tokens, 0) / float64(p.rate) * float64(time.Second))
}

// claim asks for one request under a policy.
type claim struct {
	policy *policy
	key    bucketKey
}

// take takes one request from the bucket of every claim, or none from any where
// one of them is empty. It returns the headers that tell what is left.
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
		err = errRateLimited.With(wait, "Too many requests came in a short time. This one has not been looked at; try again in %d s.", wholeSeconds(wait.wait))
	}
	return strings.Join(all, ", "), strings.Join(rest, ", "), err
}

// limitCaller holds whoever is signed in to the rate of the user and of the access
// token. It stands behind authenticate, so that nobody can use up the rate of
// somebody else, and in front of everything that costs something.
func (s *Server) limitCaller(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		caller, err := identity.From(c.Request().Context())
		if err != nil {
			return err
		}
		var claims []claim
		if s.rates.user.rate > 0 {
			claims = append(claims, claim{&s.rates.user, bucketKey(caller.UserID)})
		}
		if s.rates.token.rate > 0 {
			token, _ := bearerToken(c.Request().Header)
			digest := sha256.Sum256([]byte(token)) // a token is a secret: what is kept of it must not be one
			claims = append(claims, claim{&s.rates.token, bucketKey(digest[:16])})
		}
		return s.limit(c, next, claims...)
	}
}

// limitAddress holds those who need not be signed in to the rate of their network
// address, see addressBehind.
func (s *Server) limitAddress(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if s.rates.address.rate == 0 {
			return next(c)
		}
		return s.limit(c, next, claim{&s.rates.address, addressKey(c.RealIP())})
	}
}

// ofOneHolder are the leading bits of an IPv6 address that one holder has alone:
// what comes after them can be chosen anew for every request.
const ofOneHolder = 64

func addressKey(text string) bucketKey {
	address, err := netip.ParseAddr(text)
	if err != nil {
		return bucketKey{} // none, as on a socket: all of them together
	}
	address = address.Unmap().WithZone("")
	if address.Is6() {
		network, _ := address.Prefix(ofOneHolder) // 64 is a valid length
		address = network.Addr()
	}
	return address.As16()
}

// Headers of draft-ietf-httpapi-ratelimit-headers: the policies with quota and
// window in seconds, and what is left with the seconds until all of it is there
// again. A window is the time in which an empty bucket fills up.
const (
	headerRateLimitPolicy = "RateLimit-Policy"
	headerRateLimit       = "RateLimit"
)

func (s *Server) limit(c echo.Context, next echo.HandlerFunc, claims ...claim) error {
	if len(claims) == 0 {
		return next(c)
	}
	policies, left, err := s.rates.take(claims...)
	c.Response().Header().Set(headerRateLimitPolicy, policies)
	c.Response().Header().Set(headerRateLimit, left)
	if err != nil {
		return err
	}
	return next(c)
}
