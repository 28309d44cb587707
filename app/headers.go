package app

import (
	"net/http"

	"github.com/labstack/echo/v4"
)

// transportSecurity is for a year: browsers that have come by TLS once use nothing
// else for so long. Whether names below this one do as well is not ours to say.
const transportSecurity = "max-age=31536000"

// secureHeaders keeps every answer out of caches, frames and scripts, whatever
// becomes of the request. What is no health data, such as a page of documentation,
// may say otherwise: a handler that sets Cache-Control or Content-Security-Policy
// anew has its way.
func secureHeaders(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		setSecureHeaders(c.Response().Header(), c.Request())
		return next(c)
	}
}

func setSecureHeaders(h http.Header, r *http.Request) {
	h.Set(echo.HeaderXContentTypeOptions, "nosniff")
	h.Set(echo.HeaderXFrameOptions, "DENY") // for browsers that do not know frame-ancestors
	h.Set(echo.HeaderCacheControl, "no-store")
	h.Set(echo.HeaderContentSecurityPolicy, "default-src 'none'; frame-ancestors 'none'")
	h.Set(echo.HeaderReferrerPolicy, "no-referrer")
	if r.TLS != nil { // over plain HTTP it means nothing, RFC 6797, section 7.2: a proxy that has TLS says it itself
		h.Set(echo.HeaderStrictTransportSecurity, transportSecurity)
	}
}
