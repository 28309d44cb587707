package app

import (
	"compress/gzip"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"
)

const (
	pathEvents = basePath + "/events" // a stream: writes must be sent at once
	pathSignIn = basePath + "/auth/"
)

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
				// The page compresses its own answers.
				strings.HasPrefix(path, pathDocs) && !strings.HasPrefix(path, pathGuides) ||
				refusesGzip(c.Request().Header)
		},
	})
}

// refusesGzip reports whether the client sent gzip;q=0, which echo treats as
// acceptance.
func refusesGzip(h http.Header) bool {
	for _, line := range h.Values(echo.HeaderAcceptEncoding) {
		for accepted := range strings.SplitSeq(line, ",") {
			coding, weight, _ := strings.Cut(accepted, ";")
			name, value, _ := strings.Cut(strings.TrimSpace(weight), "=")
			if strings.TrimSpace(coding) == "gzip" && name == "q" && strings.Trim(value, "0.") == "" && value != "" {
				return true
			}
		}
	}
	return false
}
