package app

import (
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"
)

// renamed are the addresses that the specification of the API names, and that became
// others when what lies there turned out to be more: a role is a set of permissions,
// and breaking the glass leaves a grant that is reviewed. Programs that were written
// by the specification are sent on.
var renamed = map[string]string{
	"/roles":                 "/permission-sets",
	"/admin/break-the-glass": "/emergency-grants",
}

// mountRenamed answers with 308, which keeps method and body (RFC 9110, section
// 15.4.9); who may do what is asked where it leads.
func (s *Server) mountRenamed() {
	for from, to := range renamed {
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
