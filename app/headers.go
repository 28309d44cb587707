package app

import (
	"net/http"

	"github.com/labstack/echo/v4"
)

// transportSecurity makes browsers that have connected by TLS use only TLS for a
// year. It excludes subdomains, which belong to the operator.
const transportSecurity = "max-age=31536000"

// secureHeaders forbids caching, framing and scripts for every answer, including
// errors. A handler of other content, such as documentation, may overwrite
// Cache-Control or Content-Security-Policy.
func secureHeaders(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		setSecureHeaders(c.Response().Header(), c.Request())
		return next(c)
	}
}

func setSecureHeaders(h http.Header, r *http.Request) {
	h.Set(echo.HeaderXContentTypeOptions, "nosniff")
	h.Set(echo.HeaderXFrameOptions, "DENY") // for browsers without frame-ancestors
	h.Set(echo.HeaderCacheControl, "no-store")
	h.Set(echo.HeaderContentSecurityPolicy, "default-src 'none'; frame-ancestors 'none'")
	h.Set(echo.HeaderReferrerPolicy, "no-referrer")
	if r.TLS != nil { // invalid over plain HTTP (RFC 6797, section 7.2): a TLS proxy sets it itself
		h.Set(echo.HeaderStrictTransportSecurity, transportSecurity)
	}
}
