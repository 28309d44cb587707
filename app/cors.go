package app

import (
	"compress/gzip"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"

	"omnirapeutic/platform/httpx"
)

const (
	pathEvents = basePath + "/events" // a stream: writes must be sent at once
	pathSignIn = basePath + "/auth/"
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
		// Methods are those of the path in the router.
		AllowHeaders: []string{
			echo.HeaderAuthorization, echo.HeaderContentType, "Idempotency-Key", "If-Match", "Last-Event-ID", headerGlass, echo.HeaderXRequestID,
		},
		ExposeHeaders: []string{
			"ETag", echo.HeaderLocation, "Idempotency-Replayed", httpx.HeaderNextCursor,
			echo.HeaderRetryAfter, headerRateLimit, headerRateLimitPolicy, echo.HeaderXRequestID,
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

// leastCompressed is the size of one packet. Compressing less saves nothing.
const leastCompressed = 1400

// compress compresses longer answers with gzip for clients that accept it. It excludes
// problem documents, which are short and written by an outer middleware.
//
// It does not change the ETag, which names the version of a record in any encoding. The
// ETag is for If-Match, which uses strong comparison (RFC 9110, section 13.1.1), so a
// weak tag would never match. The byte equality that a strong tag promises matters only
// to ranges and caches, and neither applies: answers must not be stored.
//
// Sign-in answers are not compressed. They contain a secret together with client input,
// and their compressed length would reveal it (BREACH).
func compress() echo.MiddlewareFunc {
	return middleware.GzipWithConfig(middleware.GzipConfig{
		// The fastest level compresses JSON nearly as well, and its writer is reset
		// without clearing half a megabyte.
		Level:     gzip.BestSpeed,
		MinLength: leastCompressed,
		Skipper: func(c echo.Context) bool {
			path := c.Request().URL.Path
			return path == pathEvents || strings.HasPrefix(path, pathSignIn) ||
				strings.HasPrefix(path, pathDocs) || // compresses its own answers
				refusesGzip(c.Request().Header)
		},
	})
}

// refusesGzip reports whether the client sent gzip;q=0, which echo treats as
// acceptance.
func refusesGzip(h http.Header) bool {
	for _, line := range h.Values(echo.HeaderAcceptEncoding) {
		for each := range strings.SplitSeq(line, ",") {
			coding, weight, _ := strings.Cut(each, ";")
			name, value, _ := strings.Cut(strings.TrimSpace(weight), "=")
			if strings.TrimSpace(coding) == "gzip" && name == "q" && strings.Trim(value, "0.") == "" && value != "" {
				return true
			}
		}
	}
	return false
}
