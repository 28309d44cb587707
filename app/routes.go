package app

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"omnirapeutic/platform/httpx"
)

// methods are the methods that a route may have.
var methods = []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete}

// mount mounts the routes of the API. Its error names every invalid route.
func (s *Server) mount(routes []httpx.Route) error {
	var invalid []error
	mounted := map[string]bool{}
	for _, r := range routes {
		reason := invalidRoute(r)
		key := r.Method + " " + withoutNames(r.Path)
		if reason == "" && mounted[key] {
			reason = "is defined twice"
		}
		mounted[key] = true
		if reason != "" {
			invalid = append(invalid, fmt.Errorf("the route %s %s %s", r.Method, r.Path, reason))
			continue
		}
		for _, method := range methodsOf(r) {
			s.echo.Add(method, basePath+r.Path, s.serve(r), s.routeMiddleware(r)...)
			s.operations[method+" "+basePath+r.Path] = r
		}
		if r.Endpoint.Streams {
			s.streams[basePath+r.Path] = true
		}
	}
	return errors.Join(invalid...)
}

// routeMiddleware is the chain of a route, inside of [Server.middleware], from the outside in.
func (s *Server) routeMiddleware(r httpx.Route) []echo.MiddlewareFunc {
	chain := []echo.MiddlewareFunc{s.limitAddress}
	if r.Permission != httpx.Public {
		chain = []echo.MiddlewareFunc{s.authenticate, s.limitCaller, permit(r), s.readUnderGrant(r)}
		if s.options.Tracer != nil {
			chain = traceCheck(r, chain)
		}
		if r.Endpoint.Streams {
			chain = append(chain, s.untilRevoked)
		}
	}
	chain = append(chain, chooseVersion)
	if len(r.Deprecations) > 0 {
		chain = append(chain, announceDeprecations(r.Deprecations))
	}
	if r.Endpoint.Takes("cursor") {
		chain = append(chain, s.withCursorKey)
	}
	if s.options.References != nil && expands(r) {
		chain = append(chain, s.withReferences(r))
	}
	if r.Eventual {
		chain = append(chain, readEventually)
	}
	return chain
}

// methodsOf returns the methods of a route. Documents also have HEAD, which calendar
// programs and link checkers use.
func methodsOf(r httpx.Route) []string {
	if r.Method == http.MethodGet && r.Endpoint.Media != "" {
		return []string{http.MethodGet, http.MethodHead}
	}
	return []string{r.Method}
}

// invalidRoute returns why a route cannot be mounted, or "".
func invalidRoute(r httpx.Route) string {
	switch {
	case r.Permission == "":
		return "declares no permission"
	case strings.HasPrefix(string(r.Permission), "*") && r.Permission != httpx.Public && r.Permission != httpx.SignedIn:
		return "declares an unknown permission: " + string(r.Permission)
	case r.Endpoint.IsZero():
		return "has no endpoint"
	case !slices.Contains(methods, r.Method):
		return "has an unsupported method"
	case (r.Method == http.MethodGet || r.ReadOnly) && r.Reads == "" && showsPatients(r.Endpoint.Out):
		return "answers with a patientId and does not declare the patient data it reads"
	case r.Reads != "" && r.Permission == httpx.Public:
		return "shows patient data without authentication"
	case r.Eventual && r.Method != http.MethodGet:
		return "accepts the state of a few seconds ago with a method other than GET"
	case r.ErrorPage != "" && r.Endpoint.Status != http.StatusFound:
		return "is not a redirect but has an error page"
	case r.Endpoint.Streams && r.Method != http.MethodGet:
		return "is a stream with a method other than GET"
	case !strings.HasPrefix(r.Path, "/") || strings.HasSuffix(r.Path, "/") || strings.ContainsAny(r.Path, "*{}? "):
		return "has a path that is not in echo's form, such as /authorizations/:id"
	case !slices.Equal(paramsOf(r.Path), r.Endpoint.Params):
		return fmt.Sprintf("has the path parameters %v, but its endpoint reads %v", paramsOf(r.Path), r.Endpoint.Params)
	}
	return ""
}

func paramsOf(path string) []string {
	var names []string
	for part := range strings.SplitSeq(path, "/") {
		if name, ok := strings.CutPrefix(part, ":"); ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// withoutNames replaces parameter names in a path, so that paths that differ only in
// them are equal.
func withoutNames(path string) string {
	parts := strings.Split(path, "/")
	for i, part := range parts {
		if strings.HasPrefix(part, ":") {
			parts[i] = ":"
		}
	}
	return strings.Join(parts, "/")
}
