package app

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"omnirapeutic/platform/httpx"
	"omnirapeutic/platform/reference"
)

// References returns the kinds of records to which ids of answers refer.
func (a *App) References() []reference.Source {
	return slices.Concat(a.Directory.References(), a.Authorizations.References())
}

// expands reports whether the answers of a route have the texts of their references, and can expand them.
func expands(r httpx.Route) bool {
	return (r.Method == http.MethodGet || r.ReadOnly) && len(r.Endpoint.References) > 0
}

// withReferences reads the parameter expand, and removes it, so that endpoints and cursors do not depend on it.
func (s *Server) withReferences(r httpx.Route) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			request := c.Request()
			var expand []string
			rest := *request.URL
			if strings.Contains(rest.RawQuery, httpx.ParamExpand) {
				query, err := url.ParseQuery(rest.RawQuery)
				if err != nil {
					return next(c) // the endpoint reports the error
				}
				if expand, err = r.Endpoint.ParseExpand(query[httpx.ParamExpand]); err != nil {
					return err
				}
				query.Del(httpx.ParamExpand)
				rest.RawQuery = query.Encode()
			}
			request = request.WithContext(httpx.WithReferences(request.Context(), s.options.References, expand))
			request.URL = &rest
			c.SetRequest(request)
			return next(c)
		}
	}
}
