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
	pathEvents = basePath + "/events" // a stream: what is written must leave at once
	pathSignIn = basePath + "/auth/"
)

// preflightAge is how long a browser may remember what is allowed.
const preflightAge = 10 * time.Minute

// cors tells browsers which web pages may call: those of the origins. It answers
// preflights by itself, as they carry no token. Without origins it says nothing,
// and browsers refuse every page of another origin.
//
// Cookies mean nothing to pages, so credentials are not allowed: a page must hold an
// access token to see anything. The one cookie that there is goes with a browser to an
// identity provider and back.
func cors(origins []string) echo.MiddlewareFunc {
	if len(origins) == 0 {
		return func(next echo.HandlerFunc) echo.HandlerFunc { return next }
	}
	c := middleware.CORSConfig{
		Skipper: func(c echo.Context) bool { return isProbe(c.Path()) },
		// Methods are those of the address, as the router says.
		AllowHeaders: []string{
			echo.HeaderAuthorization, echo.HeaderContentType, "Idempotency-Key", "If-Match", "Last-Event-ID", headerGlass, echo.HeaderXRequestID,
		},
		ExposeHeaders: []string{
			"ETag", echo.HeaderLocation, "Idempotency-Replayed", httpx.HeaderNextCursor, echo.HeaderRetryAfter, headerRateLimit, headerRateLimitPolicy, echo.HeaderXRequestID,
		},
		MaxAge: int(preflightAge / time.Second),
	}
	if slices.Contains(origins, "*") {
		c.AllowOrigins = origins
	} else { // exactly: echo takes entries of AllowOrigins for patterns
		c.AllowOriginFunc = func(origin string) (bool, error) { return slices.Contains(origins, origin), nil }
	}
	return middleware.CORSWithConfig(c)
}

// leastCompressed is what fits into one packet: below it nothing is won.
const leastCompressed = 1400

// compress sends longer answers with gzip to those who take it. Problem documents
// are not among them: they are short, and written further out.
//
// The ETag is not changed by it. It names the version of a record, whatever the
// form in which the record was sent, and is for If-Match, which compares strongly
// (RFC 9110, section 13.1.1): a weak tag would never match. What a strong tag
// promises beyond that, the same bytes, is only needed for ranges and caches, and
// there are neither: answers are not to be stored.
//
// Answers of a sign-in are left alone. They carry a secret beside what the client
// sent, and their compressed length would tell of it (BREACH).
func compress() echo.MiddlewareFunc {
	return middleware.GzipWithConfig(middleware.GzipConfig{
		// The faster level is nearly as good on JSON, and its writer is reset for
		// the next answer without clearing half a megabyte.
		Level:     gzip.BestSpeed,
		MinLength: leastCompressed,
		Skipper: func(c echo.Context) bool {
			path := c.Request().URL.Path
			return path == pathEvents || strings.HasPrefix(path, pathSignIn) ||
				strings.HasPrefix(path, pathDocs) || // which compresses by itself
				refusesGzip(c.Request().Header)
		},
	})
}

// refusesGzip recognizes gzip;q=0, which echo takes for consent.
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
