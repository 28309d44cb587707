package app

import (
	"slices"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"

	"omnirapeutic/platform/apiversion"
	"omnirapeutic/platform/httpx"
)

// preflightAge is how long a browser may cache a preflight response.
const preflightAge = 10 * time.Minute

// cors allows web pages of the configured origins to call the API. It answers
// preflights itself, because they carry no token. Without origins it sets no headers,
// and browsers block pages of other origins.
//
// Credentials are not allowed, because pages need no cookies: a page must hold an
// access token to read anything. The only cookie accompanies a browser to an identity
// provider and back.
func cors(origins []string) echo.MiddlewareFunc {
	if len(origins) == 0 {
		return func(next echo.HandlerFunc) echo.HandlerFunc { return next }
	}
	c := middleware.CORSConfig{
		Skipper: func(c echo.Context) bool { return isProbe(c.Path()) },
		// The router adds the methods of the path.
		AllowHeaders: []string{
			echo.HeaderAuthorization, echo.HeaderContentType, "Idempotency-Key", "If-Match", "Last-Event-ID",
			headerEmergencyGrant, echo.HeaderXRequestID, apiversion.Header,
		},
		ExposeHeaders: []string{
			"ETag", echo.HeaderLocation, "Idempotency-Replayed", httpx.HeaderNextCursor, httpx.HeaderReadFrom,
			echo.HeaderRetryAfter, headerRateLimit, headerRateLimitPolicy, echo.HeaderXRequestID,
			apiversion.Header, "Deprecation", "Sunset", "Link",
		},
		MaxAge: int(preflightAge / time.Second),
	}
	if slices.Contains(origins, "*") {
		c.AllowOrigins = origins
	} else { // exact comparison: echo would treat AllowOrigins as patterns
		c.AllowOriginFunc = func(origin string) (bool, error) { return slices.Contains(origins, origin), nil }
	}
	return middleware.CORSWithConfig(c)
}
