package app

import (
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"
)

// redirects are paths of the API specification that have since been redirects: a role is a
// permission set, and breaking the glass creates an emergency access grant that is
// reviewed. Clients written for the specification are redirected.
var redirects = map[string]string{
	"/roles":                 "/permission-sets",
	"/admin/break-the-glass": "/emergency-grants",
}

// mountRedirects answers with 308, which keeps method and body (RFC 9110, section
// 15.4.9). Authorization is checked at the target.
func (s *Server) mountRedirects() {
	for from, to := range redirects {
		lead := func(c echo.Context) error {
			target := *c.Request().URL
			rest := strings.TrimPrefix(target.EscapedPath(), basePath+from)
			location := basePath + to + rest
			if target.RawQuery != "" {
				location += "?" + target.RawQuery
			}
			return c.Redirect(http.StatusPermanentRedirect, location)
		}
		for _, method := range methods {
			s.echo.Add(method, basePath+from, lead, s.limitAddress)
			s.echo.Add(method, basePath+from+"/*", lead, s.limitAddress)
		}
	}
}
